"""How a result travels, chosen for one call, one connection or the whole server.

The nearest choice counts: the argument `images` of the call, which the model sees; the client's
`_meta` of the request; the query of the server's URL (`/mcp?images=link&structured=off`); the
settings. None of it reaches the tool, so it changes neither pictures nor recipes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from agent_tools.errors import InvalidArguments
from agent_tools.settings import Settings
from agent_tools.tools.base import Tool

META_KEY = "agent-tools/results"
SWITCHES = {
    "images": ("both", "inline", "link", "none"),
    "structured": ("on", "off"),
    "links": ("resource", "https", "text"),
}

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_asked: ContextVar[Mapping[str, Any]] = ContextVar("asked_delivery", default=_NOTHING)


@contextmanager
def asked_by(request: Any, params: Mapping[str, Any] | None) -> Iterator[None]:
    """Remember, for the calls made inside, what a message and its HTTP request ask for.

    Args:
        request: Starlette's request, or None where there is no HTTP.
        params: of the JSON-RPC message.
    """
    query = getattr(request, "query_params", {})
    found: dict[str, Any] = {name: query[name] for name in SWITCHES if name in query}
    meta = (params or {}).get("_meta")
    said = meta.get(META_KEY, {}) if isinstance(meta, Mapping) else {}
    found |= said if isinstance(said, Mapping) else {META_KEY: said}
    token = _asked.set(found)
    try:
        yield
    finally:
        _asked.reset(token)


def chosen(
    settings: Settings, tool: Tool | None, arguments: Mapping[str, Any]
) -> tuple[Settings, dict[str, Any]]:
    """Return the settings of this call, and the arguments that are the tool's own.

    Raises:
        InvalidArguments: for a switch that is not there or a value it does not have.
    """
    own = dict(arguments)
    asked = dict(_asked.get())
    if tool is not None and tool.shows_pictures and "images" in own:
        asked["images"] = own.pop("images")
    asked = {name: value for name, value in asked.items() if value is not None}
    return (_changed(settings, asked) if asked else settings), own


def structured_asked(settings: Settings) -> bool:
    """Return whether results carry structured content, as far as the message says."""
    value = _asked.get().get("structured")
    return settings.structured if value not in SWITCHES["structured"] else value == "on"


def images_argument(settings: Settings) -> dict[str, Any]:
    """Return the schema of the argument that every tool with pictures has besides its own."""
    return {
        "type": "string",
        "enum": list(SWITCHES["images"]),
        "default": settings.images,
        "description": "How pictures come back: small copies inline, links, both, or none.",
    }


def _changed(settings: Settings, asked: Mapping[str, Any]) -> Settings:
    for name, value in asked.items():
        if name not in SWITCHES:
            raise InvalidArguments(
                f"'{str(name)[:60]}' is no switch of results.",
                hint=f"There are: {', '.join(SWITCHES)}.",
            )
        if value not in SWITCHES[name]:
            raise InvalidArguments(
                f"'{name}' is one of {', '.join(SWITCHES[name])} (got {str(value)[:60]!r}).",
                hint=f"Choose one of them, or leave {name} out.",
            )
    if asked.get("links") == "https" and not settings.public_url:
        raise InvalidArguments(
            "This server does not know its own web address, so links cannot be https.",
            hint="Use links 'resource' or 'text', or have public_url set.",
        )
    changes = dict(asked)
    if "structured" in changes:
        changes["structured"] = changes["structured"] == "on"
    return settings.model_copy(update=changes)
