"""What can be wrong with a diagram, with line, column and the way to mend it."""

from __future__ import annotations

from typing import Any

from agent_tools.errors import AgentToolsError


class DiagramError(AgentToolsError):
    """Base of what the diagram renderer raises."""

    code = "diagram_error"


class DiagramSyntaxError(DiagramError):
    """Say where the Mermaid text is wrong.

    `data` holds `line` and `column` (from 1), the offending `text`, and, where one is obvious,
    `suggestion` (the corrected line) and `corrected_source` (a whole text that parses).
    """

    code = "diagram_syntax"


class DiagramRefused(DiagramError):
    """Say which part of the diagram cannot be drawn here: another kind, math, another script."""

    code = "diagram_refused"


class DiagramTooLarge(DiagramError):
    """Say which limit the diagram goes beyond."""

    code = "diagram_too_large"


class DiagramTimeout(DiagramError):
    """Say that drawing took longer than allowed and was stopped."""

    code = "diagram_timeout"


_KINDS: tuple[type[DiagramError], ...] = (
    DiagramSyntaxError,
    DiagramRefused,
    DiagramTooLarge,
    DiagramTimeout,
)


def to_json(error: AgentToolsError) -> dict[str, Any]:
    """Return the error as JSON-ready facts, for the way from the drawing process."""
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "data": error.data,
    }


def from_json(facts: dict[str, Any]) -> DiagramError:
    """Return the error that `to_json` wrote down."""
    kind = next((k for k in _KINDS if k.code == facts["code"]), DiagramError)
    return kind(facts["message"], hint=facts["hint"], data=facts["data"])
