"""What can go wrong on the way to a knowledge base. Each error names the next step in `hint`."""

from __future__ import annotations


class KBError(Exception):
    """Base of the export's errors.

    Attributes:
        code: a stable word a program can test.
        retryable: whether the same call may succeed later.
        hint: what to do next, one sentence.
    """

    code = "kb_error"
    retryable = False

    def __init__(self, message: str, *, hint: str = "", retryable: bool | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.args[0]} {self.hint}".strip()


class BadTarget(KBError):
    """Say what is wrong with the name of a knowledge base and what is allowed."""

    code = "bad_kb_target"


class TargetUnavailable(KBError):
    """Say that the whole knowledge base cannot be reached; no record is to blame."""

    code = "kb_unavailable"
    retryable = True


class RecordRefused(KBError):
    """Say that one record can never be taken as it is (file damaged, too large)."""

    code = "record_refused"


class NotIndexed(KBError):
    """Say which records a platform took and then could not index.

    Attributes:
        failed: (record_id, reason) of each.
    """

    code = "not_indexed"

    def __init__(self, failed: tuple[tuple[str, str], ...], *, hint: str = "") -> None:
        count = f"{len(failed)} record{'' if len(failed) == 1 else 's'}"
        super().__init__(f"{count} could not be indexed: {failed[0][1][:200]}", hint=hint)
        self.failed = failed


class BadRecord(KBError):
    """Say which field of a record is malformed."""

    code = "bad_record"
