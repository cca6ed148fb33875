"""Draws the latencies of one mixed-load run as an SVG: a dot for each job, both ways."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 860, 150, 40
LANE, TOP = 46, 78
COLORS = {"plain": "#9aa3af", "engine": "#0f8a7e"}
NAMES = {"plain": "plain diffusers, FIFO", "engine": "agent-tools engine"}
KINDS = {
    "short": "Short jobs (4 steps), seconds to the picture",
    "long": "Long jobs (50 steps), seconds to the picture",
}


def draw(found: dict[str, Any]) -> str:
    """Return an SVG of `latencies_s` of a mixed-load result."""
    points = found["latencies_s"]
    longest = max(max(values) for ways in points.values() for values in ways.values())
    end = _round_up(longest)
    scale = (WIDTH - LEFT - RIGHT) / end
    parts: list[str] = []
    y = TOP
    for kind, title in KINDS.items():
        parts.append(_text(20, y - 12, title, 14, weight=600))
        for way in ("plain", "engine"):
            values = sorted(points[way][kind])
            middle = y + LANE / 2
            parts.append(_text(LEFT - 12, middle + 4, NAMES[way], 12, anchor="end"))
            parts.append(
                f'<line x1="{LEFT}" y1="{middle}" x2="{WIDTH - RIGHT}" y2="{middle}" '
                'stroke="#e3e6ea"/>'
            )
            parts += [
                f'<circle cx="{LEFT + value * scale:.1f}" cy="{middle}" r="6" '
                f'fill="{COLORS[way]}" fill-opacity="0.72"/>'
                for value in values
            ]
            median = values[len(values) // 2]
            x = LEFT + median * scale
            parts.append(
                f'<line x1="{x:.1f}" y1="{middle - 14}" x2="{x:.1f}" y2="{middle + 14}" '
                f'stroke="{COLORS[way]}" stroke-width="2.5"/>'
            )
            parts.append(_text(x, middle - 17, f"median {median:.1f} s", 11, anchor="middle"))
            y += LANE
        y += 40
    axis = y - 34
    step = end / 5
    for tick in range(6):
        x = LEFT + tick * step * scale
        parts.append(_text(x, axis + 16, f"{tick * step:g} s", 11, anchor="middle"))
    height = axis + 30
    title = (
        f"3 long and 9 short jobs on one machine: short ones {found['short_p50_ratio']:.1f}x "
        f"sooner, all done {found['makespan_ratio']:.2f}x sooner"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="{escape(title)}">'
        f'<rect width="{WIDTH}" height="{height:.0f}" rx="10" fill="#ffffff"/>'
        + _text(20, 34, title, 16, weight=700)
        + "".join(parts)
        + "</svg>\n"
    )


def _text(
    x: float, y: float, words: str, size: int, *, anchor: str = "start", weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}" fill="#1f2733">{escape(words)}</text>'
    )


def _round_up(value: float) -> float:
    for end in (1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000):
        if value <= end:
            return float(end)
    return value
