"""Where the product is, told by a point, a box or a color; doubtful selections are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import agent_tools
from agent_tools.color import parse_color
from agent_tools.color_selection import select_color
from agent_tools.errors import InvalidArguments
from agent_tools.recolor import recolor
from agent_tools.regions import Region, find_region
from agent_tools.segmentation import DoubtfulMask
from benchmarks.rendered_truth import mug, sneaker, tee

ASSETS = Path(agent_tools.__file__).parent / "assets"


def photo(name: str) -> Image.Image:
    """Return one of the public-domain photos that scikit-image ships."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    folder = Path(data.__file__).parent
    if not (folder / name).exists():
        pytest.skip(f"this scikit-image does not ship {name}")
    return Image.open(folder / name).convert("RGB")


def overlap(one: Image.Image, other: Image.Image) -> float:
    a, b = np.asarray(one) > 127, np.asarray(other) > 127
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize(
    ("name", "region", "untouched", "inside"),
    [
        # left, top, right, bottom: the wood around the cup; the face; the flag.
        (
            "coffee.png",
            Region(point=(250, 230)),
            [(0, 0, 150, 60), (505, 0, 600, 400), (0, 380, 90, 400)],
            (130, 250, 180, 300),
        ),
        ("astronaut.png", Region(point=(150, 420)), [(160, 0, 300, 200)], (70, 320, 110, 350)),
        (
            "astronaut.png",
            Region(color=parse_color("orange")),
            [(160, 0, 300, 200), (300, 0, 512, 210)],
            (70, 320, 110, 350),
        ),
    ],
    ids=["cup by a point", "suit by a point", "suit by its color"],
)
def test_in_photos_the_face_and_the_wood_stay_untouched(name, region, untouched, inside) -> None:
    image = photo(name)
    found = find_region(image, region)
    made = recolor(image, found.mask, parse_color("teal"))
    before, after = np.asarray(image), np.asarray(made.image)
    for box in untouched:
        left, top, right, bottom = box
        assert np.array_equal(after[top:bottom, left:right], before[top:bottom, left:right]), box
    left, top, right, bottom = inside
    changed = (after[top:bottom, left:right] != before[top:bottom, left:right]).any(axis=-1)
    assert changed.mean() > 0.9
    assert made.measurements.outside_max_change == 0
    assert made.measurements.achieved_delta_e < 2


def test_a_point_finds_the_cup_that_a_person_outlined() -> None:
    image = Image.open(ASSETS / "coffee-cup.png").convert("RGB")
    by_hand = Image.open(ASSETS / "coffee-cup-mask.png").convert("L")
    found = find_region(image, Region(point=(250, 230)))
    assert found.source == "point"
    assert overlap(found.mask, by_hand) > 0.8
    outside = (np.asarray(found.mask) > 127) & (np.asarray(by_hand) < 128)
    assert outside.mean() < 0.01


def test_a_point_that_leaks_into_the_wood_is_refused_with_what_would_be_taken() -> None:
    image = Image.open(ASSETS / "coffee-cup.png").convert("RGB")
    with pytest.raises(DoubtfulMask, match="similar color") as caught:
        find_region(image, Region(point=(80, 250)))
    assert caught.value.candidate is not None
    assert caught.value.candidate.size == image.size
    assert caught.value.code == "mask_needed"


@pytest.mark.parametrize(
    "region",
    [
        Region(point=(160, 150)),
        Region(color=parse_color("#B3201C")),
        Region(box=(40, 40, 280, 275)),
    ],
    ids=["point", "color", "box"],
)
def test_each_way_of_telling_finds_the_mug(region: Region) -> None:
    source = mug("#B3201C", 320)
    assert overlap(find_region(source.image, region).mask, source.mask) > 0.6


def test_colors_tell_the_parts_of_a_sneaker_gloss_included() -> None:
    source = sneaker("#B3201C", 320)
    upper = find_region(source.image, Region(color=parse_color("#B3201C")))
    sole = find_region(source.image, Region(color=parse_color("#E8B23A")))
    assert overlap(upper.mask, source.body_mask) > 0.9
    assert overlap(sole.mask, source.print_mask) > 0.9
    assert not ((np.asarray(upper.mask) > 127) & (np.asarray(sole.mask) > 127)).any()


def test_a_box_keeps_a_color_away_from_what_lies_outside_it() -> None:
    two = Image.new("RGB", (400, 200), "#EEEEEE")
    two.paste("#B3201C", (40, 40, 160, 160))
    two.paste("#B3201C", (240, 40, 360, 160))
    found = find_region(two, Region(color=parse_color("#B3201C"), box=(20, 20, 180, 180)))
    columns = np.flatnonzero((np.asarray(found.mask) > 0).any(axis=0))
    assert 35 <= columns[0] <= 41 and 158 <= columns[-1] <= 165


@pytest.mark.parametrize(
    "image",
    [mug("#D2D2D2", 320).image, tee("#F4F4F4", 320, ground="#F6F6F6").image],
    ids=["gray on gray", "white on white"],
)
@pytest.mark.parametrize(
    "region",
    [Region(), Region(point=(160, 160)), Region(box=(20, 20, 300, 300))],
    ids=["automatic", "point", "box"],
)
def test_a_product_like_its_background_is_refused_however_it_is_told(image, region) -> None:
    with pytest.raises(DoubtfulMask):
        find_region(image, region)


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (Region(point=(320, 5)), "outside the picture of 320x320"),
        (Region(box=(10, 10, 330, 200)), "does not lie in"),
        (Region(box=(100, 10, 50, 200)), "does not lie in"),
        (Region(box=(10, 10, 20, 200)), "at least 16"),
    ],
)
def test_places_outside_the_picture_are_named(region: Region, words: str) -> None:
    with pytest.raises(InvalidArguments, match=words):
        find_region(mug("#B3201C", 320).image, region)


def test_nothing_transparent_is_selected() -> None:
    source = mug("#B3201C", 320)
    image = source.image.convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 320, 150))
    image.putalpha(alpha)
    found = find_region(image, Region(color=parse_color("#B3201C")))
    assert not (np.asarray(found.mask)[:149] > 0).any()


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (16, 17), (17, 16), (40, 30)])
def test_tiny_pictures_are_no_crash(size: tuple[int, int]) -> None:
    image = Image.effect_noise(size, 80).convert("RGB")
    selection = select_color(image, point=(0, 0))
    assert selection.mask.size == size
    with pytest.raises(DoubtfulMask):
        find_region(image, Region())
