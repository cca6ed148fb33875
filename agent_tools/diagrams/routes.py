"""Right-angled lines drawn along every bend that the layout chose.

The renderer rounds corners itself and leaves short jogs out while it does; a line that the layout
led around a box then runs through that box.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from xml.etree.ElementTree import Element

Point = tuple[float, float]
RADIUS = 7.0
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_STRAIGHT = 0.6  # user units by which a right-angled segment may be off its axis


def follow_layout(root: Element, lines: Mapping[str, list[Point]]) -> None:
    """Draw each right-angled edge of a fresh SVG along its layout points.

    Args:
        root: the SVG as the renderer made it; its paths still have their `data-id`.
        lines: the layout points of each edge by that id.
    """
    for path in root.iter():
        points = lines.get(path.get("data-id", ""), [])
        drawn = [float(number) for number in _NUMBER.findall(path.get("d", ""))]
        if len(points) < 3 or len(drawn) < 4 or not _right_angled(points):
            continue
        # The ends as drawn stop short of the box, where the arrowhead begins.
        start = _projected((drawn[0], drawn[1]), points[0], points[1])
        end = _projected((drawn[-2], drawn[-1]), points[-1], points[-2])
        path.set("d", rounded(_bends([start, *points[1:-1], end])))


def rounded(points: list[Point]) -> str:
    """Return an SVG path through `points` with rounded corners."""
    parts = [f"M{_pair(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(RADIUS, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        parts.append(f"L{_pair(_toward(corner, before, radius))}")
        parts.append(f"Q{_pair(corner)} {_pair(_toward(corner, after, radius))}")
    parts.append(f"L{_pair(points[-1])}")
    return "".join(parts)


def _projected(point: Point, end: Point, before: Point) -> Point:
    """Return the point of the last segment's line that is next to `point`."""
    return (end[0], point[1]) if _upright(end, before) else (point[0], end[1])


def _right_angled(points: list[Point]) -> bool:
    return all(min(abs(a[0] - b[0]), abs(a[1] - b[1])) <= _STRAIGHT for a, b in pairwise(points))


def _bends(points: list[Point]) -> list[Point]:
    """Drop the points at which the line goes straight on."""
    kept = points[:1]
    for here, after in pairwise(points[1:]):
        if math.dist(kept[-1], here) > _STRAIGHT and _upright(kept[-1], here) != _upright(
            here, after
        ):
            kept.append(here)
    return [*kept, points[-1]]


def _upright(a: Point, b: Point) -> bool:
    return abs(a[0] - b[0]) < abs(a[1] - b[1])


def _toward(start: Point, end: Point, length: float) -> Point:
    whole = math.dist(start, end) or 1.0
    return (
        start[0] + (end[0] - start[0]) * length / whole,
        start[1] + (end[1] - start[1]) * length / whole,
    )


def _pair(point: Point) -> str:
    return f"{point[0]:.2f},{point[1]:.2f}"
