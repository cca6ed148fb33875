"""Our files in an OpenAI vector store: which are attached, which only uploaded; attributes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from kb_export.bundle import RECORD_ID
from kb_export.record import KBRecord, Scalar

if TYPE_CHECKING:
    from openai import OpenAI

MAX_ATTRIBUTES = 16
MAX_VALUE = 512
UNKNOWN = "unknown"
_EXACT_INTEGERS = 2**53  # JSON numbers are floats on the other side


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One document there.

    Attributes:
        status: of an attached file; "" if it is only uploaded.
        created_at: seconds since 1970, by the service's clock.
    """

    file_id: str
    record_id: str
    status: str
    created_at: int

    @property
    def picture(self) -> str:
        """The part of the record id that stands for the picture."""
        return self.record_id[3:27]


class StoredFiles:
    """The documents of one vector store. Files of strangers are not among them."""

    def __init__(self, attached: Iterable[StoredFile], unattached: Iterable[StoredFile]) -> None:
        self._attached: dict[str, dict[str, StoredFile]] = {}
        self._unattached: dict[str, dict[str, StoredFile]] = {}
        for file in (*attached, *unattached):
            self.add(file)

    @classmethod
    def read(cls, client: OpenAI, store: str, *, uploads: bool = True) -> StoredFiles:
        """List what is there.

        A file is ours if its attributes say so, and an upload if its name does: names begin with
        the vector store's id, so that exports to other stores are left alone.
        """
        attached = []
        ids = set()
        for file in listed_once(client.vector_stores.files.list(store, limit=100, order="asc")):
            ids.add(file.id)
            told = file.attributes if isinstance(file.attributes, dict) else {}
            record_id, sha256 = told.get("record_id"), told.get("sha256")
            if (
                isinstance(record_id, str)
                and isinstance(sha256, str)
                and RECORD_ID.fullmatch(record_id)
                and record_id[3:27] == sha256[:24]
            ):
                attached.append(
                    StoredFile(file.id, record_id, file.status or UNKNOWN, file.created_at or 0)
                )
        if not uploads:
            return cls(attached, ())
        name = re.compile(rf"{re.escape(store)}\.({RECORD_ID.pattern})\.md")
        unattached = [
            StoredFile(file.id, found[1], "", file.created_at or 0)
            for file in listed_once(client.files.list(purpose="assistants", order="asc"))
            if file.id not in ids and (found := name.fullmatch(str(file.filename)))
        ]
        return cls(attached, unattached)

    def attached(self) -> Iterator[StoredFile]:
        """Yield every attached file."""
        for files in self._attached.values():
            yield from files.values()

    def unattached(self) -> Iterator[StoredFile]:
        """Yield every upload that is not attached."""
        for files in self._unattached.values():
            yield from files.values()

    def of(self, sha256: str) -> list[StoredFile]:
        """Return the attached files of one picture."""
        return list(self._attached.get(sha256[:24], {}).values())

    def unattached_of(self, sha256: str) -> list[StoredFile]:
        """Return the uploads of one picture."""
        return list(self._unattached.get(sha256[:24], {}).values())

    def unattached_record(self, record_id: str) -> StoredFile | None:
        """Return an upload of one record, if there is one."""
        files = self._unattached.get(record_id[3:27], {}).values()
        return next((file for file in files if file.record_id == record_id), None)

    def superseded(self) -> list[StoredFile]:
        """Return the files of pictures that have a newer one."""
        old: list[StoredFile] = []
        for files in self._attached.values():
            in_order = sorted(files.values(), key=lambda file: file.created_at)
            old += in_order[:-1]
        return old

    def add(self, file: StoredFile) -> None:
        """Remember a file."""
        kind = self._attached if file.status else self._unattached
        kind.setdefault(file.picture, {})[file.file_id] = file

    def forget(self, file: StoredFile) -> None:
        """Forget a file."""
        kind = self._attached if file.status else self._unattached
        kind.get(file.picture, {}).pop(file.file_id, None)


def attributes(record: KBRecord) -> dict[str, str | float | bool]:
    """Return at most 16 attributes, by which searches can be filtered."""
    own: dict[str, Scalar] = {
        "record_id": record.record_id,
        "sha256": record.sha256,
        "image_id": record.image_id,
        "alt": record.alt,
        "ai_generated": bool(record.provenance.get("ai_generated", True)),
        "untrusted_caption": True,
        "caption_verified": record.caption_verified,
        "language": record.language,
    }
    if record.image_url:
        own["image_url"] = record.image_url
    if record.group:
        own["group"] = record.group
    facts = [(key, value) for key, value in record.facts.items() if key not in own]
    return {
        key: _attribute(value)
        for key, value in {**dict(facts[: MAX_ATTRIBUTES - len(own)]), **own}.items()
    }


def _attribute(value: Scalar) -> str | float | bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) > _EXACT_INTEGERS:
        value = str(value)
    return value[:MAX_VALUE] if isinstance(value, str) else value


class _HasId(Protocol):
    id: str


Listed = TypeVar("Listed", bound=_HasId)


def listed_once(pages: Iterable[Listed]) -> Iterator[Listed]:
    """Yield what is listed until something comes again: some servers ignore the cursor."""
    seen: set[str] = set()
    for file in pages:
        if file.id in seen:
            return
        seen.add(file.id)
        yield file
