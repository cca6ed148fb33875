"""Where the product is: told, seen in transparency, or guessed only when the guess is safe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import agent_tools
from agent_tools.errors import InvalidArguments, Refused
from agent_tools.segmentation import segment
from benchmarks.rendered_truth import mug, tee

ASSETS = Path(agent_tools.__file__).parent / "assets"


def overlap(one: Image.Image, other: Image.Image) -> float:
    a, b = np.asarray(one) > 127, np.asarray(other) > 127
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize(
    "scene", [mug("#B3201C", 320), tee("#2E5FA8", 320), mug("#1F2A5A", 320), tee("#36383D", 320)]
)
def test_a_product_on_a_plain_background_is_found(scene) -> None:
    found = segment(scene.image)
    assert found.source == "automatic"
    assert overlap(found.mask, scene.mask) > 0.9


@pytest.mark.parametrize(
    "scene",
    [mug("#D2D2D2", 320), tee("#F4F4F4", 320, ground="#F6F6F6")],
    ids=["gray on gray", "white on white"],
)
def test_a_product_like_its_background_is_refused(scene) -> None:
    with pytest.raises(Refused) as caught:
        segment(scene.image)
    assert caught.value.code == "mask_needed"
    assert "mask_id" in caught.value.hint


def test_a_busy_photograph_is_refused_rather_than_guessed() -> None:
    with pytest.raises(Refused, match="cannot be told"):
        segment(Image.open(ASSETS / "coffee-cup.png"))


def test_noise_and_flat_pictures_are_refused() -> None:
    for image in (
        Image.effect_noise((200, 200), 90).convert("RGB"),
        Image.new("RGB", (200, 200), "white"),
        Image.linear_gradient("L").convert("RGB"),
        Image.new("RGB", (5, 300), "red"),
    ):
        with pytest.raises(Refused):
            segment(image)


def test_transparency_tells_the_product() -> None:
    image = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((10, 5, 50, 35), fill=(200, 30, 30, 255))
    found = segment(image)
    assert found.source == "alpha"
    assert np.array_equal(np.asarray(found.mask) == 255, np.asarray(image.getchannel("A")) > 0)


def test_a_given_mask_wins_and_never_reaches_into_transparency() -> None:
    image = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((10, 5, 30, 35), fill=(200, 30, 30, 255))
    mask = Image.new("L", (60, 40), 0)
    mask.paste(255, (20, 0, 60, 40))
    found = segment(image, mask)
    assert found.source == "mask"
    assert np.flatnonzero(np.asarray(found.mask).any(axis=0)).tolist() == list(range(20, 31))
    far = Image.new("L", (60, 40), 0)
    far.paste(255, (40, 0, 60, 40))
    with pytest.raises(InvalidArguments, match="transparent"):
        segment(image, far)


def test_a_handles_hole_belongs_to_the_background() -> None:
    image = Image.new("RGB", (300, 300), "#EFEFEF")
    ImageDraw.Draw(image).ellipse((60, 60, 240, 240), outline="#7A1F1F", width=40)
    found = np.asarray(segment(image).mask)
    assert found[150, 150] == 0 and found[150, 75] == 255
