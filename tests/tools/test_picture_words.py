"""Words of pictures: captions, fixed looks, edits read from short wording, the prompt gate."""

from __future__ import annotations

import itertools
import logging

import pytest
from PIL import Image, ImageDraw

from agent_tools.appearance import (
    EXPRESSIONS,
    fix_appearance,
    painted_face,
    portrait_prompt,
    portrait_wording,
)
from agent_tools.errors import Refused
from agent_tools.instruction import wanted_picture
from agent_tools.personas import Persona
from agent_tools.policy import check_prompt
from agent_tools.similarity import similarity
from agent_tools.wording import wording
from engine.starter.captions import avatar_caption, complete, parse
from engine.starter.vocabulary import AVATAR_ATTRIBUTES


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("a purple teapot on a white background", "A purple teapot on a white background."),
        ("Please paint me a picture of a red mug", "A red mug."),
        ("draw the harbor at night.", "The harbor at night."),
        ("paint splashes on a wall", "Paint splashes on a wall."),
        ("USB cable, gray", "USB cable, gray."),
        ("who ate the cake?", "Who ate the cake?"),
        ("a cat <b>on</b> [a mat](http://evil.example)", "A cat on a mat."),
        ("图片", "图片."),
    ],
)
def test_a_caption_says_what_was_asked_as_one_sentence(prompt: str, caption: str) -> None:
    words = wording(prompt)

    assert words.caption == caption
    assert words.alt == caption
    assert not words.title.endswith(".")


def test_long_prompts_are_cut_at_a_word_within_the_limits() -> None:
    words = wording("a lighthouse " + "beside the very old stone harbor " * 60)

    assert len(words.caption) <= 400
    assert len(words.alt) <= 250
    assert len(words.title) <= 80
    assert words.alt.endswith("…")
    assert words.alt.rstrip("….").split()[-1] in {"beside", "the", "very", "old", "stone", "harbor"}
    assert len(words.tags) <= 10


def test_a_prompt_without_letters_still_gets_words() -> None:
    words = wording("\u200b...!")

    assert words.caption
    assert words.title


def test_tags_are_the_telling_words() -> None:
    assert wording("a purple teapot on a white background").tags == ("purple", "teapot", "white")


def test_every_expression_offered_is_one_the_starter_paints() -> None:
    painted = {painted_face(expression, "starter") for expression in EXPRESSIONS}
    assert painted == set(AVATAR_ATTRIBUTES["expression"])


def test_starter_prompts_of_a_persona_differ_only_in_the_expression() -> None:
    look = fix_appearance("black curly hair, glasses", "per_mina_1", "starter")
    parsed = [parse(portrait_prompt(look.words, e, "starter")) for e in EXPRESSIONS]

    assert [p.attributes["expression"] for p in parsed] == [
        painted_face(expression, "starter") for expression in EXPRESSIONS
    ]
    for one in parsed:
        assert one.unknown_words == ()
        assert one.attributes["hair_style"] == "curly"
        assert one.attributes["hair_color"] == "black"
        assert one.attributes["glasses"] == "yes"
    without = [{k: v for k, v in p.attributes.items() if k != "expression"} for p in parsed]
    assert all(attributes == without[0] for attributes in without)


def test_the_starter_paints_a_persona_from_exactly_the_words_that_were_fixed() -> None:
    for skin, style, mood in itertools.product(
        AVATAR_ATTRIBUTES["skin"], AVATAR_ATTRIBUTES["hair_style"], EXPRESSIONS
    ):
        for headwear, beard in itertools.product(AVATAR_ATTRIBUTES["headwear"], ("no", "yes")):
            look = {"skin": skin, "hair_style": style, "headwear": headwear, "beard": beard}
            caption = avatar_caption({**look, "expression": painted_face(mood, "starter")})
            fixed = caption.partition(" person, ")[2]

            prompt = portrait_prompt(fixed, mood, "starter")

            assert prompt == caption
            assert complete(prompt) == (caption, ())


def test_what_a_description_leaves_open_is_fixed_by_the_persona() -> None:
    looks = {fix_appearance("an advisor", f"per_{k}", "starter").words for k in range(40)}

    assert len(looks) > 20
    assert fix_appearance("an advisor", "per_1", "starter") == fix_appearance(
        "an advisor", "per_1", "starter"
    )
    assert not any(word in look for look in looks for word in ("bald", "glasses", "beard", "hat"))


def test_what_the_starter_cannot_draw_is_said() -> None:
    look = fix_appearance("a wizard with a monocle", "per_x", "starter")

    assert "wizard" in look.warnings[0]
    assert "monocle" in look.warnings[0]


