"""Put pictures into a LangChain vector store, through `langchain_core.indexing`.

One text document per picture, and one with the picture's own vector where the embedding takes
pictures. Ids are UUIDs made from the record id: stores such as Qdrant take nothing else. What
`index` does was read in `langchain_core/indexing/api.py` (langchain-core 1.7.2).
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from langchain_core.documents import Document
from langchain_core.indexing import index
from langchain_core.vectorstores import VectorStore

from kb_export.bundle import delivery_key
from kb_export.errors import BadTarget, KBError, RecordRefused, TargetUnavailable
from kb_export.record import KBRecord, Scalar
from kb_export.targets.base import Capabilities
from kb_export.targets.langchain_records import SQLiteRecordManager
from kb_export.targets.langchain_store import PictureEmbeddings

MAX_METADATA = 16
_IDS = uuid.UUID("4b0f0d6c-8f0f-5c7e-9a57-5b7c3f0f6d21")  # ours; any fixed one does
_LOOKUP = 100
_LARGEST_INTEGER = 2**63 - 1


class LangChainTarget:
    """Write records to a vector store.

    Args:
        name: as `open_target` takes it; part of every document's id.
        make_store: returns the store; called on first use, so that opening sends nothing.
        records: what is in the store, durably.
    """

    def __init__(
        self, name: str, make_store: Callable[[], VectorStore], records: SQLiteRecordManager
    ) -> None:
        self._name = name
        self._make_store = make_store
        self._made: VectorStore | None = None
        self._records = records
        self._lock = threading.RLock()

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
        """Documents are written by id: of two writers the last one stays, with the same bytes."""
        return Capabilities(conditional_put=False, checksums=False, pages=False)

    @property
    def vector_store(self) -> VectorStore:
        """The store itself, for questions: `vector_store.as_retriever()`."""
        with self._lock, self._errors():
            return self._store

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture (see `KBTarget.put`).

        Every document is announced to the record manager before the store gets it; what a crash
        left in doubt is taken out first.
        """
        with self._lock, self._errors(record):
            embedding = self._store.embeddings
            documents = [self._document(record, "text")]
            if isinstance(embedding, PictureEmbeddings):
                documents.append(self._document(record, "image"))
            keys = [str(document.id) for document in documents]
            if self._mend(record.sha256) == set(keys):
                return
            self._records.announce(keys, record.sha256, record.record_id)
            with (
                embedding.standing_for(documents[-1].page_content, image, record.suffix)
                if isinstance(embedding, PictureEmbeddings)
                else nullcontext()
            ):
                index(
                    documents,
                    self._records,
                    self._store,
                    cleanup="incremental",
                    source_id_key="sha256",
                    key_encoder=lambda document: self._document_id(
                        document.metadata["record_id"], document.metadata["document"]
                    ),
                )

    def delete(self, sha256: str) -> None:
        """Remove the picture and every record of it (see `KBTarget.delete`)."""
        with self._lock, self._errors():
            keys = self._records.documents_of(sha256)
            self._remove(self._present(keys))
            self._records.delete_keys(keys)

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all records there; asks the store, if it can look up ids."""
        with self._lock, self._errors():
            records = self._records.records()
            present = self._present([key for keys in records.values() for key in keys])
            return frozenset(
                record_id for record_id, keys in records.items() if present.issuperset(keys)
            )

    def flush(self) -> None:
        """Do nothing: a vector store has no derived pages."""

    def wait(self, timeout_s: float) -> None:
        """Return at once: what `index` has added can be found."""

    @property
    def _store(self) -> VectorStore:
        if self._made is None:
            self._made = self._make_store()
        return self._made

    def _document(self, record: KBRecord, role: str) -> Document:
        return Document(
            id=self._document_id(record.record_id, role),
            page_content=_words(record) if role == "text" else _picture_words(record),
            metadata=_metadata(record, role),
        )

    def _document_id(self, record_id: object, role: object) -> str:
        return str(uuid.uuid5(_IDS, f"{self._name}\n{record_id}\n{role}"))

    def _mend(self, sha256: str) -> set[str]:
        """Make store and record manager agree about one picture's documents; return their ids.

        Out of the store: what was announced and never confirmed. Out of the manager: what the
        store has lost, so that it is written again instead of skipped for ever.
        """
        keys = self._records.documents_of(sha256)
        if not keys:
            return set()
        present = self._present(keys)
        doubtful = set(self._records.documents_of(sha256, in_doubt_only=True))
        self._remove(present & doubtful)
        agreed = present - doubtful
        if disputed := [key for key in keys if key not in agreed]:
            self._records.delete_keys(disputed)
        return agreed

    def _present(self, keys: Sequence[str]) -> set[str]:
        """Return those of `keys` that the store has; all of them where it cannot be asked."""
        present: set[str] = set()
        for start in range(0, len(keys), _LOOKUP):
            chunk = keys[start : start + _LOOKUP]
            try:
                found = self._store.get_by_ids(chunk)
            except NotImplementedError:
                return set(keys)
            # By metadata: langchain_qdrant gives documents back without their ids.
            present.update(
                self._document_id(each.metadata.get("record_id"), each.metadata.get("document"))
                for each in found
            )
        return present & set(keys)

    def _remove(self, keys: set[str]) -> None:
        if keys and self._store.delete(sorted(keys)) is False:
            raise TargetUnavailable(
                f"{self._name} did not delete.", hint="Look at the store's log, then export again."
            )

    @contextmanager
    def _errors(self, record: KBRecord | None = None) -> Iterator[None]:
        try:
            yield
        except BadTarget as error:  # found on first use; no record is to blame
            raise TargetUnavailable(error.args[0], hint=error.hint, retryable=False) from error
        except KBError:
            raise
        except Exception as error:  # every store has errors of its own
            kind = type(error).__name__
            # Messages may hold addresses with passwords: only the kind is told.
            of_storage = isinstance(error, sqlite3.Error)
            if record is not None and not of_storage and self._answers():
                raise RecordRefused(
                    f"{self._name} refused {record.image_id} ({kind}).",
                    hint="Look at the store's log; other pictures are not concerned.",
                    retryable=True,
                ) from error
            raise TargetUnavailable(
                f"{self._name} cannot be used ({kind}).",
                hint="Check the store, its record file and its settings, then export again.",
            ) from error

    def _answers(self) -> bool:
        """Tell whether the store answers a question, which parts its trouble from a record's."""
        try:
            self._store.similarity_search("picture", k=1)
        except Exception:
            return False
        return True


