"""Look through the gallery: by filter, by words, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent_tools.callers import current_caller

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord

# Means, not results: shown when asked for.
MEANS = ("mask", "sheet")
ANY_KIND = "all"
_MAX_WORDS = 12
_CHOICES = 200
_SEARCHED = ("title", "caption", "alt", "tags", "metadata", "image_id", "model", "tool")
_PRODUCT = "COALESCE(json_extract(metadata, '$.sku'), json_extract(metadata, '$.product'))"
_PERSONA = "json_extract(metadata, '$.persona_id')"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which pictures; what is empty or None does not limit.

    Attributes:
        words: every word must occur in the picture's words, facts or ids.
        kind: one kind; "all" for masks and sheets, too, which are left out otherwise.
        product: SKU, or the product's words.
        since: first day, in UTC.
        until: last day, in UTC.
    """

    words: str = ""
    tool: str = ""
    kind: str = ""
    product: str = ""
    persona: str = ""
    model: str = ""
    group: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One page of pictures, newest first, and how many there are in all."""

    records: tuple[ImageRecord, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Choices:
    """What filters can be set to, because pictures have it; at most 200 each.

    Attributes:
        personas: (persona id, name) pairs.
    """

    tools: tuple[str, ...]
    kinds: tuple[str, ...]
    models: tuple[str, ...]
    products: tuple[str, ...]
    personas: tuple[tuple[str, str], ...]


def browse(gallery: Gallery, wanted: Filter, *, limit: int, offset: int = 0) -> Found:
    """Return the newest pictures that pass the filter."""
    where, values = _clauses(gallery, wanted)
    with gallery.lock:
        (total,) = gallery.connection.execute(
            f"SELECT COUNT(*) FROM images WHERE {where}", values
        ).fetchone()
        rows = gallery.connection.execute(
            f"SELECT image_id FROM images WHERE {where} "
            "ORDER BY created_at DESC, rowid DESC LIMIT ? OFFSET ?",
            (*values, limit, offset),
        ).fetchall()
        records = tuple(gallery.get(row[0]) for row in rows)
    return Found(records, total)


def choices(gallery: Gallery) -> Choices:
    """Return what there is to filter by."""
    own, caller = _own(gallery)
    with gallery.lock:

        def distinct(columns: str, where: str = "1") -> Iterable[Any]:
            return gallery.connection.execute(
                f"SELECT DISTINCT {columns} FROM images WHERE {where} AND {own} "
                f"ORDER BY 1 LIMIT {_CHOICES}",
                caller,
            ).fetchall()

        persona = f"{_PERSONA}, json_extract(metadata, '$.persona')"
        return Choices(
            tools=tuple(row[0] for row in distinct("tool")),
            kinds=tuple(row[0] for row in distinct("kind")),
            models=tuple(row[0] for row in distinct("model")),
            products=tuple(str(row[0]) for row in distinct(_PRODUCT, f"{_PRODUCT} IS NOT NULL")),
            personas=tuple(
                (str(row[0]), str(row[1] or row[0]))
                for row in distinct(persona, f"{_PERSONA} IS NOT NULL")
            ),
        )


def neighbors(gallery: Gallery, record: ImageRecord) -> tuple[str | None, str | None]:
    """Return the ids of the next newer and the next older picture, masks and sheets left out."""
    where, values = _clauses(gallery, Filter())

    def one(comparison: str, order: str) -> str | None:
        row = gallery.connection.execute(
            f"SELECT image_id FROM images WHERE {where} AND (created_at, rowid) {comparison} "
            "(SELECT created_at, rowid FROM images WHERE image_id = ?) "
            f"ORDER BY created_at {order}, rowid {order} LIMIT 1",
            (*values, record.image_id),
        ).fetchone()
        return None if row is None else str(row[0])

    with gallery.lock:
        return one(">", "ASC"), one("<", "DESC")


def relatives(gallery: Gallery, record: ImageRecord, limit: int = 24) -> tuple[ImageRecord, ...]:
    """Return pictures of the same call, the one it was made from and those made from it."""
    own, caller = _own(gallery)
    with gallery.lock:
        rows = gallery.connection.execute(
            f"SELECT image_id FROM images WHERE {own} AND image_id != ? AND kind != 'mask' AND "
            "(group_id = ? OR image_id = ? OR parent_id IN (?, ?)) "
            "ORDER BY created_at, rowid LIMIT ?",
            (
                *caller,
                record.image_id,
                record.group,
                record.parent_id,
                record.image_id,
                record.parent_id,
                limit,
            ),
        ).fetchall()
        return tuple(gallery.get(row[0]) for row in rows)


def _own(gallery: Gallery) -> tuple[str, tuple[Any, ...]]:
    """Return the clause that leaves only what the running call may see in lists."""
    return ("1", ()) if gallery.sees_all() else ("caller = ?", (current_caller(),))


def _clauses(gallery: Gallery, wanted: Filter) -> tuple[str, tuple[Any, ...]]:
    own, caller = _own(gallery)
    clauses, values = [own], [*caller]
    if not wanted.kind:
        clauses.append(f"kind NOT IN ({', '.join('?' * len(MEANS))})")
        values += MEANS
    exact = {
        "tool": wanted.tool,
        "kind": "" if wanted.kind == ANY_KIND else wanted.kind,
        "model": wanted.model,
        "group_id": wanted.group,
        _PRODUCT: wanted.product,
        _PERSONA: wanted.persona,
    }
    for column, value in exact.items():
        if value:
            clauses.append(f"CAST({column} AS TEXT) = ?" if "(" in column else f"{column} = ?")
            values.append(value)
    for word in wanted.words.split()[:_MAX_WORDS]:
        pattern = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        clauses.append(
            "(" + " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in _SEARCHED) + ")"
        )
        values += [pattern] * len(_SEARCHED)
    if wanted.since is not None:
        clauses.append("created_at >= ?")
        values.append(_midnight(wanted.since))
    if wanted.until is not None:
        clauses.append("created_at < ?")
        values.append(_midnight(min(wanted.until, date.max - timedelta(1)) + timedelta(1)))
    return " AND ".join(clauses), tuple(values)


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