def test_other_models_get_the_description_and_fixed_details() -> None:
    look = fix_appearance("a wizard with a long gray beard", "per_x", "some-model").words
    robot = fix_appearance("a friendly robot", "per_x", "some-model").words

    assert look.startswith("a wizard with a long gray beard, ")
    assert "skin" in look
    assert "background" in look
    assert "skin" not in robot
    assert "hair" not in robot


def test_a_persona_caption_reads_well() -> None:
    persona = Persona(
        persona_id="per_mina",
        name="Mina",
        description="",
        appearance="tan skin, short red hair, glasses, orange sweater, white background",
        seed=1,
        model="starter",
    )

    assert portrait_wording(persona, "smiling").caption == (
        "Mina smiling: a fictional persona, tan skin, short red hair, glasses and an orange "
        "sweater on a white background."
    )


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ("make it red", "a purple teapot on a mint background", "red matte round teapot on a mint"),
        ("glossy please", "a purple teapot", "purple glossy round teapot on a white"),
        (
            "a red teapot",
            "a purple teapot on a mint background",
            "red matte round teapot on a mint",
        ),
        (
            "put it on a pink background",
            "a tall blue backpack",
            "blue matte tall backpack on a pink",
        ),
        ("smiling", "avatar of a sad person, dark skin", "smiling person, dark skin"),
        ("take off the glasses", "person with dark skin and glasses", "person, dark skin, short"),
        ("remove her headset", "woman with a headset, red suit", "hair, red suit"),
    ],
)
def test_a_short_change_keeps_the_rest_of_the_picture(change: str, before: str, after: str) -> None:
    assert after in wanted_picture(change, before)
    assert complete(wanted_picture(change, before))[1] == ()


@pytest.mark.parametrize(
    ("change", "before"),
    [
        ("a green mug", "a purple teapot"),
        ("make it red", "a castle in the clouds"),
        ("make it red", ""),
        ("a smiling person", "a purple teapot"),
    ],
)
def test_another_subject_is_taken_as_it_is_said(change: str, before: str) -> None:
    assert wanted_picture(change, before) == change


def test_words_of_a_change_that_the_model_does_not_know_are_named() -> None:
    prompt = wanted_picture("make it fluffy", "a purple teapot")

    assert "fluffy" in complete(prompt)[1][0]


@pytest.mark.parametrize(
    ("prompt", "rule"),
    [
        ("a naked child", "sexual-minors"),
        ("NUDE TEENAGERS", "sexual-minors"),
        ("sexy 16 year old", "sexual-minors"),
        ("sexy seventeen year old", "sexual-minors"),
        ("a na\u200bked schoolgirl", "sexual-minors"),
        ("take off her clothes", "undressing"),
        ("portrait of Taylor Swift", "real-person"),
        ("a deepfake of my neighbor", "real-person"),
        ("Elon\nMusk riding a horse", "real-person"),
    ],
)
def test_what_is_never_painted_is_refused_without_logging_the_prompt(
    prompt: str, rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Refused) as refused:
        check_prompt(prompt)

    assert refused.value.data == {"rule": rule}
    assert refused.value.hint
    assert rule in caplog.text
    assert prompt not in caplog.text


@pytest.mark.parametrize(
    "prompt",
    [
        "a child's birthday cake",
        "nude color baby shoes",
        "a Sussex cottage with kids playing",
        "a taylor at work with swift hands",
        "nude heels and a teen's backpack",
        "a marble statue of Venus",
        "a wardrobe without the clothing rail",
    ],
)
def test_harmless_prompts_pass(prompt: str) -> None:
    check_prompt(prompt)


def test_similarity_is_one_for_the_same_picture_and_falls_with_the_difference() -> None:
    def disk(color: str, background: str, x: int) -> Image.Image:
        image = Image.new("RGB", (96, 96), background)
        ImageDraw.Draw(image).ellipse((x, 20, x + 56, 76), fill=color)
        return image

    base = disk("teal", "white", 20)
    moved = similarity(base, disk("teal", "white", 26))
    recolored = similarity(base, disk("orange", "white", 20))
    other = similarity(base, disk("orange", "black", 0))

    assert similarity(base, base.resize((96, 96))) == 1
    assert 1 > moved > other
    assert 1 > recolored > other
    assert similarity(Image.new("L", (8, 8)), Image.new("L", (8, 8))) == 1


def test_a_persona_is_found_by_what_no_picture_shows() -> None:
    """A profession cannot be painted, so it stands in "use when" and not in the caption."""
    persona = Persona(
        persona_id="p_1",
        name="Otto",
        description="Carpenter, gray beard.",
        appearance="gray beard, green shirt",
        seed=1,
        model="starter",
    )
    words = portrait_wording(persona, "smiling")
    assert words.use_when == (
        "Someone asks about Otto, carpenter, gray beard, or Otto speaks and a smiling face fits."
    )
    assert "carpenter" not in words.caption.lower()
