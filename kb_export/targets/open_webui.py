"""A knowledge base in Open WebUI: one Markdown file per picture.

Request shapes, read in open-webui/open-webui @0045fd8c:

    backend/open_webui/routers/files.py
        POST   /api/v1/files/?process&process_in_background   multipart: file, metadata (JSON)
        GET    /api/v1/files/{id}/process/status              {status: pending|completed|failed}
        GET    /api/v1/files/search?filename=*...*&content    [{id, filename, meta}]; 404 = none
        GET    /api/v1/files/{id}                             {data: {status, error}}
        DELETE /api/v1/files/{id}
    backend/open_webui/routers/knowledge.py
        GET    /api/v1/knowledge/{id}/files?query&page        {items, total}, 30 a page
        POST   /api/v1/knowledge/{id}/file/add                {file_id}
        POST   /api/v1/knowledge/{id}/sync/diff               {manifest: [{filename, path,
                                                              checksum, size}]}
        POST   /api/v1/knowledge/{id}/sync/cleanup            {file_ids, dir_ids}

What shaped this: a file that is added before its processing ended is refused ("content provided
is empty"; discussion 15020 of that repository), so `put` waits for it. `metadata.knowledge_id`
would make the server link the file by itself, but in a background task that a restart loses;
so `put` adds it with a call that answers. `meta.file_hash` is the SHA-256 of the raw bytes, which
`sync/diff` compares; `wait` asks it whether everything that was put is there as it was put.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kb_export.bundle import document
from kb_export.errors import NotIndexed, RecordRefused, TargetUnavailable
from kb_export.record import KBRecord
from kb_export.targets.base import Capabilities
from kb_export.targets.connection import read_connection
from kb_export.targets.http import PlatformClient
from kb_export.targets.kind import TargetKind
from kb_export.targets.platform import (
    checked_id,
    file_name,
    metadata_of,
    name_part,
    pauses,
    record_id_of,
)
from kb_export.targets.settings import TargetSettings

PLATFORM = "Open WebUI"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FILE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")  # goes into paths
_MARK = "agent_tools_knowledge"
_PROCESSING_S = 120.0


@dataclass(frozen=True, slots=True)
class _File:
    """A file of ours. `linked`: it is in the knowledge base, not a leftover beside it."""

    file_id: str
    record_id: str
    checksum: object
    linked: bool


class OpenWebUITarget:
    """Write records to one knowledge base of one Open WebUI."""

    def __init__(
        self,
        knowledge_id: str,
        client: PlatformClient,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._id = knowledge_id
        self._base = f"/api/v1/knowledge/{knowledge_id}"
        self._client = client
        self._sleep = sleep
        self._clock = clock
        self._checked = False
        self._placed: dict[str, dict[str, Any]] = {}  # manifest entries `wait` asks about

    @property
    def name(self) -> str:
        """The full name, as `open_target` takes it."""
        return f"open-webui:{self._id}"

    @property
    def label(self) -> str:
        """The same as the name: it holds no secret."""
        return self.name

    @property
    def capabilities(self) -> Capabilities:
        """Open WebUI compares SHA-256, in `wait`; two exporters at once can both add a file."""
        return Capabilities(conditional_put=False, checksums=True, pages=True)

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture (see `KBTarget.put`).

        The picture itself stays where `image_url` says; Open WebUI serves uploaded files to their
        owner only.
        """
        self._check()
        content = document(record, link=record.image_url or "")
        checksum = hashlib.sha256(content).hexdigest()
        files = self._files_of(record.sha256)
        kept = next(
            (
                file
                for file in files
                if file.linked and (file.record_id, file.checksum) == (record.record_id, checksum)
            ),
            None,
        )
        self._remove([file for file in files if file is not kept])
        if kept is None:
            self._add(self._upload(record, content, checksum))
        self._placed[record.record_id] = {
            "filename": file_name(record),
            "path": "",
            "checksum": checksum,
            "size": len(content),
        }

    def delete(self, sha256: str) -> None:
        """Remove every file of the picture with this hash (see `KBTarget.delete`)."""
        part = name_part(sha256)
        self._check()
        self._remove(self._files_of(sha256))
        self._placed = {k: v for k, v in self._placed.items() if not k.startswith(part)}

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all records there."""
        self._check()
        return frozenset(file.record_id for file in self._linked("kb_"))

    def flush(self) -> None:
        """Do nothing: Open WebUI derives nothing from all files."""

    def wait(self, timeout_s: float) -> None:
        """Ask whether everything that was put is there, byte for byte (see `KBTarget.wait`).

        `put` returns when the file can be found, so this takes one request and no waiting.
        """
        if not self._placed:
            return
        manifest = list(self._placed.values())
        answer = self._client.request(
            "POST", f"{self._base}/sync/diff", body={"manifest": manifest}
        )
        wrong = [
            (record_id, f"{PLATFORM} lost it" if kind == "added" else f"{PLATFORM} changed it")
            for kind in ("added", "modified")
            for entry in self._client.rows(answer, kind)
            if (record_id := record_id_of(entry.get("filename"))) is not None
        ]
        self._placed.clear()
        if wrong:
            raise NotIndexed(tuple(wrong), hint="Export these pictures again.")

    def _check(self) -> None:
        """Ask once whether the knowledge base is there, local, and may be written to."""
        if self._checked:
            return
        answer = self._client.request(
            "POST",
            f"{self._base}/sync/diff",
            body={"manifest": []},
            known=frozenset({400, 404}),
        )
        if answer.status != 200:
            raise TargetUnavailable(
                f"{PLATFORM} has no knowledge base {self._id} to write to "
                f"({self._client.message(answer) or answer.status}).",
                hint="Take the id from the knowledge base's address in the browser; external ones "
                "cannot be written to, and releases without knowledge sync are too old.",
                retryable=False,
            )
        self._checked = True

    def _files_of(self, sha256: str) -> list[_File]:
        """Return all files of one picture: those in the knowledge base, and leftovers."""
        part = name_part(sha256)
        linked = [file for file in self._linked(part) if file.record_id.startswith(part)]
        known = {file.file_id for file in linked}
        return linked + [file for file in self._leftovers(part) if file.file_id not in known]

    def _linked(self, query: str) -> Iterator[_File]:
        seen: set[str] = set()
        page = 1
        while True:
            answer = self._client.request(
                "GET",
                f"{self._base}/files",
                params={"query": query, "order_by": "name", "direction": "asc", "page": page},
            )
            items = self._client.rows(answer, "items")
            fresh = [item for item in items if item.get("id") not in seen]
            if not fresh:
                return
            for item in fresh:
                seen.add(str(item.get("id")))
                if (file := _file(item, linked=True)) is not None:
                    yield file
            total = answer.field("total")
            if isinstance(total, int) and len(seen) >= total:
                return
            page += 1

    def _leftovers(self, part: str) -> list[_File]:
        """Return files that were uploaded for this knowledge base and never added to it."""
        answer = self._client.request(
            "GET",
            "/api/v1/files/search",
            params={"filename": f"*{part}*", "content": "false", "limit": 1000},
            # 404 says that there are none. Some releases fail here with 500; a leftover that
            # stays is in no knowledge base and does no harm.
            known=frozenset({404, 500}),
        )
        if answer.status != 200:
            return []
        ours = [item for item in self._client.rows(answer) if _mark(item) == self._id]
        files = [_file(item, linked=False) for item in ours]
        return [file for file in files if file is not None and file.record_id.startswith(part)]

    def _remove(self, files: list[_File]) -> None:
        linked = [file.file_id for file in files if file.linked]
        if linked:
            self._client.request(
                "POST",
                f"{self._base}/sync/cleanup",
                body={"file_ids": linked, "dir_ids": []},
            )
        for file in files:
            if not file.linked:
                self._delete_file(file.file_id)

    def _delete_file(self, file_id: str) -> None:
        self._client.request("DELETE", f"/api/v1/files/{file_id}", known=frozenset({404}))

    def _upload(self, record: KBRecord, content: bytes, checksum: str) -> str:
        """Upload the document, wait until its text is embedded, return its id."""
        metadata = {**metadata_of(record), "file_hash": checksum, _MARK: self._id}
        answer = self._client.request(
            "POST",
            "/api/v1/files/",
            params={"process": "true", "process_in_background": "false"},
            form={"metadata": json.dumps(metadata, ensure_ascii=False, sort_keys=True)},
            upload=(file_name(record), content, "text/markdown"),
            repeatable=False,
            known=frozenset({400, 413, 500}),
        )
        if answer.status >= 400:
            words = self._client.message(answer)
            if "not allowed" in words:
                raise TargetUnavailable(
                    f"{PLATFORM} takes no Markdown files ({words}).",
                    hint="Allow the extension md in its admin settings for documents.",
                    retryable=False,
                )
            raise RecordRefused(
                f"{PLATFORM} did not take the document of {record.image_id} "
                f"({words or answer.status}).",
                # The questions before were answered, so this document may be the cause.
                retryable=answer.status != 413,
            )
        file_id = answer.field("id")
        if not isinstance(file_id, str) or not _FILE_ID.fullmatch(file_id):
            raise TargetUnavailable(f"{PLATFORM} named no file after an upload.", retryable=False)
        self._await_processing(record, file_id)
        return file_id

    def _await_processing(self, record: KBRecord, file_id: str) -> None:
        deadline = self._clock() + _PROCESSING_S
        path = f"/api/v1/files/{file_id}"
        for pause in pauses():
            status = self._client.request("GET", f"{path}/process/status").field("status")
            if status == "completed":
                return
            if status == "failed":
                answer = self._client.request("GET", path)
                words = self._client.cleaned(answer.field("data", "error"))
                self._delete_file(file_id)
                raise RecordRefused(
                    f"{PLATFORM} could not process the document of {record.image_id}"
                    f"{f' ({words})' if words else ''}.",
                    hint="Check its embedding model.",
                    retryable=True,
                )
            if self._clock() > deadline:
                raise TargetUnavailable(
                    f"{PLATFORM} is still processing a file after {_PROCESSING_S:.0f} s.",
                    hint="Export again later; nothing is lost.",
                )
            self._sleep(pause)

    def _add(self, file_id: str) -> None:
        answer = self._client.request(
            "POST",
            f"{self._base}/file/add",
            body={"file_id": file_id},
            # Twice at the same time would embed the text twice.
            repeatable=False,
            known=frozenset({400, 500}),
        )
        if answer.status >= 400:
            self._delete_file(file_id)
            raise RecordRefused(
                f"{PLATFORM} did not add the document to the knowledge base "
                f"({self._client.message(answer) or 'without a reason'}).",
                retryable=True,
            )


def parse(rest: str) -> str:
    """Return the one spelling of a knowledge base's id behind its scheme.

    Raises:
        BadTarget: if it is no id.
    """
    return f"open-webui:{checked_id(rest, _UUID, PLATFORM, 'open-webui:KNOWLEDGE_ID')}"


def open_target(name: str, settings: TargetSettings) -> OpenWebUITarget:
    """Return the knowledge base that `name` names, at the address of the setting `url`."""
    client = PlatformClient(read_connection(PLATFORM, "open-webui", settings))
    return OpenWebUITarget(name.removeprefix("open-webui:"), client)


KIND = TargetKind(
    "open-webui", "open-webui:KNOWLEDGE_ID", parse, open_target, settings=("url", "api_key")
)


def _file(item: dict[str, Any], *, linked: bool) -> _File | None:
    record_id = record_id_of(item.get("filename"))
    file_id = item.get("id")
    if record_id is None or not isinstance(file_id, str) or not _FILE_ID.fullmatch(file_id):
        return None
    meta = item.get("meta")
    checksum = meta.get("file_hash") if isinstance(meta, dict) else None
    return _File(file_id, record_id, checksum, linked)


def _mark(item: dict[str, Any]) -> object:
    """Return for which knowledge base a file was uploaded, if one of us uploaded it."""
    meta = item.get("meta")
    data = meta.get("data") if isinstance(meta, dict) else None
    return data.get(_MARK) if isinstance(data, dict) else None
