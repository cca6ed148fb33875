"""What the judge's examination asks for, and the renders that show the right answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from engine.starter.captions import avatar_caption, product_caption
from engine.starter.render.avatars import draw_avatar
from engine.starter.render.dataset import Item, draw_avatar_attributes, draw_product, shape_of
from engine.starter.render.geometry import Geometry, build_geometry
from engine.starter.render.shading import look_of, shade
from engine.starter.training import to_tensor
from engine.starter.vocabulary import HELD_OUT_PAIRS, Vocabulary


def unseen_products(count: int, known: Vocabulary, seed: int = 0) -> list[Item]:
    """Return requests spread evenly over the color-kind pairs that training never showed."""
    rng = random.Random(seed)
    pairs = sorted(
        (color, kind)
        for color, kind in HELD_OUT_PAIRS
        if color in known.colors and kind in known.kinds
    )
    items: list[Item] = []
    while len(items) < count:
        color, kind = pairs[len(items) % len(pairs)]
        a = draw_product(rng, known)
        if a["kind"] == kind and a.get("second_color") != color:
            items.append({"domain": "product", "attributes": {**a, "color": color}})
    return items


def seen_products(count: int, known: Vocabulary, seed: int = 0) -> list[Item]:
    """Return requests for pairs that training showed."""
    rng = random.Random(seed)
    items: list[Item] = []
    while len(items) < count:
        a = draw_product(rng, known)
        if (a["color"], a["kind"]) not in HELD_OUT_PAIRS:
            items.append({"domain": "product", "attributes": a})
    return items


def avatars(count: int, known: Vocabulary, seed: int = 0) -> list[Item]:
    """Return requests for avatars."""
    rng = random.Random(seed)
    return [
        {"domain": "avatar", "attributes": draw_avatar_attributes(rng, known)} for _ in range(count)
    ]


def captions_of(items: Sequence[Item], known: Vocabulary) -> list[str]:
    """Return the full captions of requests."""
    return [
        product_caption(item["attributes"], known)
        if item["domain"] == "product"
        else avatar_caption(item["attributes"])
        for item in items
    ]


class Studio:
    """Renders requests, each geometry once.

    Args:
        side: pixels of the pictures.
        supersampling: see render.geometry.
    """

    def __init__(self, side: int = 256, supersampling: int = 2) -> None:
        self._side, self._supersampling = side, supersampling
        self._geometries: dict[Any, Geometry] = {}

    def geometry(self, item: Item) -> Geometry:
        """Return what the camera sees of a product."""
        shape = shape_of(item)
        if shape is None:
            raise ValueError("An avatar has no geometry.")
        if shape not in self._geometries:
            self._geometries[shape] = build_geometry(*shape, self._side, self._supersampling)
        return self._geometries[shape]

    def mask(self, item: Item) -> Tensor:
        """Return where a product is, (side, side) bool."""
        n, s = self._side, self._supersampling
        return self.geometry(item).mask.view(n, s, n, s).float().mean(dim=(1, 3)) > 0.3

    def render(self, items: Sequence[Item]) -> Tensor:
        """Return (N, 3, side, side) in -1..1."""
        pictures = []
        for item in tqdm(items, desc="rendering", mininterval=30):
            a = item["attributes"]
            if item["domain"] == "avatar":
                pictures.append(np.asarray(draw_avatar(a, self._side)))
                continue
            picture = shade(self.geometry(item), look_of(a), self._supersampling)
            pixels = (picture.permute(1, 2, 0) * 255).round().to(torch.uint8)
            pictures.append(pixels.numpy())
        return to_tensor(np.stack(pictures))
