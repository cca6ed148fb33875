"""A knowledge base in Dify: one text document per picture, as one chunk.

Request shapes, read in langgenius/dify (api/controllers/service_api/dataset/) and in
https://docs.dify.ai/en/api-reference/documents/create-document-by-text ; paths are below the
address of the Service API, such as https://api.dify.ai/v1 :

    dataset.py    GET    /datasets/{id}                        doc_form, provider, runtime_mode
    document.py   POST   /datasets/{id}/document/create-by-text  {name, text, indexing_technique,
                         doc_form, doc_language, process_rule} -> {document: {id}, batch}
                  GET    /datasets/{id}/documents?keyword&page&limit   at most 100 a page
                  GET    /datasets/{id}/documents/{batch}/indexing-status
                  DELETE /datasets/{id}/documents/{document_id}        204; 400 while indexing
    rag_pipeline/rag_pipeline_workflow.py
                  POST   /datasets/pipeline/file-upload        multipart: file; 201 {id}

Pictures: Dify reads `![...](address)` out of a chunk, fetches the address (at most 2 MB by
default) and attaches the picture to the chunk; an address that contains `/files/{id}/file-preview`
names a file it has already (`_get_content_files` in
api/core/rag/index_processor/index_processor_base.py @02efe294). So a picture with a public address
is linked, and one without is uploaded. A dataset that is a pipeline answers "completed" with no
chunk to create-by-text (langgenius/dify-docs PR 645), so it is refused at once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kb_export.bundle import document
from kb_export.errors import BadTarget, RecordRefused, TargetUnavailable
from kb_export.record import KBRecord
from kb_export.targets.connection import read_connection
from kb_export.targets.dify_metadata import UUID, DifyMetadata, is_id
from kb_export.targets.http import Answer, PlatformClient
from kb_export.targets.kind import TargetKind
from kb_export.targets.platform import (
    IndexedPlatform,
    Indexing,
    checked_id,
    dicts,
    file_name,
    record_id_of,
)
from kb_export.targets.settings import TargetSettings, variable_name

PLATFORM = "Dify"
MAX_IMAGE_BYTES = 2 * 1024 * 1024  # ATTACHMENT_IMAGE_FILE_SIZE_LIMIT
_UPLOADED = frozenset({"image/png", "image/jpeg"})  # and GIF; WebP is no attachment
_TECHNIQUES = ("high_quality", "economy")
_PAGE = 100
_BATCH = re.compile(r"[A-Za-z0-9_-]{1,100}")  # goes into paths
# One chunk: our documents are below 800 tokens, and no separator of ours occurs in them.
_PROCESS_RULE = {
    "mode": "custom",
    "rules": {
        "pre_processing_rules": [
            {"id": "remove_extra_spaces", "enabled": True},
            {"id": "remove_urls_emails", "enabled": False},
        ],
        "segmentation": {"separator": "\n\n\n\n", "max_tokens": 1000, "chunk_overlap": 0},
    },
}


@dataclass(frozen=True, slots=True)
class _Document:
    """A document of ours. `described`: its metadata was written, the last step of a put."""

    document_id: str
    record_id: str
    status: object
    described: bool


class DifyTarget(IndexedPlatform[_Document]):
    """Write records to one dataset of one Dify.

    Args:
        technique: how a dataset that is still empty is indexed; others keep theirs.
    """

    def __init__(
        self,
        dataset_id: str,
        client: PlatformClient,
        *,
        technique: str = "high_quality",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(f"dify:{dataset_id}", Indexing(PLATFORM, self._outcome, sleep, clock))
        self._id = dataset_id
        self._base = f"/datasets/{dataset_id}"
        self._client = client
        self._technique = technique
        self._checked = False
        self._metadata = DifyMetadata(client, self._base)

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture (see `KBTarget.put`)."""
        self._check()
        documents = self._documents_of(record.sha256)
        kept = next(
            (d for d in documents if d.record_id == record.record_id and d.status != "error"), None
        )
        self._remove([each for each in documents if each is not kept])
        if kept is None:
            self._metadata.write(self._create(record, image), record)
            return
        if not kept.described:
            self._metadata.write(kept.document_id, record)
        if kept.status != "completed":
            self._indexing.start(record.record_id, "")

    def _outcome(self, record_id: str, batch: str) -> str | None:
        """Return "" if a record is indexed or gone, why it never will be, or None if not yet."""
        if batch:
            path = f"{self._base}/documents/{batch}/indexing-status"
            answer = self._client.request("GET", path, known=frozenset({404}))
        else:
            params: dict[str, str | int] = {"keyword": record_id, "page": 1, "limit": _PAGE}
            answer = self._client.request("GET", f"{self._base}/documents", params=params)
        if answer.status == 404:
            return ""
        for status in self._client.rows(answer, "data"):
            state = status.get("indexing_status")
            if state == "error":
                return self._client.cleaned(status.get("error")) or "Dify gives no reason"
            if state == "paused":
                return "its indexing was paused in Dify"
            if state != "completed":
                return None
            if status.get("total_segments") == 0:
                return "Dify made no chunk of it"
        return ""

    def _check(self) -> None:
        """Ask once whether the dataset is there and takes documents by text."""
        if self._checked:
            return
        answer = self._client.request("GET", self._base, known=frozenset({404}))
        problem = ""
        if answer.status == 404:
            problem = f"{PLATFORM} has no knowledge base {self._id} for this key."
        elif answer.field("provider") == "external":
            problem = "The knowledge base is an external one, which Dify only reads."
        elif answer.field("runtime_mode") == "rag_pipeline":
            problem = "The knowledge base is a pipeline, which makes no chunks of texts."
        elif answer.field("doc_form") not in (None, "", "text_model"):
            problem = "The knowledge base has another chunk structure than 'General'."
        if problem:
            raise TargetUnavailable(
                problem, hint="Make an empty General knowledge base in Dify.", retryable=False
            )
        self._technique = answer.field("indexing_technique") or self._technique
        self._checked = True

    def _documents(self, part: str) -> Iterator[_Document]:
        seen: set[str] = set()
        page = 1
        while True:
            answer = self._client.request(
                "GET",
                f"{self._base}/documents",
                params={"keyword": part, "page": page, "limit": _PAGE},
            )
            for item in self._client.rows(answer, "data"):
                found = _document(item)
                # Newest first: what is added meanwhile moves the others to later pages.
                if found is not None and found.document_id not in seen:
                    seen.add(found.document_id)
                    yield found
            if answer.field("has_more") is not True:
                return
            page += 1

    def _remove(self, documents: list[_Document]) -> None:
        for each in documents:
            answer = self._client.request(
                "DELETE",
                f"{self._base}/documents/{each.document_id}",
                known=frozenset({400, 403, 404}),
            )
            self._indexing.forget(each.record_id)
            if answer.field("code") == "archived_document_immutable":
                raise RecordRefused(
                    f"The older document {each.record_id} is archived in {PLATFORM}.",
                    hint="Unarchive or delete it there.",
                )
            if answer.status == 400:
                raise RecordRefused(
                    f"{PLATFORM} did not delete an older document "
                    f"({self._client.message(answer) or 'it is being indexed'}).",
                    retryable=True,
                )
            self._refuse_403(answer)

    def _create(self, record: KBRecord, image: bytes) -> str:
        link = record.image_url or self._uploaded(record, image)
        answer = self._client.request(
            "POST",
            f"{self._base}/document/create-by-text",
            body={
                "name": file_name(record),
                "text": document(record, link=link).decode(),
                "indexing_technique": self._technique,
                "doc_form": "text_model",
                "doc_language": "English",
                "process_rule": _PROCESS_RULE,
            },
            repeatable=False,
            known=frozenset({400, 403, 500}),
        )
        self._refuse_403(answer)
        if answer.status in (400, 500):
            words = self._client.message(answer)
            if answer.field("code") == "provider_not_initialize":
                raise TargetUnavailable(
                    f"{PLATFORM} has no working embedding model ({words}).",
                    hint="Set one up in its settings, or use an economy knowledge base.",
                    retryable=False,
                )
            raise RecordRefused(
                f"{PLATFORM} did not take the document of {record.image_id} "
                f"({words or answer.status}).",
                # The questions before were answered, so this document may be the cause.
                retryable=answer.status == 500,
            )
        document_id, batch = answer.field("document", "id"), answer.field("batch")
        if not is_id(document_id) or not isinstance(batch, str) or not _BATCH.fullmatch(batch):
            raise TargetUnavailable(f"{PLATFORM} named no document after a put.", retryable=False)
        self._indexing.start(record.record_id, batch)
        return str(document_id)

    def _uploaded(self, record: KBRecord, image: bytes) -> str:
        """Give Dify a picture that has no address of its own; return how documents name it."""
        if record.media_type not in _UPLOADED or len(image) > MAX_IMAGE_BYTES:
            return ""
        answer = self._client.request(
            "POST",
            "/datasets/pipeline/file-upload",
            upload=(f"{record.image_id}{record.suffix}", image, record.media_type),
            repeatable=False,
            # Without the picture (too large here, unknown to older releases) the words still help.
            known=frozenset({404, 405, 413, 415}),
        )
        file_id = answer.field("id")
        return f"/files/{file_id}/file-preview" if is_id(file_id) else ""

    def _refuse_403(self, answer: Answer) -> None:
        """Tell Dify's limits, which it words as 403, from a key without rights."""
        if answer.status != 403:
            return
        words = self._client.message(answer)
        if "limit" not in words.lower():
            raise self._client.unauthorized(words)
        raise TargetUnavailable(
            f"{PLATFORM} takes no more for now: {words}.",
            hint="Export again later, or raise the plan's limit.",
            retryable="rate limit" in words.lower(),
        )


