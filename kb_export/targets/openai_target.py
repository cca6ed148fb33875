"""Put pictures into an OpenAI vector store (file search), or one of the same API.

Each picture is a small Markdown file with its address, alternative text and caption, uploaded and
then attached to the vector store with attributes:

    POST   /files                                multipart: purpose=assistants, file
    POST   /vector_stores/{id}/files             {file_id, attributes, chunking_strategy}
    GET    /vector_stores/{id}/files[/{file_id}] status: in_progress, completed, failed, cancelled
    DELETE /vector_stores/{id}/files/{file_id}   detaches; the file itself stays
    DELETE /files/{file_id}

At most 16 attributes; keys of 64 characters; values of 512 characters, numbers or booleans. Static
chunks of 100 to 4096 tokens. Lists come in pages, `after` a file id, at most 100 (files: 10,000).
Read in openai-python 3.57.0 (`types/vector_stores/`, `resources/files.py`, generated from the
service's OpenAPI description), and in
https://developers.openai.com/api/docs/api-reference/vector-stores/object and
https://learn.microsoft.com/en-us/azure/foundry/reference/rest/vector-stores-create-vector-store-file

Detach before deleting: deleting an attached file is refused or leaves wrong counts
(https://github.com/openai/openai-dotnet/issues/540). No page says that pictures are searched: this
is text only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from openai import APIConnectionError, APIStatusError, NotFoundError, OpenAI, OpenAIError
from openai.types.vector_stores import VectorStoreFile

from kb_export.bundle import document
from kb_export.captions import clean
from kb_export.errors import KBError, NotIndexed, RecordRefused, TargetUnavailable
from kb_export.record import KBRecord
from kb_export.targets.base import Capabilities
from kb_export.targets.openai_files import (
    UNKNOWN,
    StoredFile,
    StoredFiles,
    attributes,
    listed_once,
)
from kb_export.targets.settings import variable_name

# The largest allowed: a document and the link in it stay one chunk.
CHUNK_TOKENS = 4096
_GOOD = ("completed", "in_progress")
_REFUSED = frozenset({400, 413, 415, 422})
_PASSING = frozenset({408, 409, 425, 429})
_ABANDONED_S = 3600.0  # an upload that nobody has attached for so long is a crash's
_FIRST_POLL_S = 0.5
_LAST_POLL_S = 8.0
_RETRIEVE_EACH = 100  # more than these are asked for by listing


class OpenAITarget:
    """Write records to one vector store.

    What is there is listed once per run and then remembered; `flush` ends a run.

    Args:
        name: as `open_target` takes it.
        vector_store_id: an existing vector store.
        client: has the address and the key; its own retries honor Retry-After.
        sleep: waits between questions in `wait`.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        name: str,
        vector_store_id: str,
        client: OpenAI,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._store = vector_store_id
        self._client = client
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.RLock()
        self._files: StoredFiles | None = None
        self._changed = False
        self._waiting: dict[str, str] = {}

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
        """Files are chunked and embedded after they were attached."""
        return Capabilities(conditional_put=False, checksums=False, pages=False, asynchronous=True)

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture (see `KBTarget.put`).

        The new file is attached before older ones go; a crash between leaves both, and the same
        put again, or the next `flush`, removes the older one.
        """
        with self._lock, self._errors():
            files = self._load()
            known = files.of(record.sha256)
            there = [f for f in known if f.record_id == record.record_id and f.status in _GOOD]
            kept = there[0] if there else self._add(files, record)
            for file in known:
                if file is not kept:
                    self._remove(files, file)
            self._remove_uploads(files, record.sha256)

    def delete(self, sha256: str) -> None:
        """Remove every file of the picture, attached or only uploaded (see `KBTarget.delete`)."""
        with self._lock, self._errors():
            files = self._load()
            for file in files.of(sha256):
                self._remove(files, file)
            self._remove_uploads(files, sha256)

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all records there, those that are still being indexed included."""
        with self._lock, self._errors():
            files = StoredFiles.read(self._client, self._store, uploads=False)
            return frozenset(file.record_id for file in files.attached() if file.status in _GOOD)

    def flush(self) -> None:
        """End the run: remove what crashes and other exporters have left behind."""
        with self._lock, self._errors():
            self._files = None
            if not self._changed:
                return
            files = self._load()
            for file in files.superseded():
                self._remove(files, file)
            for file in files.unattached():
                if file.created_at < self._clock() - _ABANDONED_S:
                    self._delete_upload(file.file_id)
            self._changed = False
            self._files = None

    def wait(self, timeout_s: float) -> None:
        """Block until everything this object has put is searchable (see `KBTarget.wait`)."""
        deadline = time.monotonic() + timeout_s
        delay = _FIRST_POLL_S
        failed: list[tuple[str, str]] = []
        while True:
            with self._lock, self._errors():
                failed += self._settled()
                waiting = len(self._waiting)
            left = deadline - time.monotonic()
            if not waiting:
                break
            if left <= 0:
                raise TargetUnavailable(
                    f"{self._name} is still indexing {waiting} of the files.",
                    hint="Wait again later; nothing is lost.",
                )
            self._sleep(min(delay, left))
            delay = min(2 * delay, _LAST_POLL_S)
        if failed:
            raise NotIndexed(
                tuple(failed), hint="Export those pictures again: failed files are replaced."
            )

    def _load(self) -> StoredFiles:
        if self._files is None:
            store = self._client.vector_stores.retrieve(self._store)
            if store.status == "expired":
                raise TargetUnavailable(
                    f"{self._name} has expired.",
                    hint="Make a vector store without an expiration and export to that.",
                    retryable=False,
                )
            self._files = StoredFiles.read(self._client, self._store)
        return self._files

    def _add(self, files: StoredFiles, record: KBRecord) -> StoredFile:
        """Upload and attach a record's document; an upload that a crash left is used."""
        self._changed = True
        left = files.unattached_record(record.record_id)
        if left is not None:
            files.forget(left)
            # Somebody may have deleted it meanwhile.
            with suppress(NotFoundError), self._refusals(record, left.file_id):
                return self._attach(files, record, left.file_id)
        with self._refusals(record, None):
            upload = self._client.files.create(
                file=(
                    f"{self._store}.{record.record_id}.md",
                    document(record, record.image_url or ""),
                    "text/markdown",
                ),
                purpose="assistants",
            )
        with self._refusals(record, upload.id):
            return self._attach(files, record, upload.id)

    def _attach(self, files: StoredFiles, record: KBRecord, file_id: str) -> StoredFile:
        attached = self._client.vector_stores.files.create(
            self._store,
            file_id=file_id,
            attributes=attributes(record),
            chunking_strategy={
                "type": "static",
                "static": {"max_chunk_size_tokens": CHUNK_TOKENS, "chunk_overlap_tokens": 0},
            },
        )
        self._waiting[file_id] = record.record_id
        file = StoredFile(file_id, record.record_id, attached.status or UNKNOWN, int(self._clock()))
        files.add(file)
        return file

    def _remove(self, files: StoredFiles, file: StoredFile) -> None:
        self._changed = True
        with suppress(NotFoundError):
            self._client.vector_stores.files.delete(file.file_id, vector_store_id=self._store)
        self._delete_upload(file.file_id)
        files.forget(file)
        self._waiting.pop(file.file_id, None)

    def _remove_uploads(self, files: StoredFiles, sha256: str) -> None:
        """Delete what a crash has left of one picture; the outbox lets one exporter at a time."""
        for file in files.unattached_of(sha256):
            self._delete_upload(file.file_id)
            files.forget(file)

    def _delete_upload(self, file_id: str) -> None:
        with suppress(NotFoundError):
            self._client.files.delete(file_id)

    def _settled(self) -> list[tuple[str, str]]:
        """Forget files whose indexing has ended; return (record id, reason) of bad ends."""
        known: dict[str, VectorStoreFile] = {}
        if len(self._waiting) > _RETRIEVE_EACH:
            listed = self._client.vector_stores.files.list(self._store, limit=100)
            known = {file.id: file for file in listed_once(listed)}
        failed = []
        for file_id, record_id in list(self._waiting.items()):
            reason = "somebody has removed it"
            with suppress(NotFoundError):
                file = known.get(file_id) or self._client.vector_stores.files.retrieve(
                    file_id, vector_store_id=self._store
                )
                if file.status == "in_progress":
                    continue
                error = file.last_error
                reason = f"{error.code}: {error.message}" if error else f"status {file.status}"
                if file.status == "completed":
                    reason = ""
            del self._waiting[file_id]
            if reason:
                failed.append((record_id, clean(reason, 200)))
                self._files = None
        return failed

    @contextmanager
    def _refusals(self, record: KBRecord, file_id: str | None) -> Iterator[None]:
        """Blame the record for what the service says about its file, and remove that."""
        try:
            yield
        except APIStatusError as error:
            if error.status_code not in _REFUSED:
                raise
            if file_id is not None:
                self._delete_upload(file_id)
            raise RecordRefused(
                f"{self._name} refused {record.image_id} ({_told(error.status_code, error.code)}).",
                hint="Other pictures are not concerned.",
            ) from None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the client's errors into the package's.

        They are not chained: an answer may repeat the key, and a traceback would print it.
        """
        try:
            yield
        except KBError as error:
            if isinstance(error, TargetUnavailable):
                self._files = None
            raise
        except APIStatusError as error:
            self._files = None
            raise self._unavailable(error.status_code, error.code) from None
        except APIConnectionError as error:
            self._files = None
            raise TargetUnavailable(
                f"{self._name} cannot be reached ({type(error).__name__}).",
                hint=f"Check the network and {variable_name('openai', 'url')}; nothing is lost.",
            ) from None
        except (OpenAIError, AttributeError, TypeError, ValueError) as error:
            # The client does not check the shape of answers.
            self._files = None
            raise TargetUnavailable(
                f"{self._name} gives answers of another shape ({type(error).__name__}).",
                hint=f"Check that {variable_name('openai', 'url')} is the address of the API.",
            ) from None

    def _unavailable(self, status: int, code: str | None) -> TargetUnavailable:
        retryable = status in _PASSING or status >= 500
        hint = "Export again later; nothing is lost."
        if status in (401, 403):
            hint = f"Check {variable_name('openai', 'api_key')} and what the key may do."
        elif status == 404:
            hint = f"Check the vector store's id and {variable_name('openai', 'url')}."
        elif code == "insufficient_quota":
            retryable, hint = False, "Check the account's plan and billing."
        elif not retryable:
            hint = f"Check {variable_name('openai', 'url')}."
        return TargetUnavailable(
            f"{self._name} answered {_told(status, code)}.", hint=hint, retryable=retryable
        )


def _told(status: int, code: str | None) -> str:
    known = clean(str(code), 40) if code else ""
    return f"HTTP {status}, {known}" if known else f"HTTP {status}"
