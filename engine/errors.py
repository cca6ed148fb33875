"""What can go wrong while a picture is made. Each error names the next step in `hint`."""

from __future__ import annotations


class EngineError(Exception):
    """Base of the engine's errors.

    Attributes:
        code: a stable word a program can test.
        retryable: whether the same request may succeed later.
        hint: what to do next, one sentence.
    """

    code = "engine_error"
    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.args[0]} {self.hint}".strip()


class InvalidRequest(EngineError):
    """Say which part of a request is wrong and what is allowed."""

    code = "invalid_request"


class UnsupportedMode(EngineError):
    """Say that the loaded model cannot serve this kind of request, and which model can."""

    code = "unsupported_mode"


class ModelNotLoaded(EngineError):
    """Say why a model could not be loaded."""

    code = "model_not_loaded"


class LicenseNotAccepted(EngineError):
    """Say that a model's license must be accepted first."""

    code = "license_not_accepted"


class OutOfMemory(EngineError):
    """Say that the request does not fit into memory."""

    code = "out_of_memory"


class GenerationFailed(EngineError):
    """Say that painting went wrong inside the model; the engine goes on with the next request."""

    code = "generation_failed"


class RequestCancelled(EngineError):
    """Say that a request was stopped by `Engine.cancel` or by closing the engine."""

    code = "cancelled"


class DeadlineExceeded(EngineError):
    """Say that a request's own deadline has passed, or would pass before it could be done."""

    code = "deadline_exceeded"
    retryable = True


class RemoteRefused(EngineError):
    """Say why a remote server does not serve us, and which setting to look at."""

    code = "remote_refused"


class RemoteUnavailable(EngineError):
    """Say that a remote server cannot be reached, fails, or takes too long."""

    code = "remote_unavailable"
    retryable = True


class EngineClosed(EngineError):
    """Say that the engine has been closed."""

    code = "engine_closed"


class Busy(EngineError):
    """Say when to come back.

    Attributes:
        retry_after_s: seconds until the queue has probably room.
    """

    code = "busy"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s
