"""A collection of crawlable pages that our own server shows at /kb/<collection>/.

For chatbot platforms that take an address, a sitemap or uploaded Markdown (InsertChat and its
like publish no interface that a program could push to).
"""

from __future__ import annotations

from pathlib import Path

from kb_export.collection import NAME, Collection
from kb_export.errors import BadTarget
from kb_export.record import KBRecord
from kb_export.targets.base import Capabilities, KBTarget
from kb_export.targets.kind import TargetKind
from kb_export.targets.settings import TargetSettings


class PagesTarget:
    """Write records into a collection; the server shows what is there at any moment."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    @property
    def name(self) -> str:
        """The full name, as `open_target` takes it."""
        return f"pages:{self._collection.name}"

    @property
    def label(self) -> str:
        """The same as the name: it holds no secret."""
        return self.name

    @property
    def capabilities(self) -> Capabilities:
        """Renames and transactions are atomic; the disk's word is taken for the bytes."""
        return Capabilities(conditional_put=True, checksums=False, pages=True)

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture (see `KBTarget.put`)."""
        self._collection.put(record, image)

    def delete(self, sha256: str) -> None:
        """Remove the picture and its record (see `KBTarget.delete`)."""
        self._collection.delete(sha256)

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all records there."""
        return self._collection.record_ids()

    def flush(self) -> None:
        """Close the collection until the next run; pages are made when they are asked for."""
        self._collection.close()

    def wait(self, timeout_s: float) -> None:
        """Return at once: what is written is shown."""


def collection_name(scheme: str, rest: str) -> str:
    """Return the full name of a target that is a collection.

    Raises:
        BadTarget: if `rest` is no collection's name.
    """
    if not NAME.fullmatch(rest):
        raise BadTarget(
            f"{f'{scheme}:{rest}'[:200]!r} names no collection.",
            hint=f"Write {scheme}:NAME with lower-case letters, digits and '-', at most 63.",
        )
    return f"{scheme}:{rest}"


def parse(rest: str) -> str:
    """Return the full name; raises BadTarget for a malformed one."""
    return collection_name("pages", rest)


def open_target(name: str, settings: TargetSettings) -> KBTarget:
    """Return the collection that `name` names; `root` is the folder of all collections."""
    root = Path(settings.require("root"))
    return PagesTarget(Collection(root, name.removeprefix("pages:")))


KIND = TargetKind("pages", "pages:COLLECTION", parse, open_target, settings=("root",))
