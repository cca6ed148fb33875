"""Completion of ids and arguments while a person types them.

The newest come first, and what begins with the typed text goes before what only contains it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, get_args

from mcp.server.mcpserver import MCPServer
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from agent_tools.appearance import Expression
from agent_tools.callers import may
from agent_tools.studio import Studio

# The protocol's limit for one answer.
MOST = 100
_KNOWN = 1000  # newest pictures that are looked at
_DIAGRAMS = ("flowchart", "sequence", "state", "class", "er", "gantt", "mindmap")
_SCENES = ("white background", "gray background", "wooden table", "kitchen shelf")


def add_completion(server: MCPServer[Any], studio: Studio) -> None:
    """Complete image and persona ids of resource templates, and arguments of prompts."""

    async def complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        if isinstance(reference, ResourceTemplateReference):
            choose = _image_ids if argument.name == "image_id" else _persona_ids
            known = argument.name in ("image_id", "persona_id")
            found = await asyncio.to_thread(choose, studio) if known else []
            return _matching(found, argument.value)
        if argument.name == "colors":
            return _in_list(_colors(), argument.value)
        if argument.name == "expressions":
            return _in_list(get_args(Expression), argument.value)
        if argument.name == "scene":
            return _matching(_SCENES, argument.value)
        if argument.name == "kind":
            return _matching(_DIAGRAMS, argument.value)
        if (reference.name, argument.name) == ("persona", "name"):
            return _matching(await asyncio.to_thread(_persona_ids, studio), argument.value)
        if (reference.name, argument.name) == ("product_variants", "product"):
            found = await asyncio.to_thread(_products, studio)
            return _matching(found, argument.value)
        return _matching([], argument.value)

    register: Any = server.completion  # the SDK has no types for it
    register()(complete)


def _image_ids(studio: Studio) -> list[str]:
    if not may("read"):
        return []
    return [record.image_id for record in studio.gallery.list(limit=_KNOWN)]


def _persona_ids(studio: Studio) -> list[str]:
    if not may("read"):
        return []
    return [persona.persona_id for persona in studio.personas.list()]


def _products(studio: Studio) -> list[str]:
    """Return names of products that were painted, then ids of uploads that can be recolored."""
    records = studio.gallery.list(limit=_KNOWN) if may("read") else []
    names = [str(r.metadata["product"]) for r in records if r.metadata.get("product")]
    return [*names, *(record.image_id for record in records if record.kind == "upload")]


def _colors() -> list[str]:
    from agent_tools.color_names import PLAIN_COLORS, TRADE_COLORS

    return [*PLAIN_COLORS, *TRADE_COLORS]


def _in_list(known: Iterable[str], typed: str) -> Completion:
    """Complete the last item of a list separated by commas, without those that stand in it."""
    before, comma, last = typed.rpartition(",")
    head = f"{before}{comma} " if comma else ""
    there = {item.strip().lower() for item in before.split(",")}
    return _matching((item for item in known if item not in there), last.strip(), head)


def _matching(known: Iterable[str], typed: str, head: str = "") -> Completion:
    wanted = typed.strip().casefold()
    items = list(dict.fromkeys(known))
    begins = [item for item in items if item.casefold().startswith(wanted)]
    holds = [item for item in items if wanted in item.casefold() and item not in set(begins)]
    found = [head + item for item in begins + holds]
    return Completion(values=found[:MOST], total=len(found), has_more=len(found) > MOST)
