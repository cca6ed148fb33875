"""Which of our files an OpenAI vector store holds, and which were uploaded and never attached."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from kb_export.bundle import RECORD_ID

if TYPE_CHECKING:
    from openai import OpenAI

UNKNOWN = "unknown"


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
            attributes = file.attributes if isinstance(file.attributes, dict) else {}
            record_id, sha256 = attributes.get("record_id"), attributes.get("sha256")
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
