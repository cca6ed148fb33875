"""What Open WebUI, Dify and RAGFlow have in common: names that carry the record's id; waiting.

Their documents have ids of their own, made by the platform. So the file's name holds ours: it
says which picture and which words, it can be searched for, and it is what a citation shows.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from kb_export.captions import clean
from kb_export.errors import BadTarget, NotIndexed, TargetUnavailable
from kb_export.record import KBRecord, Scalar
from kb_export.targets.base import Capabilities

_STRIDE = 64
# Platforms tell files of the same name apart by "(1)" before the suffix.
_FILE_NAME = re.compile(r"(?:[a-z0-9-]{1,60}\.)?(kb_[0-9a-f]{24}_[0-9a-f]{16})(?:\(\d+\))?\.md")


def file_name(record: KBRecord) -> str:
    """Return the document's name: words of the title, the record's id, ".md"; ASCII."""
    plain = unicodedata.normalize("NFKD", record.title).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain)[:60].strip("-")
    return f"{words}.{record.record_id}.md" if words else f"{record.record_id}.md"


def record_id_of(name: object) -> str | None:
    """Return the record id in a file's name; None if it is no file of ours."""
    found = _FILE_NAME.fullmatch(name) if isinstance(name, str) else None
    return found[1] if found else None


def name_part(sha256: str) -> str:
    """Return what the names of all documents of one picture have in common.

    Raises:
        ValueError: if `sha256` is no hash; an empty search would find everything.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError("sha256 must be 64 hex digits")
    return f"kb_{sha256[:24]}_"


def metadata_of(record: KBRecord) -> dict[str, Scalar]:
    """Return at most 16 flat values; our own names win over facts of the same name."""
    own: dict[str, Scalar] = {
        "record_id": record.record_id,
        "image_id": record.image_id,
        "alt": record.alt,
        "ai_generated": bool(record.provenance.get("ai_generated", True)),
        "untrusted_caption": True,
    }
    if record.image_url:
        own["image_url"] = record.image_url
    if record.group:
        own["group"] = record.group
    if record.tags:
        own["tags"] = clean(", ".join(record.tags), 512)
    return {**record.facts, **own}


def dicts(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list that a platform answered; nothing if it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def checked_id(rest: str, pattern: re.Pattern[str], platform: str, syntax: str) -> str:
    """Return a platform's id in lower case.

    Raises:
        BadTarget: if it is none, telling how the target's name is written.
    """
    found = rest.strip().lower()
    if not pattern.fullmatch(found):
        raise BadTarget(
            f"{rest[:100]!r} is not the id of a knowledge base in {platform}.",
            hint=f"Write {syntax}; the id is in the browser's address of the knowledge base.",
        )
    return found


def pauses() -> Iterator[float]:
    """Yield seconds between questions to a busy platform: longer and longer, at most 4."""
    pause = 0.25
    while True:
        yield pause
        pause = min(1.5 * pause, 4.0)


class Indexing:
    """What was put and is not known to be indexed yet, by record id.

    Args:
        outcome: asked for (record id, handle); answers "" when it is indexed or gone, why it never
            will be, or None if it is still being indexed.
    """

    def __init__(
        self,
        platform: str,
        outcome: Callable[[str, str], str | None],
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._platform = platform
        self._outcome = outcome
        self._sleep = sleep
        self._clock = clock
        self._pending: dict[str, str] = {}
        self._failed: list[tuple[str, str]] = []
        self._started = 0

    def start(self, record_id: str, handle: str) -> None:
        """Watch a record; `handle` is what the platform is asked with.

        Now and then the oldest are asked about, so that `wait` finds few left after a long
        export.
        """
        self._pending[record_id] = handle
        self._started += 1
        if self._started % _STRIDE == 0:
            self._ask(list(self._pending.items())[:_STRIDE])

    def forget(self, part: str) -> None:
        """Watch no record whose id begins with `part` any more."""
        for record_id in [each for each in self._pending if each.startswith(part)]:
            del self._pending[record_id]
        self._failed = [each for each in self._failed if not each[0].startswith(part)]

    def wait(self, timeout_s: float) -> None:
        """Block until the platform is done with everything (see `KBTarget.wait`)."""
        deadline = self._clock() + timeout_s
        for pause in pauses():
            self._ask(list(self._pending.items()))
            if not self._pending:
                break
            if self._clock() + pause > deadline:
                raise TargetUnavailable(
                    f"{self._platform} is still indexing {len(self._pending)} documents.",
                    hint="They will be found when it is done.",
                )
            self._sleep(pause)
        failed, self._failed = tuple(self._failed), []
        if failed:
            raise NotIndexed(
                failed,
                hint=f"Correct the cause in {self._platform}, then export these pictures again.",
            )

    def _ask(self, watched: list[tuple[str, str]]) -> None:
        for record_id, handle in watched:
            outcome = self._outcome(record_id, handle)
            if outcome is None:
                continue
            del self._pending[record_id]
            if outcome:
                self._failed.append((record_id, outcome))


class NamedDocument(Protocol):
    """A document of ours on a platform: all that is known of it everywhere."""

    @property
    def record_id(self) -> str:
        """The record that its name carries."""


_Document = TypeVar("_Document", bound=NamedDocument)


class IndexedPlatform(ABC, Generic[_Document]):
    """What targets have in common whose platform indexes documents after they were put.

    Args:
        name: the target's full name.
        indexing: watches what was put.
    """

    def __init__(self, name: str, indexing: Indexing) -> None:
        self._name = name
        self._indexing = indexing

    @property
    def name(self) -> str:
        """The full name, as `open_target` takes it."""
        return self._name

    @property
    def label(self) -> str:
        """The same as the name: it holds no secret."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """Documents are indexed after `put`; two exporters at once can both add one."""
        return Capabilities(conditional_put=False, checksums=False, pages=True, asynchronous=True)

    def delete(self, sha256: str) -> None:
        """Remove every document of the picture with this hash (see `KBTarget.delete`)."""
        self._check()
        self._remove(self._documents_of(sha256))
        self._indexing.forget(name_part(sha256))

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all records there."""
        self._check()
        return frozenset(each.record_id for each in self._documents("kb_"))

    def flush(self) -> None:
        """Do nothing: the platform derives nothing from all documents."""

    def wait(self, timeout_s: float) -> None:
        """Block until the platform has indexed everything that was put (see `KBTarget.wait`)."""
        self._indexing.wait(timeout_s)

    def _documents_of(self, sha256: str) -> list[_Document]:
        part = name_part(sha256)
        return [each for each in self._documents(part) if each.record_id.startswith(part)]

    @abstractmethod
    def _check(self) -> None:
        """Ask once whether the place is there and fit for documents."""

    @abstractmethod
    def _documents(self, part: str) -> Iterator[_Document]:
        """Yield our documents whose names contain `part`."""

    @abstractmethod
    def _remove(self, documents: list[_Document]) -> None:
        """Delete documents; those that are gone already are no error."""
