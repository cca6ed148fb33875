"""What people type reaches the starter model as the caption it was trained on."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.starter import vocabulary as words
from engine.starter.captions import Domain, avatar_caption, complete, parse, varied_caption
from engine.starter.render.dataset import draw_items

PRODUCTS = st.fixed_dictionaries(
    {k: st.sampled_from(v) for k, v in words.PRODUCT_ATTRIBUTES.items()}
)
AVATARS = st.fixed_dictionaries({k: st.sampled_from(v) for k, v in words.AVATAR_ATTRIBUTES.items()})
PRODUCT_DEFAULTS = {
    "finish": "matte",
    "shape": "default",
    "background": "white",
    "color": "white",
}


@given(PRODUCTS, st.integers(0, 2**32))
def test_every_phrasing_of_a_product_is_read_back_without_loss(
    attributes: dict[str, str], seed: int
) -> None:
    parsed = parse(varied_caption("product", attributes, Random(seed)))
    assert {**PRODUCT_DEFAULTS, **parsed.attributes} == attributes
    assert parsed.unknown_words == ()


@given(AVATARS, st.integers(0, 2**32))
def test_every_phrasing_of_an_avatar_is_read_back_without_loss(
    attributes: dict[str, str], seed: int
) -> None:
    parsed = parse(varied_caption("avatar", attributes, Random(seed)))
    found = {**words.AVATAR_DEFAULTS, **parsed.attributes}
    if attributes["hair_style"] == "bald" and attributes["beard"] == "no":
        found["hair_color"] = attributes["hair_color"]  # nobody can see it
    assert found == attributes
    assert parsed.unknown_words == ()


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
    parse(prompt)
    complete(prompt)


def test_the_judges_pairs_are_never_trained_and_are_five_percent() -> None:
    items = draw_items(4000, 0.7, 1, held_out=False)
    pairs = {(i["attributes"].get("color"), i["attributes"].get("kind")) for i in items}
    assert not pairs & words.HELD_OUT_PAIRS
    everything = len(words.COLORS) * len(words.KINDS)
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
    table = words.PRODUCT_ATTRIBUTES if domain == "product" else words.AVATAR_ATTRIBUTES
    longest = {k: max(v, key=len) for k, v in table.items()}
    assert len(varied_caption(domain, longest, Random(1)).replace(",", " ,").split()) <= 38
