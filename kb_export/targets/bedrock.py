"""An Amazon Bedrock knowledge base with a custom data source: documents go straight in.

`IngestKnowledgeBaseDocuments` takes a text of up to 5 MiB with up to 50 inline attributes and
answers before it is indexed; `wait` follows it up. The picture itself stays behind the document's
link: a picture in Bedrock comes back as a `data:` string, which no chat can show.
"""

from __future__ import annotations

from typing import Any

from kb_export.bundle import RECORD_ID, attributes, delivery_key, document, document_prefix
from kb_export.errors import NotIndexed, RecordRefused, TargetUnavailable
from kb_export.record import KBRecord, Scalar
from kb_export.targets.base import Capabilities
from kb_export.targets.bedrock_source import DataSource, DocumentState, custom_identifier

MAX_TEXT_BYTES = 5_242_880
MAX_ATTRIBUTES = 50


class BedrockTarget:
    """Write records into a custom data source; a document's id is the record's id.

    What is there is asked once in a run of exports, then remembered until `flush`.
    """

    def __init__(self, source: DataSource) -> None:
        self._source = source
        self._known: dict[str, DocumentState] | None = None
        self._checked = False
        self._unfinished: set[str] = set()

    @property
    def name(self) -> str:
        """The full name, as `open_target` takes it."""
        return self._source.name

    @property
    def label(self) -> str:
        """The same as the name: it holds no secret."""
        return self.name

    @property
    def capabilities(self) -> Capabilities:
        """One id is one document, whoever writes it; Bedrock indexes after `put`."""
        return Capabilities(conditional_put=False, checksums=True, pages=False, asynchronous=True)

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture (see `KBTarget.put`)."""
        known = self._documents()
        state = known.get(record.record_id)
        if state is None or state.gone or state.status == "FAILED":
            answer = self._source.ingest([_document(record)])
            state = answer.get(record.record_id, DocumentState("STARTING", ""))
            if state.status in ("FAILED", "IGNORED"):
                raise RecordRefused(
                    f"{self.name} does not take {record.image_id}: {state.reason[:200]}",
                    hint="Change its words, then export again.",
                )
            known[record.record_id] = state
        self._unfinished.add(record.record_id)
        # Last, so that a crash leaves the older words or the newer ones, never none.
        self._remove(record.sha256, keep=record.record_id)

    def delete(self, sha256: str) -> None:
        """Remove every record of the picture (see `KBTarget.delete`)."""
        self._remove(sha256)

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all records there."""
        self._known = None
        return frozenset(
            name
            for name, state in self._documents().items()
            if RECORD_ID.fullmatch(name) and not state.gone and state.status != "FAILED"
        )

    def flush(self) -> None:
        """Forget what is there: the next run of exports asks again."""
        self._known = None

    def wait(self, timeout_s: float) -> None:
        """Block until all documents put by this object are indexed (see `KBTarget.wait`)."""
        failed: dict[str, str] = {}

        def done() -> bool:
            asked = [custom_identifier(name) for name in sorted(self._unfinished)]
            for name, state in self._source.states(asked).items():
                if state.status == "INDEXED":
                    self._unfinished.discard(name)
                elif not state.busy:
                    self._unfinished.discard(name)
                    failed[name] = f"{state.status}: {state.reason}".rstrip(": ")
            return not self._unfinished

        self._source.poll(done, timeout_s, "indexing")
        if failed:
            raise NotIndexed(
                tuple(sorted(failed.items())), hint="Change the words of these, then export again."
            )

    def _documents(self) -> dict[str, DocumentState]:
        if not self._checked:
            kind = self._source.configuration()["type"]
            if kind != "CUSTOM":
                raise TargetUnavailable(
                    f"The data source of {self.name} is of the kind {kind}, not CUSTOM.",
                    hint="Add @s3://bucket/prefix to the target's name if it reads a bucket.",
                    retryable=False,
                )
            self._checked = True
        if self._known is None:
            self._known = self._source.documents()
        return self._known

    def _remove(self, sha256: str, keep: str | None = None) -> None:
        known = self._documents()
        start = document_prefix(sha256).rsplit("/", 1)[1]
        names = [
            name
            for name, state in known.items()
            if name.startswith(start) and name != keep and not state.gone
        ]
        self._source.delete([custom_identifier(name) for name in names])
        for name in names:
            del known[name]
            self._unfinished.discard(name)


def _document(record: KBRecord) -> dict[str, Any]:
    """Return the API's form of a record.

    Raises:
        RecordRefused: if it is more than Bedrock takes.
    """
    text = document(record)
    inline = [
        {"key": key, "value": _value(value)}
        for key, value in attributes(record, delivery_key(record)).items()
        if value != ""  # Bedrock takes no empty string
    ]
    if len(text) > MAX_TEXT_BYTES or len(inline) > MAX_ATTRIBUTES:
        raise RecordRefused(
            f"{record.image_id} has {len(text)} bytes of text and {len(inline)} attributes; "
            f"Bedrock takes {MAX_TEXT_BYTES} and {MAX_ATTRIBUTES}.",
            hint="Shorten its words.",
        )
    return {
        "content": {
            "dataSourceType": "CUSTOM",
            "custom": {
                "customDocumentIdentifier": {"id": record.record_id},
                "sourceType": "IN_LINE",
                "inlineContent": {"type": "TEXT", "textContent": {"data": text.decode()}},
            },
        },
        "metadata": {"type": "IN_LINE_ATTRIBUTE", "inlineAttributes": inline},
    }


def _value(value: Scalar) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"type": "BOOLEAN", "booleanValue": value}
    if isinstance(value, int | float):
        return {"type": "NUMBER", "numberValue": value}
    return {"type": "STRING", "stringValue": value}
