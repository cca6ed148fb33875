"""A dataset in RAGFlow: one Markdown document per picture, as one chunk.

Request shapes, read in infiniflow/ragflow docs/references/http_api_reference.md @0120001e and
api/apps/restful_apis/document_api.py @1cf35bda; paths are below /api/v1/datasets/{id}:

    GET    /documents?keywords&page&page_size&orderby&desc&id   {code, data: {docs, total}}
    POST   /documents                       multipart: file     {code, data: [{id, name, run}]}
    PATCH  /documents/{document_id}         {meta_fields, chunk_method, parser_config}
    POST   /chunks                          {document_ids}      starts parsing
    DELETE /documents                       {ids}               an empty list once meant: all

Errors come as HTTP 200 with `code` other than 0 (102: not yours or not there; 109: key), newer
releases answer a wrong key with HTTP 401. A second upload of a name becomes "name(1).md"
(test/testcases/restful_api/test_documents.py). Releases before 0.25 update documents with PUT;
which one a server knows is found out with the first document. RAGFlow's general chunker fetches
the picture that a Markdown document links to and shows it with the chunk.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kb_export.bundle import document
from kb_export.errors import RecordRefused, TargetUnavailable
from kb_export.record import KBRecord
from kb_export.targets.connection import read_connection
from kb_export.targets.http import Answer, PlatformClient
from kb_export.targets.kind import TargetKind
from kb_export.targets.platform import (
    IndexedPlatform,
    Indexing,
    checked_id,
    file_name,
    metadata_of,
    record_id_of,
)
from kb_export.targets.settings import TargetSettings

PLATFORM = "RAGFlow"
_PAGE = 100
_ID = re.compile(r"[0-9a-f]{32}")
_WRONG_KEY = frozenset({109, 401})
_NOT_THERE = 102
_NO_SUCH_METHOD = re.compile(r"\b40[45]\b|MethodNotAllowed|NotFound")
# RAGFlow writes states as words or as numbers.
_STATES = {"0": "UNSTART", "1": "RUNNING", "2": "CANCEL", "3": "DONE", "4": "FAIL"}
# One chunk: our documents are below 800 tokens.
_CHUNKING = {"chunk_method": "naive", "parser_config": {"chunk_token_num": 1024}}


@dataclass(frozen=True, slots=True)
class _Document:
    """A document of ours.

    Attributes:
        state: UNSTART until parsing was asked for, the last step of a put.
        reason: RAGFlow's words on what it did.
    """

    document_id: str
    record_id: str
    size: object
    state: str
    chunks: object
    reason: object


class RAGFlowTarget(IndexedPlatform[_Document]):
    """Write records to one dataset of one RAGFlow."""

    def __init__(
        self,
        dataset_id: str,
        client: PlatformClient,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(f"ragflow:{dataset_id}", Indexing(PLATFORM, self._outcome, sleep, clock))
        self._id = dataset_id
        self._base = f"/api/v1/datasets/{dataset_id}"
        self._client = client
        self._checked = False
        self._update_method: str | None = None

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture (see `KBTarget.put`).

        The picture itself stays where `image_url` says; RAGFlow fetches it from there.
        """
        self._check()
        content = document(record, link=record.image_url or "")
        documents = self._documents_of(record.sha256)
        kept = next(
            (
                each
                for each in documents
                if (each.record_id, each.size) == (record.record_id, len(content))
                and each.state not in ("FAIL", "CANCEL")
            ),
            None,
        )
        self._remove([each for each in documents if each is not kept])
        document_id = self._upload(record, content) if kept is None else kept.document_id
        if kept is None or kept.state == "UNSTART":
            self._describe(document_id, record)
            self._parse(document_id, record)
        if kept is None or kept.state != "DONE":
            self._indexing.start(record.record_id, document_id)

    def _outcome(self, record_id: str, document_id: str) -> str | None:
        """Return "" if a document is indexed or gone, why it never will be, or None if not yet."""
        answer = self._request("GET", "/documents", params={"id": document_id})
        if answer.field("code") == _NOT_THERE:
            return ""
        self._expect(answer)
        for each in map(_document, self._client.rows(answer, "data", "docs")):
            if each is None or each.document_id != document_id:
                continue
            if each.state == "DONE":
                return "RAGFlow made no chunk of it" if each.chunks == 0 else ""
            if each.state == "FAIL":
                return self._client.cleaned(each.reason) or "RAGFlow gives no reason"
            return "its parsing was canceled in RAGFlow" if each.state == "CANCEL" else None
        return ""

    def _check(self) -> None:
        """Ask once whether the dataset is there."""
        if self._checked:
            return
        answer = self._request("GET", "/documents", params={"page": 1, "page_size": 1})
        if answer.field("code") == _NOT_THERE:
            raise TargetUnavailable(
                f"{PLATFORM} has no dataset {self._id} for this key "
                f"({self._client.message(answer)}).",
                hint="Take the id from the dataset's address in the browser.",
                retryable=False,
            )
        self._expect(answer)
        self._checked = True

    def _documents(self, part: str) -> Iterator[_Document]:
        seen: set[str] = set()
        page = 1
        while True:
            params: dict[str, str | int] = {"keywords": part, "page": page, "page_size": _PAGE}
            # Oldest first: what is added meanwhile comes on later pages.
            params.update(orderby="create_time", desc="false")
            answer = self._request("GET", "/documents", params=params)
            self._expect(answer)
            items = self._client.rows(answer, "data", "docs")
            for found in map(_document, items):
                if found is not None and found.document_id not in seen:
                    seen.add(found.document_id)
                    yield found
            if len(items) < _PAGE:
                return
            page += 1

    def _remove(self, documents: list[_Document]) -> None:
        if not documents:
            return  # some releases read an empty list as "all"
        ids = [each.document_id for each in documents]
        answer = self._request("DELETE", "/documents", body={"ids": ids})
        for each in documents:
            self._indexing.forget(each.record_id)
        if answer.field("code") == 0:
            return
        # "Not found" also is the answer to a repeated deletion.
        there = {each.document_id for each in self._documents(_name_part_of(documents[0]))}
        if there.intersection(ids):
            raise RecordRefused(
                f"{PLATFORM} did not delete an older document ({self._said(answer)}).",
                retryable=True,
            )

    def _upload(self, record: KBRecord, content: bytes) -> str:
        answer = self._request(
            "POST",
            "/documents",
            upload=(file_name(record), content, "text/markdown"),
            repeatable=False,
            known=frozenset({500}),
        )
        document_id = answer.field("data", 0, "id")
        if answer.field("code") != 0:
            raise RecordRefused(
                f"{PLATFORM} did not take the document of {record.image_id} "
                f"({self._said(answer)}).",
                retryable=True,
            )
        if not isinstance(document_id, str) or not _ID.fullmatch(document_id):
            raise TargetUnavailable(
                f"{PLATFORM} named no document after an upload.", retryable=False
            )
        return document_id

    def _describe(self, document_id: str, record: KBRecord) -> None:
        """Write the metadata, and that the document is one chunk."""
        # Strings only: its search engine fixes a field's type with the first document.
        fields = {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in metadata_of(record).items()
        }
        path = f"/documents/{document_id}"
        body = {"meta_fields": fields, **_CHUNKING}
        for method in (self._update_method,) if self._update_method else ("PATCH", "PUT"):
            answer = self._request(method, path, body=body, known=frozenset({404, 405}))
            if answer.field("code") == 0:
                self._update_method = method
                return
            unknown = _NO_SUCH_METHOD.search(str(answer.field("message"))) is not None
            if answer.status == 200 and not unknown:
                break
        raise RecordRefused(
            f"{PLATFORM} did not take the metadata of {record.image_id} ({self._said(answer)}).",
            retryable=True,
        )

    def _parse(self, document_id: str, record: KBRecord) -> None:
        answer = self._request(
            "POST", "/chunks", body={"document_ids": [document_id]}, repeatable=False
        )
        if answer.field("code") != 0:
            raise RecordRefused(
                f"{PLATFORM} did not parse the document of {record.image_id} "
                f"({self._said(answer)}).",
                retryable=True,
            )

    def _request(self, method: str, path: str, **options: Any) -> Answer:
        """Send a request; only a key that is not accepted is an error here."""
        answer = self._client.request(method, self._base + path, **options)
        if answer.field("code") in _WRONG_KEY:
            raise self._client.unauthorized(self._client.message(answer))
        return answer

    def _expect(self, answer: Answer) -> None:
        if answer.field("code") != 0:
            raise TargetUnavailable(
                f"{PLATFORM} does not answer as it should ({self._said(answer)}).",
                hint="Export again later; nothing is lost.",
            )

    def _said(self, answer: Answer) -> str:
        return self._client.message(answer) or f"code {str(answer.field('code'))[:20]}"


