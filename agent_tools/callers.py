"""Who is calling and what they may do, for the length of a call; set by the door that knows it.

Jobs, pictures, personas and budgets are bound to the caller. The command line and stdio serve one
person and set nothing; an HTTP door sets what its token or its identity provider says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, get_args

from agent_tools.errors import AgentToolsError

Scope = Literal["generate", "read", "export", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_current: ContextVar[str | None] = ContextVar("agent_tools_caller", default=None)
_scopes: ContextVar[frozenset[str] | None] = ContextVar("agent_tools_scopes", default=None)


class Forbidden(AgentToolsError):
    """Say which scope the caller's token lacks."""

    code = "insufficient_scope"


def current_caller() -> str | None:
    """Return the caller of the running call, or None where there is only one."""
    return _current.get()


@contextmanager
def acting_as(caller: str | None, scopes: Iterable[str] | None = None) -> Iterator[None]:
    """Name the caller of what runs inside; tasks started inside inherit it.

    Args:
        caller: a name; None is the one local user, who may see and do everything.
        scopes: what the caller may do; None = everything, but only with what is their own.
    """
    name = _current.set(caller)
    allowed = _scopes.set(None if scopes is None else frozenset(scopes))
    try:
        yield
    finally:
        _scopes.reset(allowed)
        _current.reset(name)


def sees_all() -> bool:
    """Return whether the caller may see what belongs to others: the local user and admins."""
    return _current.get() is None or "admin" in (_scopes.get() or ())


def may(scope: Scope) -> bool:
    """Return whether the caller has a scope; "admin" includes the others."""
    scopes = _scopes.get()
    return scopes is None or scope in scopes or "admin" in scopes


def require_scope(scope: Scope) -> None:
    """Let a caller with the scope pass.

    Raises:
        Forbidden: naming the scope that is missing.
    """
    if not may(scope):
        raise Forbidden(
            f"This needs the scope '{scope}', which your token does not have.",
            hint="Ask the server's operator for a token with it.",
            data={"scope": scope, "granted": sorted(_scopes.get() or ())},
        )
