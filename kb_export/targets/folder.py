"""A knowledge base as a folder: documents for machines, a page for people.

Any crawler, upload form or `aws s3 sync` can take it as it is. `records/` holds each record as
JSON; it is written last and removed first, so a record is there exactly when its file is. The
manifest and the page are made from them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kb_export.bundle import (
    delivery_key,
    document,
    document_key,
    image_files,
    image_prefix,
    manifest_row,
    sidecar,
    sidecar_key,
)
from kb_export.errors import BadRecord, BadTarget, TargetUnavailable
from kb_export.files import TEMPORARY, write_durably
from kb_export.record import KBRecord
from kb_export.targets.base import Capabilities, KBTarget
from kb_export.targets.kind import TargetKind
from kb_export.targets.page import render_page
from kb_export.targets.settings import TargetSettings

_RECORD_NAME = re.compile(r"(kb_[0-9a-f]{24}_[0-9a-f]{16})\.json")
_DOCUMENT_NAME = re.compile(r"(kb_[0-9a-f]{24}_[0-9a-f]{16})\.md(\.metadata\.json)?")
_IMAGE_NAME = re.compile(r"([0-9a-f]{64})(\.delivery)?\.(png|jpg|webp)")


class FolderTarget:
    """Write records under `root`. Processes that share the folder take turns by a file lock."""

    def __init__(self, root: Path) -> None:
        self._root = root
        with self._as_unavailable():
            for name in ("images", "docs", "records"):
                (root / name).mkdir(parents=True, exist_ok=True)

    @property
    def name(self) -> str:
        """The full name, as `open_target` takes it."""
        return f"folder:{self._root}"

    @property
    def label(self) -> str:
        """The folder's own name, without the way to it."""
        return f"folder '{self._root.name}'"

    @property
    def capabilities(self) -> Capabilities:
        """Renames are atomic; the disk's word is taken for the bytes."""
        return Capabilities(conditional_put=True, checksums=False, pages=True)

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture (see `KBTarget.put`)."""
        with self._locked():
            for key, (data, _) in image_files(record, image).items():
                self._write(key, data)
            self._write(sidecar_key(record.record_id), sidecar(record, delivery_key(record)))
            self._write(document_key(record.record_id), document(record))
            self._write(_record_key(record.record_id), record.to_json().encode())
            # Last, so that a crash leaves the older words or the newer ones, never none.
            self._remove_records(record.sha256, keep=record.record_id)

    def delete(self, sha256: str) -> None:
        """Remove the picture and every record of it (see `KBTarget.delete`)."""
        with self._locked():
            self._remove_records(sha256)
            for path in self._root.glob(f"{image_prefix(sha256)}.*"):
                path.unlink(missing_ok=True)

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all records there."""
        with self._as_unavailable():
            return frozenset(
                found[1]
                for path in self._root.glob("records/*/*")
                if (found := _RECORD_NAME.fullmatch(path.name))
            )

    def flush(self) -> None:
        """Remove what a crash left half done, then write the manifest and the page."""
        with self._locked():
            records = self._records()
            self._remove_leftovers(records)
            rows = [manifest_row(record, document(record)) for record in records]
            self._write("manifest.jsonl", b"".join(rows))
            self._write("index.html", render_page(records).encode())

    def wait(self, timeout_s: float) -> None:
        """Return at once: what is written can be read."""

    def _records(self) -> list[KBRecord]:
        records = []
        for record_id in self.list_ids():
            path = self._root / _record_key(record_id)
            try:
                records.append(KBRecord.from_json(path.read_text(encoding="utf-8")))
            except (BadRecord, UnicodeDecodeError):
                # Changed by somebody else. Its picture can be exported again; a page with
                # words nobody cleaned must not be written.
                path.unlink(missing_ok=True)
        return sorted(records, key=lambda r: (r.group or "", r.title, r.record_id))

    def _remove_records(self, sha256: str, keep: str | None = None) -> None:
        prefix = f"kb_{sha256[:24]}_"
        for folder, name in (("records", _RECORD_NAME), ("docs", _DOCUMENT_NAME)):
            for path in self._root.glob(f"{folder}/{sha256[:2]}/{prefix}*"):
                found = name.fullmatch(path.name)
                if found and found[1] != keep:
                    path.unlink(missing_ok=True)

    def _remove_leftovers(self, records: list[KBRecord]) -> None:
        """Under the lock nobody is in the middle of anything: what no record owns is left over.

        Only names that this class gives are touched.
        """
        ids = {record.record_id for record in records}
        hashes = {record.sha256 for record in records}
        for path in self._root.glob("**/*"):
            document_found = _DOCUMENT_NAME.fullmatch(path.name)
            image_found = _IMAGE_NAME.fullmatch(path.name)
            if (
                path.name.startswith(TEMPORARY)
                or (document_found and document_found[1] not in ids)
                or (image_found and image_found[1] not in hashes)
            ):
                path.unlink(missing_ok=True)

    def _write(self, key: str, data: bytes) -> None:
        write_durably(self._root / key, data)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._as_unavailable(), open(self._root / ".lock", "ab") as file:
            _lock(file.fileno())
            yield

    @contextmanager
    def _as_unavailable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TargetUnavailable(
                f"The {self.label} cannot be written: {error.strerror or 'input/output error'}.",
                hint="Check the disk and the folder's permissions, then export again.",
            ) from error


def _record_key(record_id: str) -> str:
    return f"records/{record_id[3:5]}/{record_id}.json"


def _lock(handle: int) -> None:
    """Wait for the lock; closing the file, also by the death of the process, gives it back."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)


def parse(rest: str) -> str:
    """Return the one spelling of a folder's path behind its scheme.

    Raises:
        BadTarget: if there is no path.
    """
    if not rest or "\0" in rest:
        raise BadTarget("The folder's path is missing.", hint="Write folder:PATH.")
    return f"folder:{Path(rest).expanduser().absolute()}"


def open_target(name: str, settings: TargetSettings) -> KBTarget:
    """Return the folder that `name` names, made if it is missing."""
    return FolderTarget(Path(name.removeprefix("folder:")))


KIND = TargetKind("folder", "folder:PATH", parse, open_target)
