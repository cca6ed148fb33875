"""The pictures the starter model learns from show what their labels say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.starter import vocabulary as words
from engine.starter.render.avatars import draw_avatar
from engine.starter.render.scene import Geometry, build_geometry, shade
from engine.starter.render.shapes import BUILDERS

SIDE = 64


def main_part(geometry: Geometry) -> torch.Tensor:
    return geometry.part == geometry.parts.index("main")


@pytest.fixture(scope="module")
def mug() -> Geometry:
    return build_geometry("mug", False, SIDE, supersampling=1)


def test_every_kind_has_a_builder_and_two_named_shapes() -> None:
    assert set(BUILDERS) == set(words.KINDS)
    assert all(len(set(names)) == 2 for names in words.SHAPES.values())


@pytest.mark.parametrize("kind", ["teapot", "chair", "sneaker"])
def test_a_product_fills_the_frame_without_touching_its_edge(kind: str) -> None:
    on_object = build_geometry(kind, False, 48, supersampling=1).part >= 0
    assert 0.08 < on_object.float().mean() < 0.75
    edge = torch.cat([on_object[0], on_object[-1], on_object[:, 0], on_object[:, -1]])
    assert not edge.any()


def test_the_two_shapes_of_a_kind_look_different() -> None:
    one = build_geometry("vase", False, 48, supersampling=1).part >= 0
    two = build_geometry("vase", True, 48, supersampling=1).part >= 0
    assert (one ^ two).float().mean() > 0.03


def test_the_named_color_is_the_color_of_the_product(mug: Geometry) -> None:
    colors = {}
    for name in ("red", "blue", "yellow"):
        picture = shade(mug, name, "matte", "white", supersampling=1)
        colors[name] = picture[:, main_part(mug)].mean(dim=1)
    assert colors["red"].argmax() == 0 and colors["blue"].argmax() == 2
    assert colors["yellow"][0] > 2 * colors["yellow"][2]


def test_a_white_product_can_be_seen_on_white(mug: Geometry) -> None:
    picture = shade(mug, "white", "matte", "white", supersampling=1)
    backdrop = picture[:, 2, 2].mean()
    assert backdrop - picture[:, main_part(mug)].mean() > 0.05


def test_colorways_of_one_shape_share_every_pixel_off_the_product(mug: Geometry) -> None:
    one = shade(mug, "red", "matte", "mint", supersampling=1)
    two = shade(mug, "navy", "glossy", "mint", supersampling=1)
    off = mug.part < 0
    assert torch.equal(one[:, off], two[:, off])
    assert not torch.equal(one[:, ~off], two[:, ~off])


def test_rendering_twice_gives_the_same_picture(mug: Geometry) -> None:
    again = build_geometry("mug", False, SIDE, supersampling=1)
    one = shade(mug, "sage", "metallic", "charcoal", supersampling=1)
    assert torch.equal(one, shade(again, "sage", "metallic", "charcoal", supersampling=1))


@pytest.mark.parametrize("attribute", list(words.AVATAR_ATTRIBUTES))
def test_every_attribute_of_an_avatar_can_be_seen(attribute: str) -> None:
    values = words.AVATAR_ATTRIBUTES[attribute]
    drawn = [np.asarray(draw_avatar({attribute: value}, SIDE)).tobytes() for value in values]
    assert len(set(drawn)) == len(values)
    again = np.asarray(draw_avatar({attribute: values[0]}, SIDE)).tobytes()
    assert again == drawn[0]
