"""Signed distance functions in torch: points (N, 3) in, distances (N,) out, negative inside.

Formulas after Inigo Quilez, https://iquilezles.org/articles/distfunctions/ (described there as
free to use); y is up, the ground is y = 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Vector = tuple[float, float, float]


def at(p: Tensor, c: Vector) -> Tensor:
    """Move the origin to `c`."""
    return p - p.new_tensor(c)


def turned(p: Tensor, axis: int, degrees: float) -> Tensor:
    """Rotate the shape by `degrees` about axis 0 (x), 1 (y) or 2 (z)."""
    angle = math.radians(degrees)
    c, s = math.cos(angle), math.sin(angle)
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    q = p.clone()
    q[:, i] = c * p[:, i] + s * p[:, j]
    q[:, j] = -s * p[:, i] + c * p[:, j]
    return q


def sphere(p: Tensor, c: Vector, radius: float) -> Tensor:
    """Return the distance to a sphere."""
    return torch.linalg.vector_norm(at(p, c), dim=1) - radius


def ellipsoid(p: Tensor, c: Vector, radii: Vector) -> Tensor:
    """Return a bound on the distance to an ellipsoid."""
    q, r = at(p, c), p.new_tensor(radii)
    k0 = torch.linalg.vector_norm(q / r, dim=1)
    k1 = torch.linalg.vector_norm(q / (r * r), dim=1)
    return k0 * (k0 - 1) / k1.clamp(min=1e-6)


def box(p: Tensor, c: Vector, half: Vector, rounding: float = 0.02) -> Tensor:
    """Return the distance to a box with rounded edges; `half` includes the rounding."""
    q = at(p, c).abs() - (p.new_tensor(half) - rounding)
    outside = torch.linalg.vector_norm(q.clamp(min=0), dim=1)
    return outside + q.amax(dim=1).clamp(max=0) - rounding


def cylinder(
    p: Tensor, c: Vector, radius: float, half: float, rounding: float = 0.02, axis: int = 1
) -> Tensor:
    """Return the distance to a cylinder along `axis` with rounded rims."""
    q = at(p, c)
    others = [i for i in range(3) if i != axis]
    radial = torch.linalg.vector_norm(q[:, others], dim=1) - (radius - rounding)
    along = q[:, axis].abs() - (half - rounding)
    outside = torch.sqrt(radial.clamp(min=0) ** 2 + along.clamp(min=0) ** 2)
    return outside + torch.maximum(radial, along).clamp(max=0) - rounding


def lathe(p: Tensor, heights: Sequence[float], radii: Sequence[float]) -> Tensor:
    """Return a bound on the distance to a solid of revolution about the y axis.

    The radius runs smoothly (cubic Hermite) through `radii` at the ascending `heights`.
    """
    ys, rs = p.new_tensor(list(heights)), p.new_tensor(list(radii))
    slopes = torch.zeros_like(rs)
    slopes[1:-1] = (rs[2:] - rs[:-2]) / (ys[2:] - ys[:-2])
    slopes[0] = (rs[1] - rs[0]) / (ys[1] - ys[0])
    slopes[-1] = (rs[-1] - rs[-2]) / (ys[-1] - ys[-2])
    y = p[:, 1].clamp(float(ys[0]), float(ys[-1]))
    i = torch.searchsorted(ys, y.contiguous()).clamp(1, len(ys) - 1)
    span = ys[i] - ys[i - 1]
    t = (y - ys[i - 1]) / span
    radius = (
        (2 * t**3 - 3 * t**2 + 1) * rs[i - 1]
        + (t**3 - 2 * t**2 + t) * span * slopes[i - 1]
        + (-2 * t**3 + 3 * t**2) * rs[i]
        + (t**3 - t**2) * span * slopes[i]
    )
    radial = torch.linalg.vector_norm(p[:, [0, 2]], dim=1) - radius
    steepest = float(slopes.abs().max())
    middle, half = float(ys[0] + ys[-1]) / 2, float(ys[-1] - ys[0]) / 2
    along = (p[:, 1] - middle).abs() - half
    d = torch.maximum(radial / math.sqrt(1 + steepest**2), along)
    return d - 0.01


def capsule(
    p: Tensor, a: Vector, b: Vector, radius: float, radius_b: float | None = None
) -> Tensor:
    """Return a bound on the distance to a stick from `a` to `b`, tapering to `radius_b`."""
    pa, ba = at(p, a), p.new_tensor(b) - p.new_tensor(a)
    h = ((pa @ ba) / ba.dot(ba)).clamp(0, 1)
    r = radius + ((radius_b if radius_b is not None else radius) - radius) * h
    return torch.linalg.vector_norm(pa - h[:, None] * ba, dim=1) - r


def torus(p: Tensor, c: Vector, major: float, minor: float, axis: int = 2) -> Tensor:
    """Return the distance to a ring about `axis`."""
    q = at(p, c)
    others = [i for i in range(3) if i != axis]
    ring = torch.linalg.vector_norm(q[:, others], dim=1) - major
    return torch.sqrt(ring**2 + q[:, axis] ** 2) - minor


def union(*distances: Tensor) -> Tensor:
    """Join shapes."""
    return torch.stack(distances).amin(dim=0)


def blend(a: Tensor, b: Tensor, k: float = 0.1) -> Tensor:
    """Join two shapes with a soft seam of width `k`."""
    h = (0.5 + 0.5 * (b - a) / k).clamp(0, 1)
    return b + (a - b) * h - k * h * (1 - h)


def without(a: Tensor, b: Tensor) -> Tensor:
    """Take shape `b` out of `a`."""
    return torch.maximum(a, -b)


def both(a: Tensor, b: Tensor) -> Tensor:
    """Keep what is inside both shapes."""
    return torch.maximum(a, b)


def prism(
    p: Tensor, c: Vector, half: Vector, corner: float, rounding: float = 0.02, axis: int = 1
) -> Tensor:
    """Return the distance to a plate whose outline, seen along `axis`, has round corners."""
    q = at(p, c)
    others = [i for i in range(3) if i != axis]
    h = p.new_tensor(half)
    flat = q[:, others].abs() - (h[others] - corner)
    outline = torch.linalg.vector_norm(flat.clamp(min=0), dim=1)
    outline = outline + flat.amax(dim=1).clamp(max=0) - (corner - rounding)
    along = q[:, axis].abs() - (h[axis] - rounding)
    outside = torch.sqrt(outline.clamp(min=0) ** 2 + along.clamp(min=0) ** 2)
    return outside + torch.maximum(outline, along).clamp(max=0) - rounding
