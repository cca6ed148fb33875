"""Rendering a product: a g-buffer once per shape, then any number of colorways from it.

Everything is device-neutral torch. Rays march the distance functions (sphere tracing, Hart 1996);
the camera is orthographic, like a long lens in a studio, and framed on the object.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine.starter.render.shapes import BUILDERS, PART_COLORS
from engine.starter.vocabulary import BACKGROUNDS, COLORS

AZIMUTH_DEG = {"t-shirt": 8.0, "watch": 16.0, "cap": 40.0, "sneaker": 24.0, "headphones": 22.0}
ELEVATION_DEG = {"t-shirt": 8.0, "watch": 10.0, "headphones": 12.0}
FILL = 0.74  # share of the frame that the object's longer side takes
_KEY = (-0.55, 0.95, 0.6)
_RIM = (0.8, 0.5, -0.6)


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a camera sees of one shape, at (side * supersampling) pixels squared.

    Attributes:
        parts: names; `part` (H, W) indexes them, -1 is ground or backdrop.
        normal: (H, W, 3) unit vectors, zero off the object.
        view: (3,) unit vector towards the camera.
        key: (H, W) share of the key light that arrives, 0..1, on object and ground.
        occlusion: (H, W) share of the sky that is seen, 0..1.
        height: (H, W) world height of the object's points.
    """

    parts: tuple[str, ...]
    part: Tensor
    normal: Tensor
    view: Tensor
    key: Tensor
    occlusion: Tensor
    height: Tensor


def _distance(kind: str, other: bool, p: Tensor) -> Tensor:
    return torch.stack(list(BUILDERS[kind](p, other).values())).amin(dim=0)


def _camera(kind: str) -> tuple[Tensor, Tensor, Tensor]:
    a = math.radians(AZIMUTH_DEG.get(kind, 30.0))
    e = math.radians(ELEVATION_DEG.get(kind, 22.0))
    towards = torch.tensor([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])
    right = torch.tensor([math.cos(a), 0.0, -math.sin(a)])
    return right, torch.linalg.cross(towards, right), towards


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
    """Return the share of a soft light that arrives at points (N, 3), 0..1."""
    t = torch.full((len(p),), 0.05)
    share = torch.ones(len(p))
    for _ in range(28):
        d = _distance(kind, other, p + t[:, None] * light)
        share = torch.minimum(share, (0.5 + 0.5 * d / (t * 0.16)).clamp(0, 1))
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
def build_geometry(kind: str, other: bool, side: int = 256, supersampling: int = 2) -> Geometry:
    """March one shape as seen by its camera."""
    right, up, towards = _camera(kind)
    center, extent = _frame(kind, other, right, up, towards)
    n = side * supersampling
    ticks = (torch.arange(n) + 0.5) / n * 2 - 1
    v, u = torch.meshgrid(-ticks, ticks, indexing="ij")
    origin = center + extent * (u.reshape(-1, 1) * right + v.reshape(-1, 1) * up) + 4.5 * towards
    t = _march(kind, other, origin, -towards, 110)
    ground_t = origin[:, 1] / towards[1]
    on_object = t < ground_t + 0.01
    t = torch.where(on_object, t, ground_t)
    p = origin - t[:, None] * towards
    light = functional.normalize(torch.tensor(_KEY), dim=0)

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
    near = on_object | (_distance(kind, other, p) < 3.0)
    key, occlusion = torch.ones(n * n), torch.ones(n * n)
    start = p[near] + 0.012 * facing[near]
    key[near] = _key_light(kind, other, start, light)
    occlusion[near] = _sky(kind, other, start, facing[near])
    height = torch.where(on_object, p[:, 1], torch.zeros(n * n))
    shape = (n, n)
    return Geometry(
        parts=tuple(named),
        part=part.view(shape),
        normal=normal.view(n, n, 3),
        view=towards,
        key=key.view(shape),
        occlusion=occlusion.view(shape),
        height=height.view(shape),
    )


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


