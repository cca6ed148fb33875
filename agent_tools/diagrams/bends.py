"""Lines between entities: straight where their end markers are drawn.

The layout bends a line 20 units before its box; the markers for "zero or more" and its like
are up to 39 units long, and half of one would float beside the bend.
"""

from __future__ import annotations

import math
import re
from xml.etree.ElementTree import Element

from agent_tools.diagrams import svg

Point = tuple[float, float]
_RADIUS = 7.0
_NUMBER = r"(-?[\d.]+),(-?[\d.]+)"
_ROUTE = re.compile(rf"M{_NUMBER}(?:L{_NUMBER}Q{_NUMBER} {_NUMBER})*L{_NUMBER}")
_CORNER = re.compile(rf"Q{_NUMBER}")
_ROOM = {"onlyOne": 18.0, "zeroOrOne": 30.0, "oneOrMore": 33.0, "zeroOrMore": 39.0}


def clear_of_markers(root: Element) -> None:
    """Move the first and last bend of each relationship beyond its end marker, if there is room."""
    for path in root.iter(svg.tag("path")):
        route = path.get("d", "")
        if not svg.has_class(path, "relationshipLine") or not _ROUTE.fullmatch(route):
            continue
        ends = [(float(x), float(y)) for x, y in re.findall(rf"[ML]{_NUMBER}", route)]
        corners = [(float(x), float(y)) for x, y in _CORNER.findall(route)]
        points = [ends[0], *corners, ends[-1]]
        if len(points) < 4:
            continue
        points = _with_straight_start(points, _room(path.get("marker-start", "")))
        points = _with_straight_start(points[::-1], _room(path.get("marker-end", "")))[::-1]
        path.set("d", _rounded(points))


def _room(marker: str) -> float:
    return next((room for name, room in _ROOM.items() if name in marker), 0.0)


def _with_straight_start(points: list[Point], room: float) -> list[Point]:
    """Move the first crossing segment away until `room` units before it are straight."""
    start, first, second, third, *rest = points
    axis = 0 if abs(first[0] - start[0]) > abs(first[1] - start[1]) else 1
    reach = first[axis] - start[axis]
    step = math.copysign(room + _RADIUS, reach)
    beyond = third[axis] - first[axis]
    crosses = abs(second[axis] - first[axis]) < 0.01
    short = abs(step) > abs(reach)
    # Behind the crossing segment the line must go on the same way, or moving it would fold it.
    spare = abs(beyond) - _RADIUS if beyond * reach > 0 else 0.0
    moved = min(abs(step) - abs(reach), spare / 2 if rest else spare)
    if not (crosses and short and moved > 0):
        return points
    value = first[axis] + math.copysign(moved, reach)
    return [start, _replaced(first, axis, value), _replaced(second, axis, value), third, *rest]


def _replaced(point: Point, axis: int, value: float) -> Point:
    return (value, point[1]) if axis == 0 else (point[0], value)


def _rounded(points: list[Point]) -> str:
    """Return an SVG path through `points` with rounded corners."""
    parts = [f"M{points[0][0]:.2f},{points[0][1]:.2f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_RADIUS, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        enter, leave = _toward(corner, before, radius), _toward(corner, after, radius)
        parts.append(
            f"L{enter[0]:.2f},{enter[1]:.2f}"
            f"Q{corner[0]:.2f},{corner[1]:.2f} {leave[0]:.2f},{leave[1]:.2f}"
        )
    parts.append(f"L{points[-1][0]:.2f},{points[-1][1]:.2f}")
    return "".join(parts)


def _toward(start: Point, end: Point, length: float) -> Point:
    whole = math.dist(start, end) or 1.0
    return (
        start[0] + (end[0] - start[0]) * length / whole,
        start[1] + (end[1] - start[1]) * length / whole,
    )
