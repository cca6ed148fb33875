"""What a camera sees of a product: a g-buffer once per shape and view, colored later.

Everything is device-neutral torch. Rays march the distance functions (sphere tracing, Hart 1996);
the camera is orthographic, like a long lens in a studio, and framed on the object.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from engine.starter.render.shapes import BUILDERS

# Azimuth and elevation of the two named views, degrees.
FRONT: Final[dict[str, tuple[float, float]]] = {
    "t-shirt": (8, 8),
    "watch": (16, 10),
    "cap": (40, 22),
    "sneaker": (-38, 24),
    "boots": (-42, 20),
    "headphones": (22, 12),
    "dress": (10, 8),
    "hoodie": (10, 8),
    "wall clock": (8, 4),
    "cushion": (14, 12),
    "phone case": (18, 8),
    "handbag": (20, 14),
    "sunglasses": (26, 20),
    "ring": (28, 18),
    "bicycle helmet": (-40, 26),
    "perfume bottle": (22, 14),
}
SIDE: Final[dict[str, tuple[float, float]]] = {
    "mug": (150, 6),
    "teapot": (152, 6),
    "bottle": (0, 3),
    "vase": (0, 3),
    "plant pot": (0, 4),
    "candle": (62, 4),
    "lamp": (0, 3),
    "table": (4, 5),
    "stool": (45, 5),
    "sneaker": (3, 8),
    "boots": (4, 6),
    "cap": (84, 10),
    "bicycle helmet": (-4, 8),
    "t-shirt": (52, 10),
    "hoodie": (52, 10),
    "dress": (55, 10),
    "watch": (62, 12),
    "wall clock": (50, 8),
    "cushion": (58, 12),
    "phone case": (58, 12),
    "headphones": (66, 12),
    "handbag": (64, 14),
    "sunglasses": (64, 14),
    "ring": (64, 12),
    "perfume bottle": (60, 6),
    "gift box": (6, 10),
}
FILL: Final = 0.74  # share of the frame that the object's longer side takes
KEY: Final = (-0.55, 0.95, 0.6)  # towards the light, seen from the front view
_DEFAULT_FRONT, _DEFAULT_SIDE = (30.0, 22.0), (66.0, 12.0)
_KEY_AZIMUTH_DEG = 30.0


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a camera sees of one shape, at (side * supersampling) pixels squared.

    Attributes:
        kind: its name in the vocabulary.
        parts: names; `part` (H, W) indexes them, -1 is ground or backdrop.
        position: (H, W, 3) world points of the object, zero off it.
        normal: (H, W, 3) unit vectors, zero off the object.
        view, light: (3,) unit vectors towards the camera and the key light.
        key: (H, W) share of the key light that arrives, 0..1.
        occlusion: (H, W) share of the sky that is seen, 0..1.
        shadow: (H, W) how dark the ground is, 0..1; soft, and gone before the frame ends.
        extent: half the frame's width in world units.
    """

    kind: str
    parts: tuple[str, ...]
    part: Tensor
    position: Tensor
    normal: Tensor
    view: Tensor
    light: Tensor
    key: Tensor
    occlusion: Tensor
    shadow: Tensor
    extent: float

    @property
    def mask(self) -> Tensor:
        """Return where the object is, (H, W) bool."""
        return self.part >= 0


def _distance(kind: str, other: bool, p: Tensor) -> Tensor:
    return torch.stack(list(BUILDERS[kind](p, other).values())).amin(dim=0)


