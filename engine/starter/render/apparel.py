"""Things to wear: cap, shoes, clothes, helmet.

Each function takes points (N, 3) and whether the second shape is meant; see parts.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.starter.render import primitives as sdf
from engine.starter.render.parts import Parts


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
    return {"main": dome, "second": sdf.union(brim, button)}


def sneaker(p: Tensor, other: bool) -> Parts:
    q = p.clone()
    q[:, 2] = p[:, 2] * (1.08 + 0.14 * p[:, 0])  # narrower at the heel, toe to -x
    sole = sdf.prism(q, (0, 0.13, 0), (1.3, 0.13, 0.46), 0.44, 0.07) * 0.85
    toe = sdf.ellipsoid(q, (-0.68, 0.28, 0), (0.58, 0.34, 0.41))
    instep = sdf.capsule(q, (-0.45, 0.32, 0), (0.5, 0.52, 0), 0.27, 0.39)
    heel = sdf.ellipsoid(q, (0.74, 0.42, 0), (0.5, 0.5, 0.37))
    upper = sdf.blend(sdf.blend(toe, instep, 0.16), heel, 0.16)
    rise = 1.32 if other else 0.86
    shaft = sdf.capsule(q, (0.6, 0.5, 0), (0.74, rise, 0), 0.37, 0.36)
    upper = sdf.blend(upper, shaft, 0.2)
    tilt = sdf.turned(sdf.at(p, (0.6, rise, 0)), 2, 9)
    upper = sdf.both(upper, sdf.box(tilt, (0, -2, 0), (3, 2, 2), 0.01)) * 0.85
    hole = sdf.capsule(q, (0.62, 0.6, 0), (0.78, rise + 0.6, 0), 0.28, 0.29)
    laces = [
        sdf.capsule(
            p, (x, 0.66 + 0.27 * (x + 0.3), -0.16), (x, 0.66 + 0.27 * (x + 0.3), 0.16), 0.05
        )
        for x in (-0.34, -0.17, 0.0, 0.17)
    ]
    return {
        "main": sdf.without(upper, hole),
        "second light": sole,
        "light": sdf.union(*laces),
    }


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
    shirt = sdf.without(shirt, neck)
    return {"main": sdf.without(shirt, sleeves - 0.06), "second": sdf.both(shirt, sleeves - 0.06)}


def boots(p: Tensor, other: bool) -> Parts:
    q = p.clone()
    q[:, 2] = p[:, 2].abs() - 0.5  # a pair, toes to -x
    sole = sdf.prism(q, (0, 0.1, 0), (0.92, 0.07, 0.33), 0.32, 0.03)
    heel = sdf.box(q, (0.66, 0.1, 0), (0.24, 0.1, 0.27), 0.04)
    toe = sdf.ellipsoid(q, (-0.46, 0.26, 0), (0.46, 0.3, 0.32))
    instep = sdf.capsule(q, (-0.3, 0.3, 0), (0.5, 0.5, 0), 0.26, 0.33)
    foot = sdf.blend(toe, instep, 0.2)
    foot = sdf.both(foot, sdf.box(p, (0, 0.9, 0), (2, 0.76, 2), 0.01))
    rise = 2.05 if other else 1.2
    shaft = sdf.capsule(q, (0.52, 0.45, 0), (0.55, rise + 0.4, 0), 0.34, 0.38 if other else 0.35)
    leg = sdf.blend(foot, shaft, 0.2)
    leg = sdf.both(leg, sdf.box(p, (0, rise / 2 + 0.08, 0), (2, rise / 2, 2), 0.01))
    hole = sdf.capsule(q, (0.53, 0.7, 0), (0.55, rise + 0.6, 0), 0.28, 0.31)
    band = sdf.both(sdf.without(shaft - 0.02, hole), sdf.box(p, (0, rise, 0), (2, 0.1, 2), 0.01))
    return {"main": sdf.without(leg, hole), "dark": sdf.union(sole, heel), "second": band}


def _ghost(p: Tensor, depth: float) -> Tensor:
    """Flatten the points in z, so that a lathe becomes a garment on nobody."""
    q = p.clone()
    q[:, 2] = p[:, 2] / depth
    return q


def dress(p: Tensor, other: bool) -> Parts:
    q = _ghost(p, 0.5)
    if other:
        ys, rs, waist, top = (0.0, 0.6, 1.35, 1.62, 2.2), (0.86, 0.68, 0.42, 0.36, 0.5), 1.6, 2.2
    else:
        ys, rs, waist, top = (0.0, 0.45, 0.8, 1.02, 1.6), (0.82, 0.62, 0.42, 0.36, 0.5), 1.0, 1.6
    angle = torch.atan2(q[:, 0], q[:, 2])
    pleats = 0.035 * torch.cos(angle * 14) * (1 - p[:, 1] / waist).clamp(0, 1)
    skirt = (sdf.lathe(q, ys, rs) + pleats) * 0.5
    neck = sdf.ellipsoid(p, (0, top + 0.06, 0.1), (0.27, 0.3, 0.7))
    arms = sdf.union(
        *(sdf.ellipsoid(p, (s * 0.56, top - 0.06, 0), (0.16, 0.36, 0.7)) for s in (-1, 1))
    )
    straps = sdf.union(
        *(
            sdf.capsule(p, (s * 0.34, top - 0.02, 0.12), (s * 0.3, top + 0.26, -0.02), 0.055)
            for s in (-1, 1)
        )
    )
    belt = sdf.both(skirt - 0.022, sdf.box(p, (0, waist, 0), (2, 0.075, 2), 0.01))
    body = sdf.without(sdf.without(skirt, neck), arms)
    return {"main": sdf.union(body, straps), "second": belt}


def hoodie(p: Tensor, other: bool) -> Parts:
    body = sdf.box(p, (0, 0.85, 0), (0.62, 0.8, 0.24), 0.2)
    sleeves = sdf.union(
        *(
            sdf.union(
                sdf.capsule(p, (s * 0.56, 1.42, 0), (s * 0.86, 0.9, 0), 0.21, 0.19),
                sdf.capsule(p, (s * 0.86, 0.9, 0), (s * 0.9, 0.36, 0.04), 0.19, 0.155),
            )
            for s in (-1, 1)
        )
    )
    hood = sdf.torus(sdf.turned(sdf.at(p, (0, 1.72, -0.02)), 0, 24), (0, 0, 0), 0.3, 0.15, axis=1)
    back = sdf.ellipsoid(p, (0, 1.8, -0.2), (0.42, 0.34, 0.2))
    shirt = sdf.blend(sdf.blend(body, sleeves, 0.08), sdf.blend(hood, back, 0.1), 0.06)
    shirt = sdf.without(shirt, sdf.ellipsoid(p, (0, 1.86, 0.06), (0.22, 0.3, 0.22)))
    cuffs = sdf.union(
        *(sdf.capsule(p, (s * 0.9, 0.36, 0.04), (s * 0.9, 0.28, 0.04), 0.165) for s in (-1, 1)),
        sdf.box(p, (0, 0.12, 0), (0.6, 0.09, 0.235), 0.08),
    )
    strings = sdf.union(
        *(sdf.capsule(p, (s * 0.13, 1.56, 0.27), (s * 0.15, 1.2, 0.27), 0.026) for s in (-1, 1))
    )
    parts = {"main": shirt, "light": strings, "second": cuffs}
    if other:
        parts["metal"] = sdf.box(p, (0, 0.82, 0.24), (0.03, 0.72, 0.03), 0.01)
    else:
        pocket = sdf.both(
            sdf.box(p, (0, 0.5, 0.2), (0.36, 0.24, 0.09), 0.05),
            sdf.without(
                sdf.box(p, (0, 0.5, 0.2), (1, 1, 1)),
                sdf.union(*(sdf.sphere(p, (s * 0.46, 0.68, 0.25), 0.2) for s in (-1, 1))),
            ),
        )
        parts["second"] = sdf.union(cuffs, pocket)
    return parts


def bicycle_helmet(p: Tensor, other: bool) -> Parts:
    p = sdf.at(p, (0, -0.16, 0))
    shell = sdf.ellipsoid(p, (0, 0.2, 0), (1.02, 0.86, 0.74))
    hollow = sdf.ellipsoid(p, (0, 0.05, 0), (0.86, 0.72, 0.6))
    below = sdf.turned(sdf.at(p, (0, 0.2, 0)), 2, -5)
    above = sdf.box(below, (0, 1.0, 0), (2, 1.0, 2), 0.01)
    shell = sdf.both(sdf.without(shell, hollow), above)
    lining = sdf.both(sdf.ellipsoid(p, (0, 0.16, 0), (0.93, 0.79, 0.66)), above)
    lining = sdf.without(lining, hollow)
    strap = sdf.union(
        *(
            sdf.capsule(p, (x, 0.3, s * 0.6), (0.05, 0.22, s * 0.5), 0.035)
            for s in (-1, 1)
            for x in (-0.3, 0.35)
        )
    )
    if other:
        brim = sdf.both(
            sdf.ellipsoid(p, (-0.72, 0.28, 0), (0.56, 0.11, 0.56)),
            sdf.box(p, (-1.2, 0.28, 0), (0.6, 0.2, 1), 0.02),
        )
        return {"main": shell, "second": brim, "dark": sdf.union(lining, strap)}
    vents = sdf.union(
        *(
            sdf.capsule(
                p, (-0.7, 0.74 - 0.42 * z * z, 0.9 * z), (0.5, 0.98 - 0.7 * z * z, z), 0.09, 0.11
            )
            for z in (-0.6, -0.3, 0, 0.3, 0.6)
        )
    )
    rim = sdf.both(shell - 0.02, sdf.box(below, (0, 0.04, 0), (2, 0.07, 2), 0.01))
    return {"main": sdf.without(shell, vents), "second": rim, "dark": sdf.union(lining, strap)}
