"""Lighting one colorway of a product: finishes, patterns, backdrop. Colors in, picture out.

Two colorways of one geometry are exact pairs: every pixel off the product is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from engine.starter.render.geometry import Geometry
from engine.starter.render.parts import SECOND, fixed_color
from engine.starter.vocabulary import BACKGROUNDS, COLORS

# Kinds whose patterns run around them; on the others they lie on each face.
_ROUND: Final = frozenset(
    {"mug", "bottle", "vase", "lamp", "teapot", "plant pot", "candle", "cap", "bicycle helmet"}
)
_STRIPES_ACROSS, _DOTS_ACROSS = 6.5, 7.0  # in the frame's width
_MAPS: Final = ("part", "position", "normal", "key", "occlusion")
_RIM = (0.8, 0.5, -0.6)


@dataclass(frozen=True, slots=True)
class Look:
    """How a product is colored; see vocabulary.Kind for what suits which kind."""

    color: str
    finish: str = "matte"
    background: str = "white"
    pattern: str = "plain"
    second_color: str = "white"


@torch.no_grad()
def shade(geometry: Geometry, look: Look, supersampling: int = 2) -> Tensor:
    """Light one colorway and return the picture, (3, side, side) float in 0..1, sRGB."""
    box = _box(geometry.mask)
    g = replace(geometry, **{name: getattr(geometry, name)[box] for name in _MAPS})
    albedo = _albedo(g, look)
    ground = _linear(BACKGROUNDS[look.background])
    painted = _named(g, "main") | _named(g, SECOND)
    n_v = (g.normal @ g.view).clamp(0, 1)
    fresnel = (1 - n_v)[..., None]
    diffuse = _diffuse(g)[..., None]
    # A dark card beside a pale product gives it an edge on a pale backdrop; a black one keeps a
    # sheen, or its form would vanish.
    lightness = albedo.mean(dim=-1, keepdim=True)
    radiance = albedo * diffuse * (1 - 0.34 * lightness * fresnel**2)
    radiance = radiance + 0.05 * fresnel**3 * g.occlusion[..., None]
    special = _FINISHES[look.finish](g, albedo, diffuse, fresnel, ground)
    radiance = torch.where(painted[..., None], special, radiance)
    flame = _named(g, "flame")[..., None]
    radiance = torch.where(flame, albedo * (1.5 - 0.5 * fresnel), radiance)
    lens = _named(g, "lens")[..., None]
    radiance = torch.where(lens, radiance + 0.06 * _environment(g)[..., None], radiance)
    gem = _named(g, "gem")[..., None]
    radiance = torch.where(gem, albedo * (0.45 + 0.7 * _environment(g)[..., None]), radiance)
    picture = ground * (1 - geometry.shadow)[..., None]
    picture[box] = torch.where(g.mask[..., None], _rolled_off(radiance), picture[box])
    picture = functional.avg_pool2d(picture.permute(2, 0, 1)[None], supersampling)[0]
    return _encoded(picture)


def _box(mask: Tensor) -> tuple[slice, slice]:
    """Return the rows and columns that hold the object."""
    rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
    return (
        slice(int(rows.min()), int(rows.max()) + 1),
        slice(int(columns.min()), int(columns.max()) + 1),
    )


def _named(g: Geometry, name: str) -> Tensor:
    """Return where a part is, (H, W) bool; "second" is any second part of the asked finish."""
    wanted = [
        i
        for i, part in enumerate(g.parts)
        if part == name or (name != SECOND and part == f"{SECOND} {name}")
    ]
    return torch.isin(g.part, torch.tensor(wanted, dtype=torch.long))


def _albedo(g: Geometry, look: Look) -> Tensor:
    """Return the reflectance (H, W, 3), patterns included."""
    first, second = _linear(COLORS[look.color]), _linear(COLORS[look.second_color])
    colors = []
    for part in g.parts:
        fixed = fixed_color(part)
        if look.pattern == "two-tone" and part.startswith(SECOND):
            colors.append(second)
        else:
            colors.append(first if fixed is None else _linear(fixed))
    albedo = torch.stack(colors)[g.part.clamp(min=0)]
    if look.pattern not in ("striped", "dotted"):
        return albedo
    u, v = _surface(g)
    soft = 60.0
    if look.pattern == "striped":
        phase = (v / (2 * g.extent) * _STRIPES_ACROSS) % 1.0
        share = torch.sigmoid(soft * (0.21 - (phase - 0.5).abs()))
    else:
        step = 2 * g.extent / _DOTS_ACROSS
        row = torch.floor(v / (step * 0.87))
        x = ((u / step + 0.5 * (row % 2)) % 1.0 - 0.5) * step
        y = (v / (step * 0.87) - row - 0.5) * step * 0.87
        share = torch.sigmoid(soft * (0.3 - torch.sqrt(x * x + y * y) / step))
    share = share * (_named(g, "main") | _named(g, SECOND))
    return albedo + share[..., None] * (second - albedo)


def _surface(g: Geometry) -> tuple[Tensor, Tensor]:
    """Return coordinates on the surface, world units: along it and up it."""
    x, y, z = g.position.unbind(dim=-1)
    nx, ny, nz = g.normal.abs().unbind(dim=-1)
    if g.kind in _ROUND:
        around = torch.atan2(x, z) * _typical_radius(g)
        return torch.where(ny > 0.9, x, around), torch.where(ny > 0.9, z, y)
    top = (ny > 0.75) & (ny > nx) & (ny > nz)
    side = ~top & (nx > nz)
    return torch.where(side, z, x), torch.where(top, z, y)


def _typical_radius(g: Geometry) -> float:
    x, _, z = g.position[_named(g, "main")].unbind(dim=-1)
    return float(torch.sqrt(x * x + z * z).median()) if len(x) else 1.0


def _diffuse(g: Geometry) -> Tensor:
    rim = functional.normalize(g.view.new_tensor(_RIM), dim=0)
    n_l = (g.normal @ g.light).clamp(min=0)
    height = g.position[..., 1]
    sky = 0.46 + 0.26 * g.normal[..., 1]
    bounce = 0.14 * (0.5 - 0.5 * g.normal[..., 1]) * torch.exp(-1.5 * height)
    back = 0.14 * (g.normal @ rim).clamp(min=0)
    return sky * g.occlusion + 0.66 * n_l * g.key + (bounce + back) * g.occlusion


def _matte(g: Geometry, albedo: Tensor, diffuse: Tensor, fresnel: Tensor, ground: Tensor) -> Tensor:
    edge = 1 - 0.34 * albedo.mean(dim=-1, keepdim=True) * fresnel**2
    return albedo * diffuse * edge + 0.05 * fresnel**3 * g.occlusion[..., None]


def _glossy(
    g: Geometry, albedo: Tensor, diffuse: Tensor, fresnel: Tensor, ground: Tensor
) -> Tensor:
    spot = (_half_way(g) ** 110 * g.key)[..., None]
    mirror = 0.5 * _softbox(g) + 0.3 * fresnel**4
    return (
        _matte(g, albedo, diffuse * 0.94, fresnel, ground)
        + 0.8 * spot
        + mirror * (g.occlusion[..., None])
    )


def _metallic(
    g: Geometry, albedo: Tensor, diffuse: Tensor, fresnel: Tensor, ground: Tensor
) -> Tensor:
    mirrored = (_environment(g) * g.occlusion)[..., None]
    metal = albedo * (0.2 * diffuse + 0.98 * mirrored) + 0.08 * mirrored
    edge = 1 - 0.4 * albedo.mean(dim=-1, keepdim=True) * fresnel**2
    return metal * edge + 0.12 * (_half_way(g) ** 40 * g.key)[..., None]


def _wooden(
    g: Geometry, albedo: Tensor, diffuse: Tensor, fresnel: Tensor, ground: Tensor
) -> Tensor:
    """Stained wood: rings around an axis that lies slanted in the piece."""
    x, y, z = (g.position / g.extent * 2.0).unbind(dim=-1)
    bend = 0.22 * torch.sin(1.7 * x + 0.6 * z) + 0.1 * torch.sin(4.1 * x + 1.3 * y)
    rings = (y + 0.35 * z + bend) * 5.2
    saw = rings % 1.0
    grain = (saw**2) * torch.sigmoid((0.94 - saw) * 40)
    stain = albedo.new_tensor([0.52, 0.38, 0.25])
    tinted = albedo * 0.86 + 0.14 * albedo.mean(dim=-1, keepdim=True) * stain * 2
    wood = tinted * (1 - 0.5 * grain[..., None]) * (1 - 0.1 * (1 - stain) * grain[..., None])
    return (
        _matte(g, wood, diffuse, fresnel, ground) + 0.08 * (_half_way(g) ** 24 * g.key)[..., None]
    )


def _leather(
    g: Geometry, albedo: Tensor, diffuse: Tensor, fresnel: Tensor, ground: Tensor
) -> Tensor:
    """A broad soft shine that breaks up in the grain."""
    x, y, z = (g.position / g.extent * 2.0).unbind(dim=-1)
    grain = (
        torch.sin(9.1 * x + 3.0 * torch.sin(5.3 * y))
        * torch.sin(8.3 * y + 2.6 * torch.sin(6.1 * z + 1.0))
        * torch.cos(7.7 * z + 2.8 * torch.sin(5.9 * x))
    )
    shine = (_half_way(g) ** 9 * g.key * (1 + 0.45 * grain))[..., None]
    shade = 0.8 + 0.12 * grain[..., None]
    return _matte(g, albedo * shade, diffuse, fresnel, ground) + 0.24 * shine


def _fabric(
    g: Geometry, albedo: Tensor, diffuse: Tensor, fresnel: Tensor, ground: Tensor
) -> Tensor:
    """A coarse weave without shine, whose fibers catch light at the edges."""
    u, v = _surface(g)
    step = 2 * g.extent / 24
    weave = torch.sin(u / step * 6.2832) * torch.sin(v / step * 6.2832)
    thread = (1 + 0.13 * weave * g.occlusion)[..., None]
    fuzz = 0.3 * albedo * fresnel**2 * g.occlusion[..., None]
    return albedo * diffuse * thread * (1 - 0.3 * albedo.mean(dim=-1, keepdim=True) * fresnel) + (
        fuzz * (1 - albedo.mean(dim=-1, keepdim=True))
    )


def _glass(g: Geometry, albedo: Tensor, diffuse: Tensor, fresnel: Tensor, ground: Tensor) -> Tensor:
    """Tinted glass: the backdrop through it, deeper at the edges, with a bright reflection."""
    tint = 0.16 + 0.84 * albedo / albedo.amax(dim=-1, keepdim=True).clamp(min=0.08)
    tint = tint * (0.35 + 0.65 * albedo.amax(dim=-1, keepdim=True) ** 0.5)
    through = ground * tint ** (1.2 + 1.6 * fresnel) * (0.8 + 0.2 * g.key[..., None])
    through = through * (1 - 0.6 * fresnel**1.5) + 0.1 * albedo * diffuse
    return through + 0.55 * _softbox(g) + 0.6 * (_half_way(g) ** 120 * g.key)[..., None]


_FINISHES: Final = {
    "matte": _matte,
    "glossy": _glossy,
    "metallic": _metallic,
    "wooden": _wooden,
    "leather": _leather,
    "fabric": _fabric,
    "glass": _glass,
}


def _half_way(g: Geometry) -> Tensor:
    return (g.normal @ functional.normalize(g.light + g.view, dim=0)).clamp(min=0)


def _reflected(g: Geometry) -> Tensor:
    cosine = (g.normal @ g.view)[..., None]
    return 2 * cosine * g.normal - g.view


def _softbox(g: Geometry) -> Tensor:
    r = _reflected(g)
    side = torch.linalg.cross(g.light, g.light.new_tensor([0.0, 1.0, 0.0]))
    across, toward = r @ functional.normalize(side, dim=0), r @ g.light
    box = torch.sigmoid((toward - 0.72) * 40) * torch.sigmoid((0.5 - across.abs()) * 30)
    return (box + 0.8 * _strip(g, r))[..., None]


def _strip(g: Geometry, reflected: Tensor) -> Tensor:
    """Return the mirror image of a tall narrow lamp at the left, which upright walls need."""
    up = g.view.new_tensor([0.0, 1.0, 0.0])
    right = functional.normalize(torch.linalg.cross(up, g.view), dim=0)
    across, high = reflected @ right, reflected[..., 1]
    # No flat face of any view mirrors just this direction: it would be all white.
    beside = torch.sigmoid((0.07 - (across + 0.44).abs()) * 60)
    return beside * torch.sigmoid((high + 0.62) * 12) * torch.sigmoid((0.62 - high) * 12)


def _environment(g: Geometry) -> Tensor:
    """Return what a metal mirrors: dark floor, bright horizon, gray sky, one bright window."""
    r = _reflected(g)
    y = r[..., 1]
    sky = 0.45 + 0.4 * torch.sigmoid((y - 0.1) * 9)
    horizon = 0.65 * torch.exp(-(((y - 0.12) / 0.16) ** 2))
    floor = -0.25 * torch.sigmoid((-y - 0.15) * 8)
    window = 0.9 * torch.sigmoid((r @ g.light - 0.78) * 22)
    return sky + horizon + floor + window + 0.75 * _strip(g, r)


def _linear(color: str) -> Tensor:
    c = torch.tensor([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return torch.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _rolled_off(linear: Tensor) -> Tensor:
    """Return light with a soft shoulder, so that highlights roll off instead of clipping."""
    return torch.where(linear > 0.8, 0.8 + 0.2 * torch.tanh((linear - 0.8) / 0.2), linear)


def _encoded(linear: Tensor) -> Tensor:
    x = linear.clamp(min=0)
    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055).clamp(0, 1)


def look_of(attributes: Mapping[str, str]) -> Look:
    """Return the look that a product's attributes ask for."""
    names = {f.name for f in fields(Look)}
    return Look(**{k: v for k, v in attributes.items() if k in names})
