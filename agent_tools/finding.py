"""Find pictures of the gallery again: by words, by likeness to another one, by what made them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from agent_tools.callers import current_caller
from agent_tools.errors import InvalidArguments, NotFound
from agent_tools.looks import Looks
from agent_tools.stock import Item, Stock
from kb_export.captions import clean
from kb_export.search import MAX_QUESTION
from kb_export.search_text import ids_in, telling_words

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord
    from kb_export.encoder import Encoder
    from kb_export.text_index import Report

Method = Literal["exact", "meaning", "words", "like", "newest"]
_WORD = re.compile(r"\w+")
# Scores are compared with those in cursors; the last bits of a float depend on the gallery's size.
_DIGITS = 6
_BELOW_EXACT = 1 - 10**-_DIGITS  # words that all fit still come after an exact SKU or id

# Below these a hit is noise: a cosine of MiniLM's vectors, or a share of the words' weight.
_NOISE = {"vectors": 0.34, "words": 0.3}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for; what is None does not matter.

    Attributes:
        query: words, a SKU or an id.
        like: the image_id of a picture that the others shall resemble.
        product: part of the product's name, or its SKU.
        since: seconds since the epoch, inclusive.
        until: seconds since the epoch, exclusive.
        min_score: weaker hits are left out; None leaves out noise only.
    """

    query: str | None = None
    like: str | None = None
    kind: str | None = None
    tool: str | None = None
    model: str | None = None
    product: str | None = None
    persona_id: str | None = None
    tag: str | None = None
    since: float | None = None
    until: float | None = None
    min_score: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The best picture of a group.

    Attributes:
        score: 0 to 1; None where pictures are listed by age.
        why: what made it a hit, for people and models.
        variants: other pictures of the same call that fit, best first.
    """

    record: ImageRecord
    score: float | None
    method: Method
    why: str
    variants: tuple[ImageRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the hits.

    Attributes:
        matched: groups that fit, on all pages.
        weaker: pictures that were left out because their score was too low.
        next_cursor: gives the next page; None on the last.
    """

    found: tuple[Found, ...]
    matched: int
    weaker: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class _Hit:
    item: Item
    score: float
    method: Method
    why: str


class Finder:
    """Search the caller's pictures. Every method may be called from any thread."""

    def __init__(self, gallery: Gallery, encoder: Encoder | None) -> None:
        """Prepare the tables; nothing is computed and no encoder is loaded yet."""
        self._gallery = gallery
        self._by_meaning = encoder is not None
        self._lock = threading.Lock()
        self._stock = Stock(gallery, encoder)
        self._looks = Looks(gallery)

    def find(
        self, wish: Wish, limit: int = 10, cursor: str | None = None, report: Report | None = None
    ) -> Page:
        """Return the pictures that fit, best first, or newest first without query and like.

        Args:
            limit: groups on this page.
            cursor: `next_cursor` of the page before, with the same wish.
            report: called with (done, total, what) while pictures are read for the first time.

        Raises:
            NotFound: if there is no picture `like`.
            InvalidArguments: if the cursor is of another search.
        """
        after = None if cursor is None else _after(cursor, wish)
        with self._lock:
            self._stock.refresh(report)
            hits, weaker = self._hits(wish, report)
        groups: dict[str, list[_Hit]] = {}
        for hit in sorted(hits, key=_place):
            groups.setdefault(hit.item.group or hit.item.image_id, []).append(hit)
        rest = [g for g in groups.values() if after is None or _place(g[0]) > after]
        shown = rest[:limit]
        more = len(rest) > limit
        return Page(
            found=tuple(found for group in shown if (found := self._found(group)) is not None),
            matched=len(groups),
            weaker=weaker,
            next_cursor=_cursor(shown[-1][0], wish) if more else None,
        )

    def _hits(self, wish: Wish, report: Report | None) -> tuple[list[_Hit], int]:
        """Return everything that fits, and how many pictures were too weak."""
        like = None if wish.like is None else self._gallery.get(wish.like)
        caller, all_seen = current_caller(), self._gallery.sees_all()
        items = {
            item.key: item
            for item in self._stock.items
            if (all_seen or item.caller == caller) and _fits(item, wish)
        }
        query = clean(wish.query or "", MAX_QUESTION)
        if not query and like is None:
            return [_Hit(i, i.created_at, "newest", "newest first") for i in items.values()], 0
        hits: dict[str, _Hit] = {}
        weaker = 0
        if query:
            hits, weaker = self._by_query(query, items, wish.min_score)
            items = {key: hit.item for key, hit in hits.items()}
        if like is not None:
            alike = self._by_like(like, items, report)
            hits = {k: _both(hits[k], hit) if query else hit for k, hit in alike.items()}
            if wish.min_score is not None:
                strong = {k: hit for k, hit in hits.items() if hit.score >= wish.min_score}
                weaker += len(hits) - len(strong)
                hits = strong
        return list(hits.values()), weaker

    def _by_query(
        self, query: str, items: dict[str, Item], min_score: float | None
    ) -> tuple[dict[str, _Hit], int]:
        index = self._stock.index
        hits: dict[str, _Hit] = {}
        tokens = ids_in(query)
        # A shop's numbers need not look like ids: CUP-SG has no digit.
        for key, item in items.items():
            if item.sku and item.sku == query.casefold().strip():
                hits[key] = _Hit(item, 1.0, "exact", f"has the SKU {query.strip()}")
        for key in index.by_id(query):
            if key in items and key not in hits:
                held = [t for t in tokens if t.lower() in items[key].words.lower()]
                hits[key] = _Hit(items[key], 1.0, "exact", f"holds {', '.join(held) or query}")
        shares = dict(index.by_words(query))
        ranked = index.by_meaning(query) if self._by_meaning else list(shares.items())
        method: Method = "meaning" if self._by_meaning else "words"
        noise = _NOISE["vectors" if self._by_meaning else "words"]
        least = noise if min_score is None else min_score
        weaker = 0
        for key, score in ranked:
            if key not in items or key in hits:
                continue
            # All words of the query are in its own words: never noise.
            complete = shares.get(key, 0.0) > 0.999 and min_score is None
            if score < least and not complete:
                weaker += 1
                continue
            said = f"meaning {score:.2f} of 1; " if self._by_meaning else ""
            why = f"{said}{_words_found(query, items[key])}"
            hits[key] = _Hit(items[key], _fit(score), method, why)
        return hits, weaker

    def _by_like(
        self, like: ImageRecord, items: dict[str, Item], report: Report | None
    ) -> dict[str, _Hit]:
        """Compare colors and layout, and what the pictures show in words."""
        others = [item for item in items.values() if item.image_id != like.image_id]
        looks = self._looks.compare(like, [item.image_id for item in others], report)
        own = next((i.key for i in self._stock.items if i.image_id == like.image_id), "")
        index = self._stock.index
        words = dict(index.like(own) if self._by_meaning else index.by_words(like.caption))
        hits = {}
        for item in others:
            if item.image_id not in looks:
                continue  # its file is gone
            look = looks[item.image_id]
            said = min(1.0, max(0.0, words.get(item.key, 0.0)))
            why = f"like {like.image_id}: colors and layout {look:.2f}, caption {said:.2f} of 1"
            hits[item.key] = _Hit(item, round((look + said) / 2, _DIGITS), "like", why)
        return hits

    def _found(self, group: Sequence[_Hit]) -> Found | None:
        """Read the records; a picture that is gone, or not the caller's, is left out."""
        records = []
        for hit in group:
            try:
                records.append((hit, self._gallery.get(hit.item.image_id)))
            except NotFound:
                continue
        if not records:
            return None
        best, record = records[0]
        score = None if best.method == "newest" else round(best.score, 3)
        variants = tuple(other for _, other in records[1:])
        return Found(record, score, best.method, best.why, variants)


