"""The products: one function a kind, two named shapes each (see vocabulary.SHAPES).

A function takes points (N, 3) and whether the second shape is meant, and returns named parts with
their distances. "main" takes the asked color; the other parts have fixed colors (PART_COLORS).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.starter.render import primitives as sdf

Parts = dict[str, Tensor]
PART_COLORS = {
    "light": "#f2f0ea",
    "dark": "#2c2d32",
    "wood": "#a06a3c",
    "metal": "#b9bcc2",
    "leaf": "#3f8f4a",
    "soil": "#4a3628",
    "gold": "#d9b44a",
}


def mug(p: Tensor, other: bool) -> Parts:
    if other:
        outer = sdf.lathe(p, (0.0, 0.25, 0.7, 1.15, 1.35), (0.42, 0.62, 0.72, 0.6, 0.54))
        inner = sdf.lathe(p, (0.15, 0.35, 0.7, 1.15, 1.5), (0.36, 0.54, 0.64, 0.52, 0.47))
        handle = sdf.torus(p, (0.74, 0.72, 0.0), 0.3, 0.08)
    else:
        outer = sdf.cylinder(p, (0, 0.7, 0), 0.6, 0.7, 0.05)
        inner = sdf.cylinder(p, (0, 0.9, 0), 0.52, 0.78, 0.05)
        handle = sdf.torus(p, (0.64, 0.72, 0.0), 0.36, 0.085)
    return {"main": sdf.without(sdf.union(outer, handle), inner)}


def bottle(p: Tensor, other: bool) -> Parts:
    if other:
        body = sdf.lathe(p, (0.0, 0.1, 1.1, 1.4, 1.6), (0.56, 0.6, 0.6, 0.42, 0.27))
        cap = sdf.cylinder(p, (0, 1.72, 0), 0.32, 0.14, 0.04)
        label = sdf.cylinder(p, (0, 0.65, 0), 0.615, 0.22, 0.01)
    else:
        body = sdf.lathe(p, (0.0, 0.1, 1.45, 1.75, 2.0), (0.36, 0.4, 0.4, 0.28, 0.19))
        cap = sdf.cylinder(p, (0, 2.12, 0), 0.23, 0.15, 0.04)
        label = sdf.cylinder(p, (0, 0.85, 0), 0.415, 0.26, 0.01)
    return {"main": body, "light": label, "dark": cap}


def vase(p: Tensor, other: bool) -> Parts:
    if other:
        ys, rs = (0.0, 0.3, 1.0, 1.6, 1.9), (0.32, 0.36, 0.42, 0.58, 0.78)
    else:
        ys, rs = (0.0, 0.5, 1.0, 1.45, 1.75), (0.36, 0.72, 0.6, 0.26, 0.38)
    outer = sdf.lathe(p, ys, rs)
    top = (*ys[1:-1], ys[-1], ys[-1] + 0.2)
    inner = sdf.lathe(p, top, tuple(r - 0.07 for r in (*rs[1:], rs[-1])))
    return {"main": sdf.without(outer, inner)}


def lamp(p: Tensor, other: bool) -> Parts:
    if other:
        shade = sdf.cylinder(p, (0, 1.6, 0), 0.62, 0.36, 0.03)
        inner = sdf.cylinder(p, (0, 1.5, 0), 0.58, 0.4, 0.02)
    else:
        shade = sdf.lathe(p, (1.2, 1.55, 1.95), (0.74, 0.55, 0.34))
        inner = sdf.lathe(p, (1.1, 1.55, 1.9), (0.72, 0.5, 0.28))
    pole = sdf.capsule(p, (0, 0.1, 0), (0, 1.7, 0), 0.045)
    base = sdf.cylinder(p, (0, 0.05, 0), 0.42, 0.06, 0.03)
    return {"main": sdf.without(shade, inner), "dark": sdf.union(pole, base)}


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
        main = sdf.union(sdf.without(barrel, front), seat)
        legs = _legs(p, 0.45, 0.45, 0.3, 0.06)
    else:
        seat = sdf.box(p, (0, 0.5, 0.05), (0.55, 0.22, 0.62), 0.1)
        back = sdf.box(p, (0, 0.95, -0.58), (0.75, 0.62, 0.18), 0.1)
        arms = sdf.union(
            *(sdf.box(p, (s * 0.72, 0.62, 0.0), (0.17, 0.36, 0.66), 0.09) for s in (-1, 1))
        )
        main = sdf.union(seat, back, arms)
        legs = _legs(p, 0.65, 0.5, 0.32, 0.06)
    return {"main": main, "wood": legs}


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
    return {"main": sdf.union(base, cushions, backs, arms), "wood": _legs(p, 1.25, 0.45, 0.3, 0.06)}


def chair(p: Tensor, other: bool) -> Parts:
    seat = sdf.box(p, (0, 0.95, 0), (0.52, 0.07, 0.52), 0.05)
    height, middle = (0.2, 1.55) if other else (0.42, 1.72)
    back = sdf.box(p, (0, middle, -0.5), (0.48, height, 0.06), 0.05)
    posts = sdf.union(
        *(sdf.capsule(p, (s * 0.42, 0.95, -0.48), (s * 0.42, middle, -0.52), 0.05) for s in (-1, 1))
    )
    return {
        "main": sdf.union(seat, back),
        "wood": sdf.union(posts, _legs(p, 0.42, 0.42, 0.92, 0.06)),
    }


def table(p: Tensor, other: bool) -> Parts:
    if other:
        top = sdf.box(p, (0, 0.95, 0), (0.95, 0.07, 0.95), 0.03)
        legs = _legs(p, 0.78, 0.78, 0.9, 0.075, 0.02)
    else:
        top = sdf.cylinder(p, (0, 0.95, 0), 1.0, 0.07, 0.03)
        legs = _legs(p, 0.5, 0.5, 0.9, 0.07, 0.12)
    return {"main": top, "wood": legs}


def stool(p: Tensor, other: bool) -> Parts:
    if other:
        seat = sdf.box(p, (0, 1.25, 0), (0.46, 0.12, 0.46), 0.06)
    else:
        seat = sdf.cylinder(p, (0, 1.25, 0), 0.5, 0.12, 0.06)
    ring = sdf.torus(p, (0, 0.5, 0), 0.42, 0.035, axis=1)
    return {"main": seat, "wood": sdf.union(_legs(p, 0.28, 0.28, 1.2, 0.06, 0.14), ring)}


def backpack(p: Tensor, other: bool) -> Parts:
    w, h, d = (0.66, 0.66, 0.36) if other else (0.58, 0.86, 0.34)
    body = sdf.box(p, (0, h + 0.02, 0), (w, h, d), 0.24)
    pocket = sdf.box(p, (0, 0.5, d - 0.02), (w * 0.72, 0.34, 0.16), 0.12)
    handle = sdf.torus(p, (0, 2 * h + 0.02, 0), 0.16, 0.045)
    zip_ = sdf.box(p, (0, 0.68, d + 0.13), (w * 0.6, 0.025, 0.03), 0.01)
    seam = sdf.both(
        sdf.box(p, (0, h + 0.02, 0), (w + 0.012, h + 0.012, d + 0.012), 0.24),
        sdf.box(p, (0, h * 1.25, d * 0.6), (2, 0.03, 0.5), 0.01),
    )
    straps = sdf.union(
        *(
            sdf.capsule(p, (s * (w + 0.02), 0.35, -0.1), (s * (w - 0.1), h * 1.5, -0.2), 0.07)
            for s in (-1, 1)
        )
    )
    return {"main": sdf.union(body, pocket), "dark": sdf.union(handle, zip_, seam, straps)}


def gift_box(p: Tensor, other: bool) -> Parts:
    w, h = (0.82, 0.36) if other else (0.66, 0.6)
    body = sdf.box(p, (0, h, 0), (w, h, w), 0.03)
    lid = sdf.box(p, (0, 2 * h + 0.06, 0), (w + 0.06, 0.12, w + 0.06), 0.03)
    top = 2 * h + 0.19
    bands = sdf.union(
        sdf.box(p, (0, h + 0.07, 0), (0.12, h + 0.13, w + 0.075), 0.01),
        sdf.box(p, (0, h + 0.07, 0), (w + 0.075, h + 0.13, 0.12), 0.01),
    )
    bow = sdf.union(
        *(
            sdf.torus(
                sdf.turned(sdf.at(p, (s * 0.24, top + 0.16, 0)), 2, s * 25), (0, 0, 0), 0.19, 0.07
            )
            for s in (-1, 1)
        ),
        sdf.sphere(p, (0, top + 0.05, 0), 0.12),
    )
    return {"main": sdf.union(body, lid), "gold": sdf.union(bands, bow)}


def teapot(p: Tensor, other: bool) -> Parts:
    if other:
        body = sdf.lathe(p, (0.0, 0.3, 0.9, 1.35, 1.5), (0.5, 0.64, 0.56, 0.4, 0.34))
        top, reach = 1.5, 0.5
    else:
        body = sdf.ellipsoid(p, (0, 0.62, 0), (0.78, 0.62, 0.78))
        top, reach = 1.16, 0.66
    spout = sdf.capsule(p, (-reach, 0.55, 0), (-reach - 0.52, top - 0.05, 0), 0.17, 0.075)
    handle = sdf.torus(p, (reach + 0.16, 0.72, 0), 0.34, 0.075)
    lid = sdf.ellipsoid(p, (0, top, 0), (0.4, 0.13, 0.4))
    knob = sdf.sphere(p, (0, top + 0.17, 0), 0.1)
    return {"main": sdf.union(sdf.blend(body, spout, 0.12), handle, lid), "dark": knob}


def watch(p: Tensor, other: bool) -> Parts:
    q = p.clone()
    q[:, 2] = p[:, 2] + 0.3 * (p[:, 1] - 1.1) ** 2  # the strap bends away from the dial
    strap = sdf.box(q, (0, 1.1, -0.06), (0.29, 1.1, 0.06), 0.05)
    if other:
        case = sdf.box(p, (0, 1.1, 0), (0.5, 0.54, 0.13), 0.1)
        face = sdf.box(p, (0, 1.1, 0.1), (0.4, 0.44, 0.05), 0.03)
    else:
        case = sdf.cylinder(p, (0, 1.1, 0), 0.54, 0.13, 0.05, axis=2)
        face = sdf.cylinder(p, (0, 1.1, 0.1), 0.44, 0.05, 0.01, axis=2)
    hands = sdf.union(
        sdf.capsule(p, (0, 1.1, 0.16), (0.0, 1.4, 0.16), 0.03),
        sdf.capsule(p, (0, 1.1, 0.16), (0.2, 1.0, 0.16), 0.03),
    )
    crown = sdf.cylinder(p, (0.58, 1.1, 0), 0.06, 0.06, 0.02, axis=0)
    return {"main": strap, "metal": sdf.union(case, crown), "light": face, "dark": hands}


def headphones(p: Tensor, other: bool) -> Parts:
    band = sdf.both(
        sdf.torus(p, (0, 0.95, 0), 0.8, 0.085), sdf.box(p, (0, 1.6, 0), (1.2, 0.75, 0.5), 0.02)
    )
    sides = sdf.union(
        *(sdf.capsule(p, (s * 0.8, 0.95, 0), (s * 0.76, 0.55, 0), 0.07) for s in (-1, 1))
    )
    cups, pads = [], []
    for s in (-1, 1):
        if other:
            cups.append(sdf.box(p, (s * 0.8, 0.45, 0), (0.13, 0.42, 0.34), 0.1))
            pads.append(sdf.box(p, (s * 0.62, 0.45, 0), (0.11, 0.38, 0.3), 0.09))
        else:
            cups.append(sdf.cylinder(p, (s * 0.8, 0.45, 0), 0.42, 0.13, 0.08, axis=0))
            pads.append(sdf.cylinder(p, (s * 0.62, 0.45, 0), 0.38, 0.11, 0.08, axis=0))
    return {"main": sdf.union(band, sides, *cups), "dark": sdf.union(*pads)}


def cap(p: Tensor, other: bool) -> Parts:
    dome = sdf.both(
        sdf.ellipsoid(p, (0, 0.15, 0), (0.78, 0.78, 0.86)),
        sdf.box(p, (0, 0.65, 0), (1.2, 0.55, 1.2), 0.01),
    )
    reach = 0.85 if other else 0.55
    brim = sdf.both(
        sdf.ellipsoid(p, (0, 0.12, 0.62), (0.68, 0.16, reach)),
        sdf.box(p, (0, 0.2, 0.9), (1, 0.07, 0.9), 0.01),
    )
    button = sdf.sphere(p, (0, 0.94, 0), 0.07)
    return {"main": sdf.union(dome, brim, button)}


def sneaker(p: Tensor, other: bool) -> Parts:
    q = p.clone()
    q[:, 2] = p[:, 2] * (1 + 0.12 * p[:, 0])  # narrower at the heel
    sole = sdf.both(
        sdf.ellipsoid(q, (0, 0.12, 0), (1.32, 0.6, 0.5)),
        sdf.box(p, (0, 0.12, 0), (2, 0.12, 1), 0.03),
    )
    toe = sdf.ellipsoid(q, (-0.62, 0.26, 0), (0.6, 0.34, 0.42))
    heel = sdf.ellipsoid(q, (0.5, 0.42, 0), (0.7, 0.48, 0.4))
    upper = sdf.blend(toe, heel, 0.3)
    rise = 1.15 if other else 0.78
    shaft = sdf.capsule(p, (0.62, 0.4, 0), (0.72, rise, 0), 0.36, 0.34)
    upper = sdf.blend(upper, shaft, 0.18)
    upper = sdf.both(upper, sdf.box(p, (0, 0.1 + rise / 2, 0), (2, rise / 2, 1), 0.01))
    hole = sdf.capsule(p, (0.68, 0.5, 0), (0.76, 1.6, 0), 0.27)
    laces = sdf.union(
        *(
            sdf.capsule(p, (x, y, -0.2), (x, y, 0.2), 0.045)
            for x, y in ((-0.22, 0.62), (-0.02, 0.74), (0.17, 0.86))
        )
    )
    return {"main": sdf.without(upper, hole), "light": sdf.union(sole, laces)}


def t_shirt(p: Tensor, other: bool) -> Parts:
    body = sdf.box(p, (0, 0.85, 0), (0.62, 0.85, 0.16), 0.13)
    sleeves = sdf.union(
        *(
            sdf.box(
                sdf.turned(sdf.at(p, (s * 0.78, 1.38, 0)), 2, s * 38),
                (0, 0, 0),
                (0.26, 0.36, 0.15),
                0.12,
            )
            for s in (-1, 1)
        )
    )
    shirt = sdf.blend(body, sleeves, 0.08)
    if other:
        q = sdf.turned(sdf.at(p, (0, 1.72, 0)), 2, 45)
        neck = sdf.box(q, (0, 0, 0), (0.27, 0.27, 0.5), 0.02)
    else:
        neck = sdf.cylinder(p, (0, 1.8, 0), 0.3, 0.5, 0.02, axis=2)
    return {"main": sdf.without(shirt, neck)}


def plant_pot(p: Tensor, other: bool) -> Parts:
    if other:
        pot = sdf.lathe(p, (0.0, 0.35, 0.75, 0.9), (0.38, 0.62, 0.58, 0.5))
        soil = sdf.cylinder(p, (0, 0.86, 0), 0.44, 0.06, 0.01)
        top = 0.9
    else:
        pot = sdf.lathe(p, (0.0, 0.45, 0.9), (0.4, 0.5, 0.6))
        soil = sdf.cylinder(p, (0, 0.89, 0), 0.52, 0.04, 0.01)
        pot = sdf.union(
            pot,
            sdf.without(
                sdf.cylinder(p, (0, 0.86, 0), 0.66, 0.1, 0.03),
                sdf.cylinder(p, (0, 1.0, 0), 0.54, 0.12, 0.01),
            ),
        )
        top = 0.92
    leaves = []
    for i in range(7):
        q = sdf.turned(sdf.at(p, (0, top, 0)), 1, i * 360 / 7 + 15)
        q = sdf.turned(q, 2, -38 if i % 2 else -16)
        leaves.append(sdf.ellipsoid(q, (0, 0.48, 0), (0.07, 0.56, 0.17)))
    return {"main": pot, "soil": soil, "leaf": torch.stack(leaves).amin(dim=0) * 0.7}


BUILDERS: dict[str, Callable[[Tensor, bool], Parts]] = {
    "mug": mug,
    "bottle": bottle,
    "vase": vase,
    "lamp": lamp,
    "armchair": armchair,
    "sofa": sofa,
    "chair": chair,
    "table": table,
    "stool": stool,
    "backpack": backpack,
    "gift box": gift_box,
    "teapot": teapot,
    "watch": watch,
    "headphones": headphones,
    "cap": cap,
    "sneaker": sneaker,
    "t-shirt": t_shirt,
    "plant pot": plant_pot,
}