@torch.no_grad()
def shade(
    geometry: Geometry, color: str, finish: str, background: str, supersampling: int = 2
) -> Tensor:
    """Light one colorway and return the picture, (3, side, side) float in 0..1, sRGB."""
    g = geometry
    on_object = g.part >= 0
    palette = torch.stack(
        [_linear(COLORS[color] if n == "main" else PART_COLORS[n]) for n in g.parts]
    )
    albedo = palette[g.part.clamp(min=0)]
    light = functional.normalize(torch.tensor(_KEY), dim=0)
    rim = functional.normalize(torch.tensor(_RIM), dim=0)
    half = functional.normalize(light + g.view, dim=0)
    n_l = (g.normal @ light).clamp(min=0)
    n_v = (g.normal @ g.view).clamp(0, 1)
    sky = 0.42 + 0.26 * g.normal[..., 1]
    bounce = 0.12 * (0.5 - 0.5 * g.normal[..., 1]) * torch.exp(-1.5 * g.height)
    back = 0.16 * (g.normal @ rim).clamp(min=0)
    diffuse = sky * g.occlusion + 0.72 * n_l * g.key + (bounce + back) * g.occlusion
    main = torch.zeros_like(on_object)
    if "main" in g.parts:
        main = g.part == g.parts.index("main")
    gloss = torch.zeros_like(n_l)
    radiance = albedo * diffuse[..., None]
    # The black product keeps a sheen in every finish, or its form would vanish.
    sheen = 0.05 * (1 - n_v) ** 3 * g.occlusion
    if finish == "glossy":
        spot = (g.normal @ half).clamp(min=0) ** 90 * g.key
        window = _softbox(g, light) * 0.35 * g.occlusion
        gloss = torch.where(main, 0.9 * spot + window + 0.25 * (1 - n_v) ** 4 * g.occlusion, gloss)
    elif finish == "metallic":
        bands = _environment(g)
        metal = albedo * (0.25 * diffuse + 1.05 * bands * g.occlusion)[..., None]
        metal = metal + 0.12 * ((g.normal @ half).clamp(min=0) ** 40 * g.key)[..., None]
        radiance = torch.where(main[..., None], metal, radiance)
    radiance = radiance + (gloss + sheen)[..., None]
    backdrop = _backdrop(g, background)
    picture = torch.where(on_object[..., None], radiance, backdrop)
    picture = functional.avg_pool2d(picture.permute(2, 0, 1)[None], supersampling)[0]
    return _encoded(picture)


def _backdrop(g: Geometry, background: str) -> Tensor:
    ground = _linear(BACKGROUNDS[background])
    shadow = 0.62 + 0.38 * g.key
    contact = 0.35 + 0.65 * g.occlusion
    return ground * (shadow * contact)[..., None]


def _reflected(g: Geometry) -> Tensor:
    cosine = (g.normal @ g.view)[..., None]
    return 2 * cosine * g.normal - g.view


def _softbox(g: Geometry, light: Tensor) -> Tensor:
    r = _reflected(g)
    side = torch.linalg.cross(light, torch.tensor([0.0, 1.0, 0.0]))
    across, toward = r @ functional.normalize(side, dim=0), r @ light
    return torch.sigmoid((toward - 0.72) * 40) * torch.sigmoid((0.5 - across.abs()) * 30)


def _environment(g: Geometry) -> Tensor:
    """Return what a metal mirrors: dark floor, bright horizon, gray sky, one bright window."""
    r = _reflected(g)
    y = r[..., 1]
    sky = 0.45 + 0.4 * torch.sigmoid((y - 0.1) * 9)
    horizon = 0.65 * torch.exp(-(((y - 0.12) / 0.16) ** 2))
    floor = -0.25 * torch.sigmoid((-y - 0.15) * 8)
    window = 0.9 * torch.sigmoid((r[..., 0] * -0.6 + y * 0.5 + r[..., 2] * 0.6 - 0.78) * 22)
    return sky + horizon + floor + window


def _linear(color: str) -> Tensor:
    c = torch.tensor([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return torch.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Tensor) -> Tensor:
    """Return sRGB with a soft shoulder, so that highlights roll off instead of clipping."""
    x = torch.where(linear > 0.8, 0.8 + 0.2 * torch.tanh((linear - 0.8) / 0.2), linear).clamp(min=0)
    # The shoulder must leave a pure white backdrop white.
    x = torch.where(linear >= 0.999, x.clamp(min=1.0), x)
    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055).clamp(0, 1)
