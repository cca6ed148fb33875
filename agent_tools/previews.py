"""Whether a call shall show small pictures of its painting while it is under way.

A door that can show them says so around the call; who paints reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_every: ContextVar[int] = ContextVar("agent_tools_preview_every", default=0)


def preview_every() -> int:
    """Return the steps between previews of the running call; 0 if nobody wants any."""
    return _every.get()


@contextmanager
def with_previews(every: int = 1) -> Iterator[None]:
    """Ask for a preview after every `every` steps of what is painted inside."""
    token = _every.set(every)
    try:
        yield
    finally:
        _every.reset(token)
