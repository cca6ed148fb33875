"""The pictures the starter model learns from show what their labels say."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine.starter import vocabulary as words
from engine.starter.render.avatars import draw_avatar
from engine.starter.render.dataset import draw_items, draw_product, render
from engine.starter.render.geometry import Geometry, build_geometry
from engine.starter.render.shading import Look, shade
from engine.starter.render.shapes import BUILDERS

SIDE = 64


def main_part(geometry: Geometry) -> torch.Tensor:
    return geometry.part == geometry.parts.index("main")


@pytest.fixture(scope="module")
def mug() -> Geometry:
    return build_geometry("mug", False, side=SIDE, supersampling=1)


def test_every_kind_has_a_builder_and_two_named_shapes() -> None:
    assert set(BUILDERS) == set(words.KINDS)
    assert all(len(set(kind.shapes)) == 2 for kind in words.KINDS.values())


@pytest.mark.parametrize("kind", ["teapot", "chair", "sneaker"])
def test_a_product_fills_the_frame_without_touching_its_edge(kind: str) -> None:
    on_object = build_geometry(kind, False, side=48, supersampling=1).part >= 0
    assert 0.08 < on_object.float().mean() < 0.75
    edge = torch.cat([on_object[0], on_object[-1], on_object[:, 0], on_object[:, -1]])
    assert not edge.any()


def test_the_two_shapes_of_a_kind_look_different() -> None:
    one = build_geometry("vase", False, side=48, supersampling=1).part >= 0
    two = build_geometry("vase", True, side=48, supersampling=1).part >= 0
    assert (one ^ two).float().mean() > 0.03


def test_the_named_color_is_the_color_of_the_product(mug: Geometry) -> None:
    colors = {}
    for name in ("red", "blue", "yellow"):
        picture = shade(mug, Look(name, "matte", "white"), supersampling=1)
        colors[name] = picture[:, main_part(mug)].mean(dim=1)
    assert colors["red"].argmax() == 0 and colors["blue"].argmax() == 2
    assert colors["yellow"][0] > 2 * colors["yellow"][2]


def test_a_white_product_can_be_seen_on_white(mug: Geometry) -> None:
    picture = shade(mug, Look("white", "matte", "white"), supersampling=1)
    backdrop = picture[:, 2, 2].mean()
    assert backdrop - picture[:, main_part(mug)].mean() > 0.05


def test_colorways_of_one_shape_share_every_pixel_off_the_product(mug: Geometry) -> None:
    one = shade(mug, Look("red", "matte", "mint"), supersampling=1)
    two = shade(mug, Look("navy", "glossy", "mint"), supersampling=1)
    off = mug.part < 0
    assert torch.equal(one[:, off], two[:, off])
    assert not torch.equal(one[:, ~off], two[:, ~off])


def test_rendering_twice_gives_the_same_picture(mug: Geometry) -> None:
    again = build_geometry("mug", False, side=SIDE, supersampling=1)
    one = shade(mug, Look("sage", "metallic", "charcoal"), supersampling=1)
    assert torch.equal(one, shade(again, Look("sage", "metallic", "charcoal"), supersampling=1))


def test_every_finish_and_pattern_looks_different(mug: Geometry) -> None:
    finishes = [shade(mug, Look("teal", finish), supersampling=1) for finish in words.FINISHES]
    patterns = [
        shade(mug, Look("teal", pattern=pattern), supersampling=1) for pattern in words.PATTERNS
    ]
    for pictures in (finishes, patterns):
        apart = [float((a - b).abs()[:, mug.mask].mean()) for a, b in combinations(pictures, 2)]
        assert min(apart) > 0.008


def test_stripes_and_dots_leave_most_of_the_product_in_its_own_color(mug: Geometry) -> None:
    plain = shade(mug, Look("red"), supersampling=1)
    for pattern in ("striped", "dotted"):
        patterned = shade(mug, Look("red", pattern=pattern, second_color="white"), supersampling=1)
        changed = (plain - patterned).abs().amax(dim=0)[main_part(mug)] > 0.3
        assert 0.1 < changed.float().mean() < 0.5


def test_the_ground_is_white_at_the_frame_and_dark_under_the_product(mug: Geometry) -> None:
    picture = shade(mug, Look("red"), supersampling=1).mean(dim=0)
    frame = torch.cat([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert frame.min() > 0.99
    assert picture[~mug.mask].min() < 0.8


@pytest.mark.parametrize("kind", ["handbag", "ring", "wall clock"])
def test_the_two_views_of_a_kind_look_different(kind: str) -> None:
    views = [build_geometry(kind, False, view, side=48, supersampling=1) for view in words.VIEWS]
    assert (views[0].mask ^ views[1].mask).float().mean() > 0.03


def test_a_second_color_reaches_the_second_part_only(mug: Geometry) -> None:
    plain = shade(mug, Look("red"), supersampling=1)
    two_tone = shade(mug, Look("red", pattern="two-tone", second_color="blue"), supersampling=1)
    second = mug.part == mug.parts.index("second")
    assert torch.equal(plain[:, ~second], two_tone[:, ~second])
    assert two_tone[2, second].mean() > two_tone[0, second].mean()


def test_training_pictures_come_in_pairs_that_differ_in_one_thing() -> None:
    items = draw_items(600, 0.6, 3, held_out=False)
    for first, second in zip(items[::2], items[1::2], strict=True):
        one, two = first["attributes"], second["attributes"]
        differing = {k for k in one.keys() | two.keys() if one.get(k) != two.get(k)}
        assert differing and len(differing - {"second_color"}) <= 1, (one, two)
        assert first["domain"] == second["domain"]


def test_every_product_comes_only_in_what_suits_it() -> None:
    for item in draw_items(600, 1.0, 4, held_out=True):
        a = item["attributes"]
        kind = words.KINDS[a["kind"]]
        assert a["finish"] in kind.finishes and a["pattern"] in kind.patterns
        assert ("second_color" in a) == (a["pattern"] != "plain")
        assert a.get("second_color") != a["color"]


def test_pictures_drawings_and_masks_belong_together(tmp_path: Path) -> None:
    item = {"domain": "product", "attributes": draw_product(Random(1)) | {"kind": "mug"}}
    item["attributes"] |= {"finish": "matte", "pattern": "plain", "background": "white"}
    face = {"domain": "avatar", "attributes": {"figure": "robot"}}
    render({tmp_path / "some.npy": [item, face]}, 64, 1)
    pictures, drawings = (np.load(tmp_path / f"some{s}.npy") for s in ("", "-sketches"))
    masks = np.unpackbits(np.load(tmp_path / "some-masks.npy"), axis=-1).astype(bool)
    assert pictures.shape == (2, 64, 64, 3) and drawings.shape == masks.shape == (2, 64, 64)
    for i in range(2):
        assert masks[i].any() and not masks[i].all()
        ink = drawings[i] < 128
        assert 0.005 < ink.mean() < 0.35
        # Lines lie on the object or on its outline.
        grown = functional.max_pool2d(torch.from_numpy(masks[i])[None].float(), 5, 1, 2)[0] > 0
        assert not (ink & ~grown.numpy()).any()
    assert not list(tmp_path.glob("*.part.*"))


def test_an_interrupted_rendering_goes_on_where_it_was(tmp_path: Path) -> None:
    items = [{"domain": "avatar", "attributes": {"figure": "cat"}}] * 3
    render({tmp_path / "whole.npy": items}, 64, 1)
    whole = np.load(tmp_path / "whole.npy")
    # What an interrupted run leaves: a file with finished pictures and a ledger that says so.
    for suffix in ("", "-sketches", "-masks"):
        name = f"some{suffix}.part.npy"
        np.save(tmp_path / name, np.full_like(np.load(tmp_path / f"whole{suffix}.npy"), 7))
    (tmp_path / "rendered.part.txt").write_text("0\n")
    render({tmp_path / "some.npy": items}, 64, 1)
    assert (np.load(tmp_path / "some.npy") == 7).all() and not (whole == 7).all()


@pytest.mark.parametrize("attribute", list(words.AVATAR_ATTRIBUTES))
def test_every_attribute_of_an_avatar_can_be_seen(attribute: str) -> None:
    values = words.AVATAR_ATTRIBUTES[attribute]
    others = {"figure": "fox"} if attribute in words.ONLY_MASCOTS else {}
    drawn = [
        np.asarray(draw_avatar(others | {attribute: value}, SIDE)).tobytes() for value in values
    ]
    assert len(set(drawn)) == len(values)
    again = np.asarray(draw_avatar(others | {attribute: values[0]}, SIDE)).tobytes()
    assert again == drawn[0]


@pytest.mark.parametrize("figure", words.AVATAR_ATTRIBUTES["figure"])
def test_every_figure_shows_every_expression(figure: str) -> None:
    moods = words.AVATAR_ATTRIBUTES["expression"]
    faces = [
        np.asarray(draw_avatar({"figure": figure, "expression": mood}), np.int16) for mood in moods
    ]
    for one, two in combinations(faces, 2):
        assert (np.abs(one - two).max(axis=-1) > 60).mean() > 0.002


def test_white_fur_can_be_seen_on_white() -> None:
    face = np.asarray(draw_avatar({"figure": "bear", "fur": "white"}))
    assert face[80, 128].max() < 235
