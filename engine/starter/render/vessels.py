"""Things that hold something: mug, bottle, vase, teapot, plant pot, candle, perfume bottle.

Each function takes points (N, 3) and whether the second shape is meant; see parts.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.starter.render import primitives as sdf
from engine.starter.render.parts import Parts


def mug(p: Tensor, other: bool) -> Parts:
    if other:
        outer = sdf.lathe(p, (0.0, 0.25, 0.7, 1.15, 1.35), (0.42, 0.62, 0.72, 0.6, 0.54))
        inner = sdf.lathe(p, (0.15, 0.35, 0.7, 1.15, 1.5), (0.36, 0.54, 0.64, 0.52, 0.47))
        handle = sdf.torus(p, (0.74, 0.72, 0.0), 0.3, 0.08)
    else:
        outer = sdf.cylinder(p, (0, 0.7, 0), 0.6, 0.7, 0.05)
        inner = sdf.cylinder(p, (0, 0.9, 0), 0.52, 0.78, 0.05)
        handle = sdf.torus(p, (0.64, 0.72, 0.0), 0.36, 0.085)
    return {"main": sdf.without(outer, inner), "second": sdf.without(handle, inner)}


def bottle(p: Tensor, other: bool) -> Parts:
    if other:
        body = sdf.lathe(p, (0.0, 0.1, 1.1, 1.4, 1.6), (0.56, 0.6, 0.6, 0.42, 0.27))
        cap = sdf.cylinder(p, (0, 1.72, 0), 0.32, 0.14, 0.04)
        label = sdf.cylinder(p, (0, 0.65, 0), 0.615, 0.22, 0.01)
    else:
        body = sdf.lathe(p, (0.0, 0.1, 1.45, 1.75, 2.0), (0.36, 0.4, 0.4, 0.28, 0.19))
        cap = sdf.cylinder(p, (0, 2.12, 0), 0.23, 0.15, 0.04)
        label = sdf.cylinder(p, (0, 0.85, 0), 0.415, 0.26, 0.01)
    return {"main": body, "light": label, "second dark": cap}


def vase(p: Tensor, other: bool) -> Parts:
    if other:
        ys, rs = (0.0, 0.3, 1.0, 1.6, 1.9), (0.32, 0.36, 0.42, 0.58, 0.78)
    else:
        ys, rs = (0.0, 0.5, 1.0, 1.45, 1.75), (0.36, 0.72, 0.6, 0.26, 0.38)
    outer = sdf.lathe(p, ys, rs)
    top = (*ys[1:-1], ys[-1], ys[-1] + 0.2)
    inner = sdf.lathe(p, top, tuple(r - 0.07 for r in (*rs[1:], rs[-1])))
    solid, foot = sdf.without(outer, inner), sdf.box(p, (0, -0.5, 0), (2, 1.1, 2), 0.01)
    return {"main": sdf.without(solid, foot), "second": sdf.both(solid, foot)}


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
    return {"main": sdf.union(sdf.blend(body, spout, 0.12), handle), "second": lid, "dark": knob}


def plant_pot(p: Tensor, other: bool) -> Parts:
    if other:
        pot = sdf.lathe(p, (0.0, 0.35, 0.75, 0.9), (0.38, 0.62, 0.58, 0.5))
        rim = sdf.torus(p, (0, 0.89, 0), 0.5, 0.05, axis=1)
        soil = sdf.cylinder(p, (0, 0.86, 0), 0.44, 0.06, 0.01)
        top = 0.9
    else:
        pot = sdf.lathe(p, (0.0, 0.45, 0.9), (0.4, 0.5, 0.6))
        soil = sdf.cylinder(p, (0, 0.89, 0), 0.52, 0.04, 0.01)
        rim = sdf.without(
            sdf.cylinder(p, (0, 0.86, 0), 0.66, 0.1, 0.03),
            sdf.cylinder(p, (0, 1.0, 0), 0.54, 0.12, 0.01),
        )
        top = 0.92
    leaves = []
    for i in range(7):
        q = sdf.turned(sdf.at(p, (0, top, 0)), 1, i * 360 / 7 + 15)
        q = sdf.turned(q, 2, -38 if i % 2 else -16)
        leaves.append(sdf.ellipsoid(q, (0, 0.48, 0), (0.07, 0.56, 0.17)))
    return {"main": pot, "second": rim, "soil": soil, "leaf": torch.stack(leaves).amin(dim=0) * 0.7}


def candle(p: Tensor, other: bool) -> Parts:
    if other:
        body = sdf.cylinder(p, (0, 0.86, 0), 0.5, 0.8, 0.06)
        dip = sdf.ellipsoid(p, (0, 1.7, 0), (0.36, 0.1, 0.36))
        plate = sdf.cylinder(p, (0, 0.04, 0), 0.72, 0.05, 0.03)
        top = 1.62
        parts = {"main": sdf.without(body, dip), "second metal": plate}
    else:
        outer = sdf.cylinder(p, (0, 0.6, 0), 0.62, 0.6, 0.06)
        hollow = sdf.cylinder(p, (0, 1.12, 0), 0.55, 0.2, 0.03)
        label = sdf.both(
            sdf.cylinder(p, (0, 0.52, 0), 0.635, 0.22, 0.01),
            sdf.box(p, (0.3, 0.52, 0.52), (0.42, 0.22, 0.5), 0.03),
        )
        top = 0.96
        wax = sdf.cylinder(p, (0, top - 0.04, 0), 0.55, 0.04, 0.01)
        parts = {"main": sdf.without(outer, hollow), "second light": label, "wax": wax}
    wick = sdf.capsule(p, (0, top, 0), (0, top + 0.14, 0), 0.025)
    flame = sdf.blend(
        sdf.sphere(p, (0, top + 0.24, 0), 0.085),
        sdf.capsule(p, (0, top + 0.24, 0), (0.02, top + 0.46, 0), 0.06, 0.01),
        0.08,
    )
    return {**parts, "dark": wick, "flame": flame}


def perfume_bottle(p: Tensor, other: bool) -> Parts:
    if other:
        body = sdf.ellipsoid(p, (0, 0.66, 0), (0.74, 0.68, 0.4))
        body = sdf.both(body, sdf.box(p, (0, 0.8, 0), (1, 0.76, 1), 0.02))
        neck = 1.36
    else:
        body = sdf.box(p, (0, 0.66, 0), (0.56, 0.66, 0.32), 0.07)
        neck = 1.34
    label = sdf.both(sdf.box(p, (0, 0.6, 0.4), (0.3, 0.24, 0.4), 0.02), (body - 0.014))
    collar = sdf.cylinder(p, (0, neck + 0.05, 0), 0.2, 0.08, 0.02)
    stopper = sdf.box(p, (0, neck + 0.36, 0), (0.25, 0.24, 0.25), 0.05)
    if other:
        stopper = sdf.sphere(p, (0, neck + 0.36, 0), 0.29)
    return {"main": body, "light": label, "gold": collar, "second dark": stopper}
