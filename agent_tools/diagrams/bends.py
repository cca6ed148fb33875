"""Lines between entities: straight where their end markers are drawn.

The layout bends a line 20 units before its box; the markers for "zero or more" and its like
are up to 39 units long, and half of one would float beside the bend.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree.ElementTree import Element

from agent_tools.diagrams import svg
from agent_tools.diagrams.routes import RADIUS, Point, rounded

_NUMBER = r"(-?[\d.]+),(-?[\d.]+)"
_ROUTE = re.compile(rf"M{_NUMBER}(?:L{_NUMBER}Q{_NUMBER} {_NUMBER})*L{_NUMBER}")
_TRANSLATE = re.compile(r"translate\((-?[\d.]+),\s*(-?[\d.]+)\)")
_CORNER = re.compile(rf"Q{_NUMBER}")
_ROOM = {"onlyOne": 18.0, "zeroOrOne": 30.0, "oneOrMore": 33.0, "zeroOrMore": 39.0}


def clear_of_markers(root: Element) -> None:
    """Move the first and last bend of each relationship beyond its end marker, if there is room."""
    labels = [g for g in root.iter(svg.tag("g")) if svg.has_class(g, "edgeLabel")]
    for path in root.iter(svg.tag("path")):
        route = path.get("d", "")
        if not svg.has_class(path, "relationshipLine") or not _ROUTE.fullmatch(route):
            continue
        ends = [(float(x), float(y)) for x, y in re.findall(rf"[ML]{_NUMBER}", route)]
        corners = [(float(x), float(y)) for x, y in _CORNER.findall(route)]
        points = [ends[0], *corners, ends[-1]]
        if len(points) < 4:
            continue
        rooms = _room(path.get("marker-start", "")), _room(path.get("marker-end", ""))
        moved = _with_straight_start(points, rooms[0])
        moved = _with_straight_start(moved[::-1], rooms[1])[::-1]
        path.set("d", rounded(moved))
        if moved != points:
            _move_label(labels, points, moved, rooms)


def _move_label(
    labels: list[Element], before: list[Point], after: list[Point], rooms: tuple[float, float]
) -> None:
    """Center the label that was on one of the moved segments on what is straight there now."""
    for label in labels:
        place = _TRANSLATE.fullmatch(label.get("transform", ""))
        if place is None:
            continue
        center = float(place[1]), float(place[2])
        for index, (old, new) in enumerate(zip(pairwise(before), pairwise(after), strict=True)):
            if old == new or math.dist(old[0], center) + math.dist(center, old[1]) > (
                math.dist(*old) + 1
            ):
                continue
            axis = 0 if abs(new[1][0] - new[0][0]) > abs(new[1][1] - new[0][1]) else 1
            way = math.copysign(1.0, new[1][axis] - new[0][axis])
            start = new[0][axis] + (way * rooms[0] if index == 0 else 0)
            end = new[1][axis] - (way * rooms[1] if index == len(after) - 2 else 0)
            x, y = _replaced(center, axis, (start + end) / 2)
            label.set("transform", f"translate({x:.2f}, {y:.2f})")
            return


def _room(marker: str) -> float:
    return next((room for name, room in _ROOM.items() if name in marker), 0.0)


def _with_straight_start(points: list[Point], room: float) -> list[Point]:
    """Move the first crossing segment away until `room` units before it are straight."""
    start, first, second, third, *rest = points
    axis = 0 if abs(first[0] - start[0]) > abs(first[1] - start[1]) else 1
    reach = first[axis] - start[axis]
    step = math.copysign(room + RADIUS, reach)
    beyond = third[axis] - first[axis]
    crosses = abs(second[axis] - first[axis]) < 0.01
    short = abs(step) > abs(reach)
    # Behind the crossing segment the line must go on the same way, or moving it would fold it.
    spare = abs(beyond) - RADIUS if beyond * reach > 0 else 0.0
    moved = min(abs(step) - abs(reach), spare / 2 if rest else spare)
    if not (crosses and short and moved > 0):
        return points
    value = first[axis] + math.copysign(moved, reach)
    return [start, _replaced(first, axis, value), _replaced(second, axis, value), third, *rest]


def _replaced(point: Point, axis: int, value: float) -> Point:
    return (value, point[1]) if axis == 0 else (point[0], value)
