"""The one place that knows merman, the Mermaid renderer (its Python binding calls itself
experimental: exact pin, nothing of it leaks out of this module).

Text is measured with the bundled fonts (host text measurement protocol 1,
https://github.com/Latias94/merman/blob/main/docs/bindings/HOST_TEXT_MEASUREMENT.md), because
merman's own metrics clip labels that are drawn in another font.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import merman

from agent_tools.diagrams import fonts
from agent_tools.diagrams.errors import (
    DiagramError,
    DiagramRefused,
    DiagramSyntaxError,
    DiagramTooLarge,
)
from agent_tools.diagrams.room import GAP, MARK
from agent_tools.diagrams.theme import Theme, site_config

_Result = merman.MermanTextMeasureResult
_Kind = merman.MermanTextMeasurementResultKind
# operation number -> what kind of answer it wants, and whether the answer is an offset
_OPERATIONS = {
    number: (kind, offset) for number, _, kind, offset in merman.TEXT_MEASUREMENT_OPERATIONS
}
# Enough for a chain of 150 nodes or 60 tables; the drawing process has a clock for the rest.
_LIMITS = {"max_model_items": 1500, "max_layout_work_units": 1_000_000}
_BOLD = frozenset(("bold", "bolder", "600", "700", "800", "900"))


class MermaidRenderer:
    """Parse and lay out Mermaid text within merman's limits for untrusted input."""

    def __init__(self, theme: Theme, room: float = 0.0) -> None:
        """Prepare for a palette.

        Args:
            theme: the palette.
            room: user units to keep free in every node whose label carries `MARK`.
        """
        options = {
            "runtime_policy": "deterministic",
            "resources": {"profile": "constrained", "limits": _LIMITS},
            "svg": {"pipeline": "resvg-safe", "diagram_id": "diagram"},
            "site_config": site_config(theme, fonts.FAMILY),
        }
        services = merman.MermanEngineServices().with_text_measurer(_Measurer(room))
        self._engine = merman.MermanEngine(json.dumps(options), services)
        self.version = f"merman {version('merman')}"

    def parse(self, text: str) -> dict[str, Any]:
        """Return the diagram's meaning: nodes, edges, messages... as merman names them."""
        with _translated(text):
            model: dict[str, Any] = json.loads(self._engine.parse_json(text, None))
            return model

    def layout(self, text: str) -> dict[str, Any]:
        """Return the boxes of the diagram's parts in user units."""
        with _translated(text):
            boxes: dict[str, Any] = json.loads(self._engine.layout_json(text, None))
            return boxes

    def lines(self, text: str) -> dict[str, list[tuple[float, float]]]:
        """Return the points of every edge by its id; empty for kinds without a graph."""
        layout = next(iter(self.layout(text)["layout"].values()))
        return {
            edge["id"]: [(point["x"], point["y"]) for point in edge["points"]]
            for edge in layout.get("edges", ())
            if "points" in edge
        }

    def svg(self, text: str) -> str:
        """Return the laid-out diagram as SVG, not yet sanitized."""
        with _translated(text):
            return str(self._engine.render_svg(text, None))

    def first_error(self, text: str) -> tuple[str, int, int, bool] | None:
        """Return (message, line, column, exact) of the first syntax error, or None."""
        report = json.loads(self._engine.analyze_json(text, None))
        for item in report["diagnostics"]:
            if item["severity"] == "error":
                span = item.get("span") or {"line": 1, "column": 1}
                guessed = any(
                    related["span"] == span
                    and ("fallback" in related["message"] or "precise" in related["message"])
                    for related in item["related"]
                )
                return item["message"], span["line"], span["column"], not guessed
        return None


class _translated:
    """Turn merman's errors into ours."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not isinstance(error, merman.MermanError.Binding):
            return
        message = str(error.message).removeprefix("Diagram parse error ")
        if error.resource is not None:
            limit = error.resource
            raise DiagramTooLarge(
                f"The diagram is too large: {limit.limit_id.replace('_', ' ')} is {limit.actual}, "
                f"at most {limit.max} are drawn.",
                hint="Split it into an overview and detail diagrams.",
            ) from None
        if error.code_name in ("MERMAN_PARSE_ERROR", "MERMAN_NO_DIAGRAM"):
            raise DiagramSyntaxError(message) from None
        if "capability" in message:
            raise DiagramRefused(
                f"The diagram needs something that is not drawn here: {message}.",
                hint="Use plain text labels.",
            ) from None
        raise DiagramError(
            f"The diagram could not be laid out: {message[:300]}.", hint="Simplify it."
        ) from None


class _Measurer(merman.MermanTextMeasurer):  # type: ignore[misc, unused-ignore]
    """Answer merman's questions about text sizes from the bundled fonts."""

    def __init__(self, room: float) -> None:
        super().__init__()
        self._room = room

    def measure(self, request: Any) -> Any:
        """Return the size of `request.text`; None leaves offsets to merman."""
        kind, is_offset = _OPERATIONS[request.operation.value]
        if is_offset:
            return None
        size, bold = request.font_size, str(request.font_weight or "").lower() in _BOLD
        text = request.text.replace(MARK, "")
        room = self._room if text != request.text else 0.0
        limit = request.max_width if kind in ("metrics", "wrapped-with-raw-width") else None
        lines = _wrapped(text, size, bold, limit)
        width = max(room, *(fonts.text_width(line, size, bold=bold) for line in lines))
        height = request.line_height * len(lines) + (room + GAP if room else 0.0)
        if kind == "length":
            length = height if "HEIGHT" in request.operation.name else width
            return _answer(_Kind.LENGTH, length=length)
        if kind == "horizontal-extents":
            return _answer(_Kind.HORIZONTAL_EXTENTS, bbox_left=width / 2, bbox_right=width / 2)
        if kind == "metrics":
            return _answer(_Kind.METRICS, width=width, height=height, line_count=len(lines))
        raw = fonts.text_width(text.replace("\n", " "), size, bold=bold)
        return _answer(
            _Kind.WRAPPED_WITH_RAW_WIDTH,
            width=width,
            height=height,
            line_count=len(lines),
            raw_width=raw,
        )


def _answer(kind: Any, **values: Any) -> Any:
    empty = {"width": 0.0, "height": 0.0, "length": 0.0, "line_count": 1}
    optional = {"bbox_left": None, "bbox_right": None, "raw_width": None}
    return _Result(result_kind=kind, **{**empty, **optional, **values})


def _wrapped(text: str, size: float, bold: bool, limit: float | None) -> list[str]:
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and limit and fonts.text_width(longer, size, bold=bold) > limit:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return lines