def _fits(item: Item, wish: Wish) -> bool:
    if item.kind != wish.kind and (wish.kind is not None or item.kind in ("mask", "sheet")):
        return False
    return (
        wish.tool in (None, item.tool)
        and wish.persona_id in (None, item.persona_id)
        and (wish.model is None or wish.model.casefold() in item.model.casefold())
        and (wish.tag is None or wish.tag.casefold() in item.tags)
        and (wish.since is None or item.created_at >= wish.since)
        and (wish.until is None or item.created_at < wish.until)
        and (wish.product is None or item.is_of(wish.product))
    )


def _fit(score: float) -> float:
    within: float = min(max(score, 0.0), _BELOW_EXACT)
    return round(within, _DIGITS)


def _words_found(query: str, item: Item) -> str:
    own = set(_WORD.findall(item.words.lower()))
    asked = sorted(telling_words(query))
    found = [word for word in asked if word in own]
    missing = [word for word in asked if word not in own]
    parts = [f"has the words {', '.join(found)}"] if found else []
    parts += [f"not the word{'s' if len(missing) > 1 else ''} {', '.join(missing)}"] * bool(missing)
    return ", ".join(parts) or "no telling word"


def _both(query: _Hit, like: _Hit) -> _Hit:
    score = round((query.score + like.score) / 2, _DIGITS)
    return replace(like, score=score, why=f"{query.why}; {like.why}")


def _place(hit: _Hit) -> tuple[float, str]:
    return -hit.score, hit.item.image_id


def _name_of(wish: Wish) -> str:
    return hashlib.sha256(json.dumps(asdict(wish)).encode()).hexdigest()[:12]


def _cursor(last: _Hit, wish: Wish) -> str:
    said = json.dumps([_name_of(wish), last.score, last.item.image_id])
    return base64.urlsafe_b64encode(said.encode()).decode()


def _after(cursor: str, wish: Wish) -> tuple[float, str]:
    """Return the place of the last hit before this page."""
    wrong = InvalidArguments(
        "The cursor is not of this search.",
        hint="Repeat the search without cursor, then use its next_cursor with the same arguments.",
    )
    try:
        name, score, image_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise wrong from None
    if name != _name_of(wish) or not isinstance(score, int | float) or type(image_id) is not str:
        raise wrong
    return -float(score), image_id
