"""What the gallery holds, as searching sees it; follows every change, also by other processes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kb_export.search_text import SENTENCES, sentences
from kb_export.text_index import Document, TextIndex

if TYPE_CHECKING:
    import sqlite3

    from agent_tools.gallery import Gallery
    from kb_export.encoder import Encoder
    from kb_export.text_index import Report

_TEXTS = ("title", "caption", "alt", "use_when", "long_description", "tags", "metadata")
_FACTS = ("image_id", "tool", "kind", "model", "group_id", "created_at", "caller")


@dataclass(frozen=True, slots=True)
class Item:
    """One picture, as far as searching needs it.

    Attributes:
        key: names picture and words; edited words make another item.
        words: everything full-text search finds it by, the prompt among it.
        sentences: what is compared by meaning.
        product: name and SKU, case-folded.
        sku: case-folded; empty if it has none.
        tags: case-folded.
        caller: whose picture it is; None if it belongs to nobody in particular.
    """

    key: str
    image_id: str
    tool: str
    kind: str
    model: str
    group: str | None
    created_at: float
    words: str
    sentences: tuple[str, ...]
    product: tuple[str, ...]
    sku: str
    persona_id: str | None
    tags: tuple[str, ...]
    caller: str | None

    def is_of(self, product: str) -> bool:
        """Return whether it shows a product, by part of its name or by its SKU."""
        wanted = product.casefold().strip()
        return any(wanted in name for name in self.product)


class Stock:
    """Hold one item a picture. The owner holds a lock around every call."""

    def __init__(self, gallery: Gallery, encoder: Encoder | None) -> None:
        self._gallery = gallery
        self._items: dict[str, Item] = {}
        self._seen: tuple[int, int] | None = None
        self.index = TextIndex(gallery, encoder, "gallery", SENTENCES)

    @property
    def items(self) -> list[Item]:
        """All items, as of the last `refresh`."""
        return list(self._items.values())

    def refresh(self, report: Report | None = None) -> None:
        """Read what is new or was edited since the last time, and forget what is gone."""
        state = self._state()  # before reading: what is written meanwhile is read next time
        if self._seen == state:
            return
        columns = ", ".join((*_TEXTS, *_FACTS))
        with self._gallery.lock:
            rows = self._gallery.connection.execute(f"SELECT {columns} FROM images").fetchall()
        keys = {_key(row): row for row in rows}
        for gone in self._items.keys() - keys.keys():
            del self._items[gone]
        for key in keys.keys() - self._items.keys():
            self._items[key] = _item(key, keys[key], self._prompt(keys[key]["image_id"]))
        self.index.refresh(
            self._items.keys(),
            lambda key: Document(self._items[key].words, self._items[key].sentences),
            report,
        )
        self._seen = state

    def _prompt(self, image_id: str) -> str:
        """Return the words a picture was painted or drawn from; they may differ from its caption.

        Never the whole recipe: it holds ids and versions that would be found by everything.
        """
        with self._gallery.lock:
            row = self._gallery.connection.execute(
                "SELECT recipe FROM images WHERE image_id = ?", (image_id,)
            ).fetchone()
        recipe: dict[str, Any] = {} if row is None else json.loads(row[0])
        arguments = recipe.get("arguments") or {}
        said = [recipe.get("prompt"), *(arguments.get(n) for n in ("prompt", "source", "product"))]
        return "\n".join(dict.fromkeys(text for text in said if isinstance(text, str)))

    def _state(self) -> tuple[int, int]:
        """Return what changes with every write, by this connection or by another process."""
        with self._gallery.lock:
            connection = self._gallery.connection
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            return int(version), connection.total_changes


def _key(row: sqlite3.Row) -> str:
    said = "\0".join(str(row[name]) for name in _TEXTS)
    return f"{row['image_id']}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def _item(key: str, row: sqlite3.Row, prompt: str) -> Item:
    tags = [str(tag) for tag in json.loads(row["tags"])]
    facts: dict[str, Any] = json.loads(row["metadata"])
    names = [str(facts[name]).casefold() for name in ("product", "sku") if facts.get(name)]
    words = [
        *(str(row[name]) for name in ("title", "caption", "alt", "use_when", "long_description")),
        *tags,
        *map(str, facts.values()),
        prompt,
        row["image_id"],
        row["group_id"] or "",
    ]
    return Item(
        key=key,
        image_id=row["image_id"],
        tool=row["tool"],
        kind=row["kind"],
        model=row["model"],
        group=row["group_id"],
        created_at=row["created_at"],
        words="\n".join(words),
        sentences=sentences(row["title"], row["caption"], row["use_when"]),
        product=tuple(names),
        sku=str(facts.get("sku") or "").casefold(),
        persona_id=facts.get("persona_id"),
        tags=tuple(tag.casefold() for tag in tags),
        caller=row["caller"],
    )