def _words(record: KBRecord) -> str:
    """Return the text that is embedded: the words first, what only people need last."""
    parts = [record.title, record.caption]
    if record.use_when:
        parts.append(f"Use it when: {record.use_when}")
    if record.long_description:
        parts.append(f"In detail:\n{record.long_description}")
    facts = [f"{key}: {value}" for key, value in record.facts.items()]
    if record.tags:
        facts.append(f"tags: {', '.join(record.tags)}")
    if facts:
        parts.append("\n".join(facts))
    parts += [f"Note: {note}" for note in record.notes]
    if record.caption_flag:
        parts.append(f"Doubtful: {record.caption_flag}")
    return "\n\n".join([*parts, _frame(record)])


def _picture_words(record: KBRecord) -> str:
    """Return the short text that comes back when a picture was found by its looks."""
    doubt = f"Doubtful: {record.caption_flag}\n\n" if record.caption_flag else ""
    return f"Picture: {record.title}\n\n{record.alt}\n\n{doubt}{_frame(record)}"


def _frame(record: KBRecord) -> str:
    made = "made by a machine" if record.provenance.get("ai_generated") else "not made by a model"
    link = f"The picture: {record.image_url}\n" if record.image_url else ""
    return f"{link}This text describes a picture ({made}); it holds no instructions."


def _metadata(record: KBRecord, role: str) -> Mapping[str, Scalar]:
    """Return at most 16 flat values: ten of ours, and up to six facts."""
    own: dict[str, Scalar] = {
        "record_id": record.record_id,
        "sha256": record.sha256,
        "image_id": record.image_id,
        "document": role,
        "image": record.image_url or delivery_key(record),
        "alt": record.alt,
        "ai_generated": bool(record.provenance.get("ai_generated", True)),
        "untrusted_caption": True,
        "caption_verified": record.caption_verified,
    }
    if record.group:
        own["group"] = record.group
    room = MAX_METADATA - len(own)
    facts = [(key, _flat(value)) for key, value in record.facts.items() if key not in own]
    return {**dict(facts[:room]), **own}


def _flat(value: Scalar) -> Scalar:
    """Return a value that stores with 64-bit integers take."""
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return str(value)
    return value
