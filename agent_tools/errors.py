"""What can go wrong, said so that an agent or a shop's developer knows the next step.

The engine and the knowledge-base export have error trees of their own; `as_agent_tools_error`
brings them into this one, so that every door maps a single type.
"""

from __future__ import annotations

from typing import Any


class AgentToolsError(Exception):
    """Base of every error that a caller of a tool sees.

    Attributes:
        code: a stable word a program can test, such as "not_found".
        retryable: whether the same call may succeed later.
        hint: what to do next, one sentence.
        data: further facts (allowed values, ids), JSON-ready.
    """

    code = "error"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str | None = None,
        retryable: bool | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.data = data or {}
        if code is not None:
            self.code = code
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InvalidArguments(AgentToolsError):
    """Say which argument is wrong and what is allowed."""

    code = "invalid_arguments"


class NotFound(AgentToolsError):
    """Say that an id names nothing here."""

    code = "not_found"


class Refused(AgentToolsError):
    """Say why the tool will not do this (safety, doubt about a mask, a license)."""

    code = "refused"


class Overloaded(AgentToolsError):
    """Say when to come back; `data["retry_after_s"]` holds the seconds."""

    code = "busy"
    retryable = True


class BadSettings(AgentToolsError):
    """Say which setting is unknown or malformed."""

    code = "bad_settings"


def as_agent_tools_error(error: BaseException) -> AgentToolsError | None:
    """Return `error` as one of ours if it carries a code and a hint, else None.

    The engine's, the exporter's and the diagram renderer's errors all have `code`, `retryable`
    and `hint`; nothing else about them needs to be known here.
    """
    if isinstance(error, AgentToolsError):
        return error
    code = getattr(error, "code", None)
    hint = getattr(error, "hint", None)
    if not isinstance(code, str) or not isinstance(hint, str):
        return None
    data = {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        data["retry_after_s"] = retry_after_s
    message = str(error.args[0]) if error.args else str(error)
    kind = Overloaded if retry_after_s is not None else AgentToolsError
    return kind(
        message,
        hint="" if hint and hint in message else hint,
        code=code,
        retryable=bool(getattr(error, "retryable", False)),
        data=data,
    )
