"""The metadata of documents in Dify: fields belong to the dataset, values to documents.

Request shapes, read in langgenius/dify api/controllers/service_api/dataset/metadata.py @0c23c1c4
and api/services/entities/knowledge_entities/knowledge_entities.py:

    GET  /datasets/{id}/metadata             {doc_metadata: [{id, name, type}]}
    POST /datasets/{id}/metadata             {type: string|number|time, name} -> 201 {id}
    POST /datasets/{id}/documents/metadata   {operation_data: [{document_id,
                                              metadata_list: [{id, name, value}]}]}
"""

from __future__ import annotations

import re

from kb_export.record import KBRecord, Scalar
from kb_export.targets.http import PlatformClient
from kb_export.targets.platform import metadata_of

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Names that Dify's own fields have; it refuses them.
_BUILT_IN = frozenset({"document_name", "uploader", "upload_date", "last_update_date", "source"})


def is_id(value: object) -> bool:
    """Tell whether a value is one of Dify's ids, which go into paths."""
    return isinstance(value, str) and UUID.fullmatch(value) is not None


class DifyMetadata:
    """Write metadata in one dataset, making the fields that it has not.

    Args:
        base: the dataset's path.
    """

    def __init__(self, client: PlatformClient, base: str) -> None:
        self._client = client
        self._base = base
        self._fields: dict[str, str] = {}  # name -> id

    def write(self, document_id: str, record: KBRecord) -> None:
        """Make the record's facts the metadata of a document; others that it has go.

        Raises:
            TargetUnavailable: if Dify does not take them.
        """
        values = {
            f"fact_{key}" if key in _BUILT_IN else key: _value(value)
            for key, value in metadata_of(record).items()
        }
        if values.keys() - self._fields.keys():
            self._read_fields()
        for name in sorted(values.keys() - self._fields.keys()):
            self._make_field(name, "string" if isinstance(values[name], str) else "number")
        metadata = [
            {"id": self._fields[name], "name": name, "value": value}
            for name, value in values.items()
            if name in self._fields
        ]
        self._client.request(
            "POST",
            f"{self._base}/documents/metadata",
            body={"operation_data": [{"document_id": document_id, "metadata_list": metadata}]},
        )

    def _read_fields(self) -> None:
        answer = self._client.request("GET", f"{self._base}/metadata")
        for item in self._client.rows(answer, "doc_metadata"):
            if is_id(item.get("id")) and isinstance(item.get("name"), str):
                self._fields[item["name"]] = item["id"]

    def _make_field(self, name: str, kind: str) -> None:
        answer = self._client.request(
            "POST",
            f"{self._base}/metadata",
            body={"type": kind, "name": name},
            repeatable=False,
            # Somebody else made it meanwhile: the next record finds it.
            known=frozenset({400}),
        )
        if is_id(answer.field("id")):
            self._fields[name] = str(answer.field("id"))


def _value(value: Scalar) -> str | int | float:
    """Dify knows strings, numbers and times, no booleans."""
    return str(value).lower() if isinstance(value, bool) else value