def parse(rest: str) -> str:
    """Return the one spelling of a dataset's id behind its scheme.

    Raises:
        BadTarget: if it is no id.
    """
    return f"ragflow:{checked_id(rest, _ID, PLATFORM, 'ragflow:DATASET_ID')}"


def open_target(name: str, settings: TargetSettings) -> RAGFlowTarget:
    """Return the dataset that `name` names, at the address of the setting `url`."""
    client = PlatformClient(read_connection(PLATFORM, "ragflow", settings))
    return RAGFlowTarget(name.removeprefix("ragflow:"), client)


KIND = TargetKind("ragflow", "ragflow:DATASET_ID", parse, open_target, settings=("url", "api_key"))


def _name_part_of(found: _Document) -> str:
    """Return what the names of all documents of the same picture have in common."""
    return found.record_id[: len("kb_") + 24 + 1]


def _document(item: dict[str, Any]) -> _Document | None:
    record_id = record_id_of(item.get("name"))
    document_id = item.get("id")
    if record_id is None or not isinstance(document_id, str) or not _ID.fullmatch(document_id):
        return None
    run = str(item.get("run"))
    message = item.get("progress_msg")
    reason = " ".join(map(str, message)) if isinstance(message, list) else message
    return _Document(
        document_id,
        record_id,
        item.get("size"),
        _STATES.get(run, run),
        item.get("chunk_count"),
        reason,
    )
