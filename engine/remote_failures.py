"""Error answers of an Images API, turned into the engine's errors: what went wrong, what is tried.

What is tried again:
- no connection, 429, 503, 529: the server did not take the request; up to the whole of attempts;
- 500, 502: it failed; once more, under the same Idempotency-Key;
- a connection lost after sending, 504, an answer that began: never, the picture may exist.
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import (
    Busy,
    EngineError,
    GenerationFailed,
    InvalidRequest,
    RemoteRefused,
    RemoteUnavailable,
    UnsupportedMode,
)
from engine.remote_wire import ServerError

_NOT_TAKEN = frozenset({429, 503, 529})
_FAILED = frozenset({500, 502})
_LONGEST_RETRY_S = 3600.0
_KEY_HINT = "Check AGENT_TOOLS_ENGINE_API_KEY."
ADDRESS_HINT = "Check AGENT_TOOLS_ENGINE."


class KeysRefused(Exception):
    """Tell that the server does not know some optional keys; nothing was painted.

    Attributes:
        keys: their names.
        error: what to raise if they cannot be left out.
    """

    def __init__(self, keys: frozenset[str], error: EngineError) -> None:
        super().__init__(", ".join(sorted(keys)))
        self.keys = keys
        self.error = error


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed.

    Attributes:
        error: what to raise if it was the last.
        attempts: how often this may be tried in all.
        retry_after_s: how long the server asks to wait, None if it does not say.
    """

    error: EngineError
    attempts: int = 1
    retry_after_s: float | None = None


def attempts_for(status: int, headers: Mapping[str, str], attempts: int) -> int:
    """Return how often a request answered like this is sent in all."""
    if headers.get("x-should-retry", "").lower() == "false":
        return 1
    if status in _NOT_TAKEN:
        return attempts
    return min(2, attempts) if status in _FAILED else 1


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After (RFC 9110, section 10.2.3): seconds or a date. None if it is neither."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def explain(
    status: int,
    said: ServerError,
    *,
    host: str,
    retry_after_s: float | None = None,
    editing: bool = False,
) -> EngineError:
    """Return the error to raise for an answer that brings no picture.

    Args:
        status: HTTP status.
        said: the server's words, free of our key.
        host: whose words.
        retry_after_s: how long it asks to wait.
        editing: whether it was asked to edit.
    """
    words, server = said.message or f"HTTP {status}", f"The remote server ({host})"
    if said.code == "insufficient_quota":
        return RemoteRefused(f"{server} refuses us: {words}", hint="Check the account's quota.")
    if status in (401, 403):
        return RemoteRefused(f"{server} refuses us: {words}", hint=_KEY_HINT)
    if 300 <= status < 400:
        return RemoteRefused(f"{server} sends us to another address.", hint=ADDRESS_HINT)
    if status == 400 and (said.code == "model_not_found" or "model mismatch" in words.lower()):
        return RemoteRefused(f"{server}: {words}", hint="Check AGENT_TOOLS_ENGINE_MODEL.")
    if status in (404, 405, 501):
        if editing and "model" not in words.lower():
            return UnsupportedMode(
                f"{server} cannot edit pictures: {words}",
                hint="Ask without a source picture, or use a server with /images/edits.",
            )
        hint = "Check AGENT_TOOLS_ENGINE and AGENT_TOOLS_ENGINE_MODEL."
        return RemoteRefused(f"{server} does not have this: {words}", hint=hint)
    if status == 429 or (status in _NOT_TAKEN and retry_after_s is not None):
        return Busy(
            f"{server} is busy: {words}",
            retry_after_s=min(_LONGEST_RETRY_S, max(1.0, retry_after_s or 0.0)),
            hint="Try again after retry_after_s seconds.",
        )
    if 400 <= status < 500 and status != 408:
        blocked = "moderation" in said.code or "content_policy" in said.code
        hint = "Change the prompt." if blocked else "Change what it names."
        return InvalidRequest(f"{server} does not take this: {words}", hint=hint)
    return RemoteUnavailable(f"{server} fails: {words}", hint="Try again later.")


def explain_event(said: ServerError, *, host: str, editing: bool) -> EngineError:
    """Return the error to raise for an error that came in a stream, after its status."""
    blocked = "moderation" in said.code or said.kind in (
        "invalid_request_error",
        "image_generation_user_error",
    )
    if said.code == "rate_limit_exceeded":
        return explain(429, said, host=host)
    return explain(400 if blocked else 500, said, host=host, editing=editing)


def unreachable(host: str, error: Exception, attempts: int) -> Failure:
    """Return what there is to say, and whether to try again, when there is no connection."""
    if "certificate" in str(error).lower():
        refused = RemoteRefused(
            f"The certificate of the remote server ({host}) is not trusted.",
            hint="Name the file of its authority in SSL_CERT_FILE.",
        )
        return Failure(refused)
    unavailable = RemoteUnavailable(
        f"The remote server ({host}) cannot be reached: {type(error).__name__}.",
        hint=f"Is it running? {ADDRESS_HINT}",
    )
    return Failure(unavailable, attempts)


def broken(host: str, error: Exception) -> RemoteUnavailable:
    """Return the error to raise when a connection ends before the answer does."""
    return RemoteUnavailable(
        f"The connection to the remote server ({host}) broke: {type(error).__name__}.",
        hint="The picture may have been painted all the same; try again.",
    )


def too_large(limit: int) -> GenerationFailed:
    """Return the error to raise for an answer of more than `limit` bytes."""
    return GenerationFailed(
        f"The remote server's answer is larger than {limit / 1e6:.0f} MB.",
        hint="Ask for a smaller picture.",
    )
