"""What people type reaches the starter model as the caption it was trained on."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.starter import WEIGHTS
from engine.starter import vocabulary as words
from engine.starter.captions import (
    Domain,
    avatar_caption,
    complete,
    default_second_color,
    parse,
    product_caption,
)
from engine.starter.phrasings import varied_caption
from engine.starter.render.dataset import draw_avatar_attributes, draw_items, draw_product
from engine.starter.vocabulary import FULL, load_vocabulary, shipped

SEEDS = st.integers(0, 2**32)


def with_defaults(said: dict[str, str]) -> dict[str, str]:
    defaults = {
        "color": "white",
        "finish": FULL.kinds[said["kind"]].finishes[0],
        "shape": "default",
        "view": "front",
        "pattern": "plain",
        "background": "white",
    }
    whole = {**defaults, **said}
    if whole["pattern"] != "plain":
        whole.setdefault("second_color", default_second_color(whole["color"], FULL))
    return whole


@given(SEEDS, SEEDS)
def test_every_phrasing_of_a_product_is_read_back_without_loss(drawn: int, seed: int) -> None:
    attributes = draw_product(Random(drawn))
    parsed = parse(varied_caption("product", attributes, Random(seed)), FULL)
    assert with_defaults(parsed.attributes) == attributes
    assert parsed.unknown_words == ()


@given(SEEDS, SEEDS)
def test_every_phrasing_of_an_avatar_is_read_back_without_loss(drawn: int, seed: int) -> None:
    attributes = draw_avatar_attributes(Random(drawn))
    parsed = parse(varied_caption("avatar", attributes, Random(seed)), FULL)
    defaults = {k: v for k, v in words.AVATAR_DEFAULTS.items() if k in attributes}
    found = {**defaults, **parsed.attributes}
    if attributes.get("hair_style") == "bald" and attributes["beard"] == "no":
        found["hair_color"] = attributes["hair_color"]  # nobody can see it
    assert found == attributes
    assert parsed.unknown_words == ()


@pytest.mark.parametrize(
    ("typed", "caption"),
    [
        (
            "red and white striped mug",
            "a red matte straight mug with white stripes on a white background",
        ),
        (
            "striped navy t-shirt, from the side",
            "a navy fabric crew-neck t-shirt with white stripes, side view, on a white background",
        ),
        ("a gold ring", "a yellow metallic gemstone ring on a white background"),
        (
            "black and yellow backpack",
            "a black fabric tall backpack with yellow accents on a white background",
        ),
        (
            "white dress with polka dots",
            "a white fabric short dress with black dots on a white background",
        ),
        ("velvet cushion in dark red", "a burgundy fabric square cushion on a white background"),
        (
            "a smiling blue robot in a red hoodie",
            "avatar of a smiling blue robot, red hoodie, white background",
        ),
        ("fox with headphones", "avatar of a neutral fox, headset, blue sweater, white background"),
    ],
)
def test_patterns_views_alloys_and_mascots_are_understood(typed: str, caption: str) -> None:
    assert complete(typed, FULL) == (caption, ())


@pytest.mark.parametrize(
    ("typed", "unknown"),
    [
        ("wooden t-shirt", "wooden"),  # a thing comes only in what suits it
        ("cat mug", "cat"),  # a mug with a cat is no cat
        ("hoodie with a bear print", "bear, print"),
        ("a mug with a handle of bone", "handle, bone"),
    ],
)
def test_what_does_not_suit_a_thing_is_named_with_what_does(typed: str, unknown: str) -> None:
    _, warnings = complete(typed, FULL)
    assert f"does not know: {unknown}. It draws this" in warnings[0]


def test_the_completer_speaks_of_what_the_shipped_weights_know() -> None:
    assert shipped() == load_vocabulary(WEIGHTS)
    everything = {kind for kind in FULL.kinds if parse(kind, FULL).attributes["kind"] == kind}
    assert everything == set(FULL.kinds)
    for kind in everything - set(shipped().kinds):
        assert parse(f"a {kind}").attributes.get("kind") != kind
    for kind in shipped().kinds:
        completed, warnings = complete(f"a red {kind}")
        assert completed == product_caption({"kind": kind, "color": "red"}) and not warnings


def test_a_vocabulary_survives_its_file(tmp_path) -> None:
    FULL.save(tmp_path)
    assert load_vocabulary(tmp_path) == FULL
    with pytest.raises(FileNotFoundError):
        load_vocabulary(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("typed", "caption"),
    [
        ("red mug", "a red matte straight mug on a white background"),
        (
            "Could you paint me a shiny couch in navy, pink backdrop please?",
            "a navy glossy boxy sofa on a pink background",
        ),
        ("the same one: teapot, SAGE GREEN", "a sage matte round teapot on a white background"),
    ],
)
def test_terse_and_chatty_words_become_the_same_kind_of_caption(typed: str, caption: str) -> None:
    completed, _ = complete(typed)
    assert completed == caption


def test_words_that_cannot_be_drawn_are_named() -> None:
    completed, warnings = complete("a navy t-shirt with a dragon print")
    assert completed.startswith("a navy matte crew-neck t-shirt")
    assert "dragon, print" in warnings[0]


def test_a_thing_it_does_not_know_is_left_as_it_is_and_said() -> None:
    completed, warnings = complete("a zebra in the rain")
    assert completed == "a zebra in the rain"
    assert "knows nothing else" in warnings[0]


@pytest.mark.parametrize("prompt", ["", " ", "\x00\u202e", "a" * 5000, "🙂 mug", "DROP TABLE mug;"])
def test_strange_input_is_read_without_harm(prompt: str) -> None:
    for known in (shipped(), FULL):
        assert parse(prompt, known).domain in ("product", "avatar", "unknown")
        caption, warnings = complete(prompt, known)
        assert isinstance(caption, str) and all(warnings)


def test_the_judges_pairs_are_never_trained_and_are_five_percent() -> None:
    items = draw_items(4000, 0.7, 1, held_out=False)
    pairs = {(i["attributes"].get("color"), i["attributes"].get("kind")) for i in items}
    assert not pairs & words.HELD_OUT_PAIRS
    everything = len(FULL.colors) * len(FULL.kinds)
    assert 0.045 <= len(words.HELD_OUT_PAIRS) / everything <= 0.055
    with_them = draw_items(4000, 0.7, 1, held_out=True)
    shown = {(i["attributes"].get("color"), i["attributes"].get("kind")) for i in with_them}
    assert len(shown & words.HELD_OUT_PAIRS) > 10  # the negative control


def test_a_persona_in_another_mood_differs_in_one_word_only() -> None:
    attributes = {"hair_style": "long", "hair_color": "red", "glasses": "yes"}
    calm = avatar_caption({**attributes, "expression": "neutral"})
    glad = avatar_caption({**attributes, "expression": "smiling"})
    assert calm.replace("neutral", "smiling") == glad


@pytest.mark.parametrize("domain", ["product", "avatar"])
def test_captions_fit_the_text_encoder(domain: Domain) -> None:
    rng = Random(2)
    draw = draw_product if domain == "product" else draw_avatar_attributes
    captions = [varied_caption(domain, draw(rng), rng) for _ in range(3000)]
    assert max(len(caption.replace(",", " ,").split()) for caption in captions) <= 34