def parse(rest: str) -> str:
    """Return the one spelling of a dataset's id behind its scheme.

    Raises:
        BadTarget: if it is no id.
    """
    return f"dify:{checked_id(rest, UUID, PLATFORM, 'dify:DATASET_ID')}"


def open_target(name: str, settings: TargetSettings) -> DifyTarget:
    """Return the dataset that `name` names, at the address of the setting `url`."""
    technique = settings.get("indexing_technique", "high_quality")
    if technique not in _TECHNIQUES:
        raise BadTarget(
            f"{variable_name('dify', 'indexing_technique')} must be one of "
            f"{', '.join(_TECHNIQUES)}."
        )
    client = PlatformClient(read_connection(PLATFORM, "dify", settings))
    return DifyTarget(name.removeprefix("dify:"), client, technique=technique)


KIND = TargetKind(
    "dify",
    "dify:DATASET_ID",
    parse,
    open_target,
    settings=("url", "api_key", "indexing_technique"),
)


def _document(item: dict[str, Any]) -> _Document | None:
    record_id = record_id_of(item.get("name"))
    if record_id is None or not is_id(item.get("id")):
        return None
    described = any(
        (field.get("name"), field.get("value")) == ("record_id", record_id)
        for field in dicts(item.get("doc_metadata"))
    )
    return _Document(item["id"], record_id, item.get("indexing_status"), described)
