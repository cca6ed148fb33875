"""Who is calling: one name for the length of a call, set by the door that knows it.

Jobs, pictures and budgets are bound to it. The command line and stdio serve one person and set
nothing; an HTTP door sets what its token or its identity provider says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str | None] = ContextVar("agent_tools_caller", default=None)


def current_caller() -> str | None:
    """Return the caller of the running call, or None where there is only one."""
    return _current.get()


@contextmanager
def acting_as(caller: str | None) -> Iterator[None]:
    """Name the caller of what runs inside; tasks started inside inherit it."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)
