"""Errors of the Images API, in OpenAI's shape: {"error": {message, type, param, code}}.

https://platform.openai.com/docs/guides/error-codes; the `openai` client makes its exceptions from
the status and these four.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse

from agent_tools.errors import AgentToolsError, Overloaded, Refused
from server.logs import current_request_id

_INVALID = "invalid_request_error"
_REFUSED = "image_generation_user_error"
_SERVER = "server_error"
# Our code -> status, type, their code where clients know another word for it.
_KNOWN: dict[str, tuple[int, str, str]] = {
    "invalid_arguments": (400, _INVALID, "invalid_value"),
    "invalid_request": (400, _INVALID, "invalid_value"),
    "unsupported_mode": (400, _INVALID, "unsupported_mode"),
    "bad_picture": (400, _INVALID, "invalid_image"),
    "not_found": (404, _INVALID, "not_found"),
    "refused": (400, _REFUSED, "moderation_blocked"),
    "insufficient_scope": (403, "permission_error", "insufficient_scope"),
    "busy": (429, "rate_limit_error", "rate_limit_exceeded"),
    "deadline_exceeded": (504, _SERVER, "deadline_exceeded"),
}
# What pydantic calls it -> what OpenAI calls it.
_CODES = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "string_too_long": "string_above_max_length",
    "string_too_short": "string_below_min_length",
    "greater_than_equal": "integer_below_min_value",
    "less_than_equal": "integer_above_max_value",
}


class ApiError(Exception):
    """One error answer.

    Attributes:
        status: HTTP status.
        kind: OpenAI's `type`.
        param: the field that is wrong, or None.
        code: a stable word.
        retry_after_s: when to come back, or None.
        retryable: whether a client may send the same again by itself.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = _INVALID,
        param: str | None = None,
        code: str = "invalid_value",
        retry_after_s: float | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        self.retryable = retryable

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}

    def response(self) -> JSONResponse:
        """Return the answer. Its headers tell a client whether, and when, to try again."""
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after_s)))
        elif not self.retryable and self.status >= 500:
            headers["x-should-retry"] = "false"
        return JSONResponse(self.body, self.status, headers)


def refused_field(error: ValidationError) -> ApiError:
    """Say the first thing that is wrong with a body."""
    first = error.errors(include_url=False)[0]
    param = ".".join(str(part) for part in first["loc"])[:80] or None
    # A hostile name may hold what no UTF-8 can.
    param = None if param is None else param.encode("utf-8", "replace").decode()
    code = _CODES.get(first["type"], "invalid_value")
    if code == "unknown_parameter":
        message = f"Unknown parameter: '{param}'."
    elif code == "missing_required_parameter":
        message = f"Missing required parameter: '{param}'."
    elif param is None:
        message = f"{first['msg'].removeprefix('Value error, ')}."
    else:
        message = f"Invalid value for '{param}': {first['msg'].removeprefix('Value error, ')}."
    return ApiError(message.replace("..", "."), param=param, code=code)


def as_api_error(error: AgentToolsError) -> ApiError:
    """Turn a tool's error into this API's; its hint comes along."""
    code = error.code
    if isinstance(error, Refused) and "rule" not in error.data:
        return ApiError(str(error), kind=_REFUSED, code=code)
    if isinstance(error, Overloaded):
        code = "busy"
    status, kind, word = _KNOWN.get(code, (503 if error.retryable else 500, _SERVER, code))
    return ApiError(
        str(error),
        status=status,
        kind=kind,
        code=word,
        param="prompt" if word == "moderation_blocked" else None,
        retry_after_s=error.data.get("retry_after_s"),
        retryable=error.retryable,
    )


def internal_error() -> ApiError:
    """Return the answer to a fault of ours: nothing but where to look."""
    return ApiError(
        "The server has a fault. Tell its operator the request id " + current_request_id() + ".",
        status=500,
        kind=_SERVER,
        code="internal",
    )
