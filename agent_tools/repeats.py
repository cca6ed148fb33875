"""Calls that were made before: the same recipe later gives the stored pictures, at once.

A call counts as the same if tool, arguments, seed, model, weights, exactness and the policy are
equal. Without a seed every call is new.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from agent_tools.errors import NotFound
from agent_tools.results import ToolResult

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.studio import Studio
    from agent_tools.tools.base import Tool

Fresh = Annotated[
    bool,
    Field(
        description="Paint again even if this very call, seed included, was made before; if not, "
        "its stored pictures are returned."
    ),
]
NOTE = "\nNote: the same call was made before; these are its stored pictures (fresh=true repaints)."


class Repeats:
    """Remember what calls returned, in the gallery's own database."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        with gallery.transaction() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS repeats (key TEXT PRIMARY KEY, text TEXT, data TEXT, "
                "image_ids TEXT)"
            )

    @staticmethod
    def may_know(checked: BaseModel) -> bool:
        """Return whether such a call can have been made before; blocks nobody."""
        return getattr(checked, "seed", None) is not None and hasattr(checked, "fresh")

    def key(self, studio: Studio, tool: Tool, checked: BaseModel) -> str | None:
        """Return what names this call, or None if every such call is new."""
        if not self.may_know(checked):
            return None
        if getattr(checked, "model", None) is not None:
            return None  # the revision below is the default model's
        said = {
            "tool": tool.name,
            "caller": self._gallery.owner(),
            "arguments": checked.model_dump(mode="json", exclude={"fresh"}),
            "model": studio.engine.model,
            "revision": studio.engine.revision,
            "exact": studio.settings.exact_replay,
            "policy": studio.policy.fingerprint,
            "checker": studio.checker.fingerprint if studio.checker else None,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def find(self, studio: Studio, tool: Tool, key: str) -> ToolResult | None:
        """Return what the call gave, if all of its pictures are still there."""
        with self._gallery.lock:
            row = self._gallery.connection.execute(
                "SELECT text, data, image_ids FROM repeats WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        try:
            records = [self._gallery.get(image_id) for image_id in json.loads(row["image_ids"])]
            data = tool.Output.model_validate_json(row["data"])
        except (NotFound, ValidationError, ValueError):
            return None  # a picture was deleted, or another version wrote it
        shown = tuple(studio.show(record) for record in records)
        return ToolResult(text=row["text"] + NOTE, data=data, images=shown)

    def remember(self, key: str, result: ToolResult) -> None:
        """Keep what a call gave; the newest counts."""
        values: tuple[Any, ...] = (
            key,
            result.text,
            result.data.model_dump_json(),
            json.dumps([image.info.image_id for image in result.images]),
        )
        with self._gallery.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO repeats VALUES (?, ?, ?, ?)", values)
