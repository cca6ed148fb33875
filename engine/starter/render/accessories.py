"""Things to carry and to give: bags, gift box, watch, headphones, sunglasses, ring, phone case.

Each function takes points (N, 3) and whether the second shape is meant; see parts.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.starter.render import primitives as sdf
from engine.starter.render.parts import Parts


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
    return {"main": body, "second": pocket, "dark": sdf.union(handle, zip_, seam, straps)}


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
    return {"main": sdf.union(body, lid), "second gold": sdf.union(bands, bow)}


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
    return {"main": strap, "metal": sdf.union(case, crown), "second light": face, "dark": hands}


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
    return {"main": sdf.union(band, sides), "second": sdf.union(*cups), "dark": sdf.union(*pads)}


def handbag(p: Tensor, other: bool) -> Parts:
    q = p.clone()
    if other:
        q[:, 0] = p[:, 0] * (1 + 0.18 * (p[:, 1] - 0.6))
        body = sdf.ellipsoid(q, (0, 0.62, 0), (0.98, 0.68, 0.42))
        body = sdf.both(body, sdf.box(p, (0, 0.6, 0), (2, 0.58, 2), 0.03)) * 0.85
        mouth = sdf.ellipsoid(p, (0, 1.24, 0), (0.66, 0.2, 0.24))
        body = sdf.without(body, mouth)
        strap = sdf.both(
            sdf.torus(p, (0, 1.08, 0), 0.62, 0.065), sdf.box(p, (0, 1.7, 0), (2, 0.68, 1), 0.01)
        )
        clasp = sdf.sphere(p, (0, 0.98, 0.36), 0.08)
        rings = [sdf.torus(p, (s * 0.62, 1.06, 0), 0.09, 0.03) for s in (-1, 1)]
        return {"main": body, "second": strap, "gold": sdf.union(clasp, *rings)}
    q[:, 0] = p[:, 0] * (1 + 0.2 * (p[:, 1] - 0.5))
    body = sdf.box(q, (0, 0.56, 0), (0.86, 0.54, 0.34), 0.1) * 0.85
    flap = sdf.box(q, (0, 0.84, 0.06), (0.8, 0.27, 0.33), 0.08) * 0.85
    handles = sdf.both(
        sdf.torus(p, (0, 1.05, 0), 0.42, 0.06), sdf.box(p, (0, 1.6, 0), (2, 0.56, 1), 0.01)
    )
    clasp = sdf.box(p, (0, 0.6, 0.4), (0.1, 0.07, 0.04), 0.02)
    rings = [sdf.torus(p, (s * 0.42, 1.1, 0), 0.08, 0.03) for s in (-1, 1)]
    return {
        "main": body,
        "second": sdf.union(flap, handles),
        "gold": sdf.union(clasp, *rings),
    }


def sunglasses(p: Tensor, other: bool) -> Parts:
    frames, lenses = [], []
    for s in (-1, 1):
        q = sdf.at(p, (s * 0.62, 0.5, 0.5))
        if other:
            frames.append(sdf.torus(q, (0, 0, 0), 0.46, 0.075))
            lenses.append(sdf.cylinder(q, (0, 0, 0), 0.44, 0.03, 0.01, axis=2))
        else:
            outer = sdf.box(q, (0, 0, 0), (0.54, 0.4, 0.07), 0.06)
            inner = sdf.prism(q, (0, 0, 0), (0.43, 0.29, 0.3), 0.16, 0.01, axis=2)
            frames.append(sdf.without(outer, inner))
            lenses.append(sdf.box(q, (0, 0, 0), (0.46, 0.32, 0.025), 0.01))
    bridge = sdf.capsule(p, (-0.16, 0.62, 0.53), (0.16, 0.62, 0.53), 0.07)
    temples = sdf.union(
        *(
            sdf.union(
                sdf.capsule(p, (s * 1.12, 0.66, 0.5), (s * 1.12, 0.62, -0.75), 0.062),
                sdf.capsule(p, (s * 1.12, 0.62, -0.75), (s * 1.08, 0.28, -1.15), 0.062, 0.075),
            )
            for s in (-1, 1)
        )
    )
    return {
        "main": sdf.union(bridge, *frames),
        "second": temples,
        "lens": sdf.union(*lenses),
    }


def phone_case(p: Tensor, other: bool) -> Parts:
    q = sdf.turned(sdf.at(p, (0, 1.06, 0)), 0, -8)
    body = sdf.prism(q, (0, 0, 0), (0.52, 1.04, 0.07), 0.16, 0.03, axis=2)
    island = sdf.prism(q, (-0.22, 0.74, 0.08), (0.23, 0.23, 0.05), 0.1, 0.02, axis=2)
    eyes = sdf.union(
        *(
            sdf.cylinder(q, (-0.22 + dx, 0.74 + dy, 0.13), 0.085, 0.03, 0.01, axis=2)
            for dx, dy in ((-0.1, 0.1), (0.1, 0.1), (-0.1, -0.1))
        )
    )
    keys = sdf.union(
        sdf.box(q, (0.54, 0.4, 0), (0.02, 0.16, 0.03), 0.01),
        sdf.box(q, (-0.54, 0.5, 0), (0.02, 0.1, 0.03), 0.01),
    )
    parts = {"main": body, "second": island, "lens": eyes, "dark": keys}
    if other:
        bumpers = sdf.union(
            *(
                sdf.prism(q, (sx * 0.42, sy * 0.92, 0), (0.17, 0.19, 0.12), 0.12, 0.04, axis=2)
                for sx in (-1, 1)
                for sy in (-1, 1)
            )
        )
        ribs = sdf.union(
            *(sdf.box(q, (0, y, 0.07), (0.3, 0.03, 0.035), 0.02) for y in (-0.62, -0.46, -0.3))
        )
        parts["second"] = sdf.union(island, bumpers, ribs)
    return parts


def ring(p: Tensor, other: bool) -> Parts:
    if other:
        q = sdf.at(p, (0, 0.8, 0))
        radial = torch.linalg.vector_norm(q[:, :2], dim=1)
        flat = torch.stack([radial - 0.7, q[:, 2]], dim=1).abs() - p.new_tensor([0.05, 0.2])
        outside = torch.linalg.vector_norm(flat.clamp(min=0), dim=1)
        band = outside + flat.amax(dim=1).clamp(max=0) - 0.04
        inlay = sdf.both(band - 0.012, sdf.box(p, (0, 0.8, 0), (1, 1, 0.06), 0.01))
        return {"main": band, "second": inlay}
    band = sdf.torus(p, (0, 0.72, 0), 0.62, 0.085)
    q = sdf.at(p, (0, 1.56, 0))
    up = q[:, 1]
    # Eight facets below and above the girdle.
    sides = []
    for k in range(8):
        turned = sdf.turned(q, 1, k * 45)
        sides.append(torch.maximum(turned[:, 0] + 0.9 * up, turned[:, 0] * 0.9 - 1.2 * up))
    stone = (torch.stack(sides).amax(dim=0) - 0.26).maximum(up - 0.14) * 0.6
    stone = torch.maximum(stone, -up - 0.24)
    prongs = sdf.union(
        *(
            sdf.capsule(p, (0.06 * x, 1.3, 0.06 * z), (0.27 * x, 1.62, 0.27 * z), 0.04)
            for x in (-1, 1)
            for z in (-1, 1)
        )
    )
    return {"main": sdf.union(band, prongs), "second gem": stone}
