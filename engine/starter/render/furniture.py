"""Furniture and what stands on it: seats, table, lamp, cushion, wall clock.

Each function takes points (N, 3) and whether the second shape is meant; see parts.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.starter.render import primitives as sdf
from engine.starter.render.parts import Parts


def _legs(p: Tensor, x: float, z: float, top: float, radius: float, splay: float = 0.06) -> Tensor:
    legs = []
    for sx, sz in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        foot = (sx * (x + splay), 0.03, sz * (z + splay))
        legs.append(sdf.capsule(p, foot, (sx * x, top, sz * z), radius * 0.8, radius))
    return sdf.union(*legs)


def armchair(p: Tensor, other: bool) -> Parts:
    if other:
        barrel = sdf.without(
            sdf.cylinder(p, (0, 0.72, 0), 0.82, 0.5, 0.12),
            sdf.cylinder(p, (0, 1.1, 0.1), 0.58, 0.6, 0.1),
        )
        front = sdf.box(p, (0, 1.3, 0.75), (1.2, 0.55, 0.6), 0.1)
        seat = sdf.cylinder(p, (0, 0.5, 0.12), 0.66, 0.2, 0.1)
        main = sdf.without(barrel, front)
        legs = _legs(p, 0.45, 0.45, 0.3, 0.06)
    else:
        seat = sdf.box(p, (0, 0.5, 0.05), (0.55, 0.22, 0.62), 0.1)
        back = sdf.box(p, (0, 0.95, -0.58), (0.75, 0.62, 0.18), 0.1)
        arms = sdf.union(
            *(sdf.box(p, (s * 0.72, 0.62, 0.0), (0.17, 0.36, 0.66), 0.09) for s in (-1, 1))
        )
        main = sdf.union(back, arms)
        legs = _legs(p, 0.65, 0.5, 0.32, 0.06)
    return {"main": main, "second": seat, "wood": legs}


def sofa(p: Tensor, other: bool) -> Parts:
    r = 0.17 if other else 0.07
    base = sdf.box(p, (0, 0.42, 0.0), (1.35, 0.16, 0.6), 0.06)
    cushions = sdf.union(
        *(sdf.box(p, (s * 0.62, 0.64, 0.08), (0.6, 0.16, 0.52), min(r, 0.14)) for s in (-1, 1))
    )
    backs = sdf.union(
        *(sdf.box(p, (s * 0.62, 1.0, -0.45), (0.6, 0.4, 0.17), min(r, 0.16)) for s in (-1, 1))
    )
    if other:
        arms = sdf.union(
            *(sdf.capsule(p, (s * 1.42, 0.72, -0.4), (s * 1.42, 0.72, 0.45), 0.24) for s in (-1, 1))
        )
        sides = sdf.union(
            *(sdf.box(p, (s * 1.42, 0.5, 0.0), (0.18, 0.25, 0.58), 0.05) for s in (-1, 1))
        )
        arms = sdf.union(arms, sides)
    else:
        arms = sdf.union(
            *(sdf.box(p, (s * 1.42, 0.62, 0.0), (0.15, 0.36, 0.62), 0.06) for s in (-1, 1))
        )
    return {
        "main": sdf.union(base, arms, backs),
        "second": cushions,
        "wood": _legs(p, 1.25, 0.45, 0.3, 0.06),
    }


def chair(p: Tensor, other: bool) -> Parts:
    seat = sdf.box(p, (0, 0.95, 0), (0.52, 0.07, 0.52), 0.05)
    height, middle = (0.2, 1.55) if other else (0.42, 1.72)
    back = sdf.box(p, (0, middle, -0.5), (0.48, height, 0.06), 0.05)
    posts = sdf.union(
        *(sdf.capsule(p, (s * 0.42, 0.95, -0.48), (s * 0.42, middle, -0.52), 0.05) for s in (-1, 1))
    )
    return {
        "main": seat,
        "second": back,
        "wood": sdf.union(posts, _legs(p, 0.42, 0.42, 0.92, 0.06)),
    }


def table(p: Tensor, other: bool) -> Parts:
    if other:
        top = sdf.box(p, (0, 0.95, 0), (0.95, 0.07, 0.95), 0.03)
        legs = _legs(p, 0.78, 0.78, 0.9, 0.075, 0.02)
    else:
        top = sdf.cylinder(p, (0, 0.95, 0), 1.0, 0.07, 0.03)
        legs = _legs(p, 0.5, 0.5, 0.9, 0.07, 0.12)
    return {"main": top, "second wood": legs}


def stool(p: Tensor, other: bool) -> Parts:
    if other:
        seat = sdf.box(p, (0, 1.25, 0), (0.46, 0.12, 0.46), 0.06)
    else:
        seat = sdf.cylinder(p, (0, 1.25, 0), 0.5, 0.12, 0.06)
    ring = sdf.torus(p, (0, 0.5, 0), 0.42, 0.035, axis=1)
    return {"main": seat, "second wood": sdf.union(_legs(p, 0.28, 0.28, 1.2, 0.06, 0.14), ring)}


def lamp(p: Tensor, other: bool) -> Parts:
    if other:
        shade = sdf.cylinder(p, (0, 1.6, 0), 0.62, 0.36, 0.03)
        inner = sdf.cylinder(p, (0, 1.5, 0), 0.58, 0.4, 0.02)
    else:
        shade = sdf.lathe(p, (1.2, 1.55, 1.95), (0.74, 0.55, 0.34))
        inner = sdf.lathe(p, (1.1, 1.55, 1.9), (0.72, 0.5, 0.28))
    pole = sdf.capsule(p, (0, 0.1, 0), (0, 1.7, 0), 0.045)
    base = sdf.cylinder(p, (0, 0.05, 0), 0.42, 0.06, 0.03)
    return {"main": sdf.without(shade, inner), "second dark": sdf.union(pole, base)}


def cushion(p: Tensor, other: bool) -> Parts:
    q = sdf.turned(sdf.at(p, (0, 0.86, 0)), 0, -14)
    x, y, z = q[:, 0], q[:, 1], q[:, 2]
    if other:
        r = torch.sqrt(x * x + y * y) / 0.86
        bulge = (1 - r.clamp(max=1) ** 2.6).clamp(min=0) ** 0.5
        outline = torch.sqrt(x * x + y * y) - 0.86
    else:
        # The corners of a filled pillow reach out further than its sides.
        pinch = 0.86 - 0.07 * (1 - (x.abs().minimum(y.abs()) / 0.86).clamp(max=1))
        inside = [(1 - (v.abs() / pinch).clamp(max=1) ** 2.6).clamp(min=0) for v in (x, y)]
        bulge = (inside[0] * inside[1]) ** 0.42
        outline = x.abs().maximum(y.abs()) - pinch
    body = torch.maximum(z.abs() - 0.34 * bulge, outline) * 0.55
    piping = (torch.sqrt(outline**2 + z * z) - 0.04) * 0.8
    return {"main": body, "second": piping}


def wall_clock(p: Tensor, other: bool) -> Parts:
    q = sdf.at(p, (0, 1.0, 0))
    if other:
        rim = sdf.without(
            sdf.box(q, (0, 0, 0), (0.98, 0.98, 0.16), 0.08),
            sdf.box(q, (0, 0, 0.2), (0.82, 0.82, 0.16), 0.05),
        )
        face = sdf.box(q, (0, 0, 0), (0.83, 0.83, 0.07), 0.01)
    else:
        rim = sdf.without(
            sdf.cylinder(q, (0, 0, 0), 1.0, 0.16, 0.08, axis=2),
            sdf.cylinder(q, (0, 0, 0.2), 0.84, 0.16, 0.03, axis=2),
        )
        face = sdf.cylinder(q, (0, 0, 0), 0.85, 0.07, 0.01, axis=2)
    marks = []
    for hour in range(12):
        turned = sdf.turned(q, 2, hour * 30)
        marks.append(sdf.box(turned, (0, 0.68, 0.075), (0.03, 0.075, 0.02), 0.01))
    hands = sdf.union(
        sdf.capsule(q, (0, 0, 0.11), (-0.24, 0.28, 0.11), 0.045),
        sdf.capsule(q, (0, 0, 0.13), (0.36, 0.4, 0.13), 0.032),
        sdf.cylinder(q, (0, 0, 0.1), 0.07, 0.05, 0.01, axis=2),
    )
    return {"main": rim, "second light": face, "dark": sdf.union(hands, *marks)}