def _camera(kind: str, view: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the camera's right, up and backward vectors and the direction to the key light."""
    azimuth, elevation = (
        FRONT.get(kind, _DEFAULT_FRONT) if view == "front" else SIDE.get(kind, _DEFAULT_SIDE)
    )
    a, e = math.radians(azimuth), math.radians(elevation)
    towards = torch.tensor([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])
    right = torch.tensor([math.cos(a), 0.0, -math.sin(a)])
    # The light goes with the camera, as a photographer moves the object and not the lamps.
    turn = math.radians(azimuth - _KEY_AZIMUTH_DEG)
    x, y, z = KEY
    light = torch.tensor(
        [x * math.cos(turn) + z * math.sin(turn), y, z * math.cos(turn) - x * math.sin(turn)]
    )
    return right, torch.linalg.cross(towards, right), towards, functional.normalize(light, dim=0)


def _march(kind: str, other: bool, origin: Tensor, direction: Tensor, steps: int) -> Tensor:
    """Return the ray parameter (N,) of the first hit, infinity for none."""
    t = torch.zeros(len(origin))
    result = torch.full((len(origin),), math.inf)
    alive = torch.arange(len(origin))
    for _ in range(steps):
        p = origin[alive] + t[alive, None] * direction
        d = _distance(kind, other, p)
        hit = d < 0.002
        result[alive[hit]] = t[alive[hit]]
        t[alive] = t[alive] + d.clamp(min=0.001) * 0.8
        alive = alive[~hit & (t[alive] < 9.0)]
        if len(alive) == 0:
            break
    return result


def _key_light(kind: str, other: bool, p: Tensor, light: Tensor) -> Tensor:
    """Return the share of a large soft light that arrives at points (N, 3), 0..1."""
    t = torch.full((len(p),), 0.05)
    share = torch.ones(len(p))
    for _ in range(28):
        d = _distance(kind, other, p + t[:, None] * light)
        share = torch.minimum(share, (0.5 + 0.5 * d / (t * 0.3)).clamp(0, 1))
        t = t + d.abs().clamp(0.04, 0.22)
    return share * share * (3 - 2 * share)


def _sky(kind: str, other: bool, p: Tensor, normal: Tensor) -> Tensor:
    """Return how open the surroundings of points (N, 3) are, 0..1."""
    closed = torch.zeros(len(p))
    for reach, weight in ((0.06, 0.9), (0.16, 0.6), (0.32, 0.4), (0.55, 0.28)):
        q = p + reach * normal
        d = torch.minimum(_distance(kind, other, q), q[:, 1])
        closed = closed + weight * (reach - d).clamp(min=0) / reach
    return (1 - 0.62 * closed).clamp(0.12, 1)


@torch.no_grad()
def build_geometry(
    kind: str, other: bool, view: str = "front", side: int = 256, supersampling: int = 2
) -> Geometry:
    """March one shape as seen from one of its named views."""
    right, up, towards, light = _camera(kind, view)
    center, extent = _frame(kind, other, right, up, towards)
    n = side * supersampling
    ticks = (torch.arange(n) + 0.5) / n * 2 - 1
    v, u = torch.meshgrid(-ticks, ticks, indexing="ij")
    origin = center + extent * (u.reshape(-1, 1) * right + v.reshape(-1, 1) * up) + 4.5 * towards
    # The object reaches no further than the frame was fitted to it.
    around = (u.abs() < FILL * 1.04) & (v.abs() < FILL * 1.04)
    t = torch.full((n * n,), math.inf)
    t[around.flatten()] = _march(kind, other, origin[around.flatten()], -towards, 110)
    # A camera below or level with the ground sees none of it.
    ground_t = origin[:, 1] / towards[1] if towards[1] > 0.01 else torch.full((n * n,), 8.0)
    on_object = t < ground_t + 0.01
    t = torch.where(on_object, t, ground_t)
    p = origin - t[:, None] * towards

    inside = p[on_object]
    named = BUILDERS[kind](inside, other)
    part = torch.full((n * n,), -1, dtype=torch.long)
    part[on_object] = torch.stack(list(named.values())).argmin(dim=0)
    normal = torch.zeros(n * n, 3)
    e = 0.004
    grad = [
        _distance(kind, other, inside + torch.eye(3)[i] * e)
        - _distance(kind, other, inside - torch.eye(3)[i] * e)
        for i in range(3)
    ]
    normal[on_object] = functional.normalize(torch.stack(grad, dim=1), dim=1)
    facing = torch.where(on_object[:, None], normal, torch.tensor([0.0, 1.0, 0.0]))
    near = on_object | (_distance(kind, other, p) < 2.0)
    key, occlusion = torch.ones(n * n), torch.ones(n * n)
    start = p[near] + 0.012 * facing[near]
    key[near] = _key_light(kind, other, start, light)
    occlusion[near] = _sky(kind, other, start, facing[near])
    position = torch.where(on_object[:, None], p, torch.zeros(3))
    key, occlusion = key.view(n, n), occlusion.view(n, n)
    return Geometry(
        kind=kind,
        parts=tuple(named),
        part=part.view(n, n),
        position=position.view(n, n, 3),
        normal=normal.view(n, n, 3),
        view=towards,
        light=light,
        key=key,
        occlusion=occlusion,
        shadow=_ground_shadow(key, occlusion),
        extent=extent,
    )


def _ground_shadow(key: Tensor, occlusion: Tensor) -> Tensor:
    n = len(key)
    cast = _blurred(1 - key, n // 28) * 0.3
    contact = (1 - occlusion) * 0.5 + 0.34 * _blurred(1 - occlusion, n // 40)
    ticks = (torch.arange(n) + 0.5) / n
    fade = (torch.minimum(ticks, 1 - ticks) / 0.16).clamp(0, 1)
    fade = fade * fade * (3 - 2 * fade)
    dark = 1 - (1 - cast) * (1 - contact)
    return (dark * fade[:, None] * fade[None, :]).clamp(0, 0.9)


def _blurred(values: Tensor, radius: int) -> Tensor:
    """Return (H, W) blurred, nearly a Gaussian: three box filters."""
    width = 2 * radius + 1
    x = values[None, None]
    for _ in range(3):
        x = functional.pad(x, (radius,) * 4, mode="replicate")
        x = functional.avg_pool2d(functional.avg_pool2d(x, (width, 1), 1), (1, width), 1)
    return x[0, 0]


def _frame(
    kind: str, other: bool, right: Tensor, up: Tensor, towards: Tensor
) -> tuple[Tensor, float]:
    """Return the point the camera looks at and half the frame's width, from a coarse look."""
    n, extent = 96, 2.4
    ticks = (torch.arange(n) + 0.5) / n * 2 - 1
    v, u = torch.meshgrid(-ticks, ticks, indexing="ij")
    middle = torch.tensor([0.0, 1.0, 0.0])
    plane = extent * (u.reshape(-1, 1) * right + v.reshape(-1, 1) * up)
    hit = torch.isfinite(_march(kind, other, middle + plane + 4.5 * towards, -towards, 90)).view(
        n, n
    )
    rows, columns = hit.any(dim=1).nonzero(), hit.any(dim=0).nonzero()
    top, bottom = ticks[rows.min()], ticks[rows.max()]
    left, end = ticks[columns.min()], ticks[columns.max()]
    size = max(float(bottom - top), float(end - left)) / 2 * extent
    center = middle + extent * (float(left + end) / 2 * right - float(top + bottom) / 2 * up)
    return center, size / FILL
