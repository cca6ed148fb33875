"""Dify's Service API for datasets (langgenius/dify, service_api/dataset/), strict, in memory."""

from __future__ import annotations

import re
import uuid
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from stubs.strict_platform import (
    StrictPlatform,
    demand,
    fields_of,
    json_of,
    query_of,
    upload_of,
)

_DATASET = r"/v1/datasets/(?P<dataset_id>[0-9a-f-]{36})"
_BUILT_IN = ("document_name", "uploader", "upload_date", "last_update_date", "source")


class DifyStub(StrictPlatform):
    """One workspace with one dataset.

    Attributes:
        documents_there: in the order of their making.
        indexing: as many status questions pass before a document is indexed.
        failing: indexing ends with this error.
    """

    ROUTES: ClassVar = {
        ("GET", _DATASET): "dataset",
        ("POST", rf"{_DATASET}/document/create-by-text"): "create",
        ("GET", rf"{_DATASET}/documents"): "listing",
        ("GET", rf"{_DATASET}/documents/(?P<batch>[0-9]{{20}})/indexing-status"): "status",
        ("DELETE", rf"{_DATASET}/documents/(?P<document_id>[0-9a-f-]{{36}})"): "delete",
        ("GET", rf"{_DATASET}/metadata"): "fields_there",
        ("POST", rf"{_DATASET}/metadata"): "make_field",
        ("POST", rf"{_DATASET}/documents/metadata"): "describe",
        ("POST", r"/v1/datasets/pipeline/file-upload"): "upload",
    }

    def __init__(self) -> None:
        super().__init__()
        self.dataset_id = str(uuid.uuid4())
        self.facts: dict[str, Any] = {
            "id": self.dataset_id,
            "provider": "vendor",
            "indexing_technique": None,
            "doc_form": None,
            "runtime_mode": "general",
        }
        self.documents_there: list[dict[str, Any]] = []
        self.fields: dict[str, dict[str, str]] = {}
        self.uploads: dict[str, tuple[str, bytes, str]] = {}
        self.indexing = 0
        self.failing = ""
        self.chunks = 1
        self.busy = False  # deletions are refused, as while indexing
        self.batches = 0

    def unauthorized(self) -> Response:
        return _error(401, "unauthorized", "Access token is invalid")

    def refused(self, message: str) -> Response:
        return _error(400, "invalid_param", message)

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return what is there by name; a name twice is an error."""
        names = [each["name"] for each in self.documents_there]
        assert len(set(names)) == len(names)
        return {each["name"]: each for each in self.documents_there}

    def place(self, name: str, text: str = "") -> dict[str, Any]:
        """Put a document there as if it had always been there."""
        self.batches += 1
        made = {
            "id": str(uuid.uuid4()),
            "name": name,
            "text": text,
            "indexing_status": "completed",
            "error": None,
            "questions": 0,
            "metadata": {},
            "archived": False,
            "batch": f"{self.batches:020}",
        }
        self.documents_there.append(made)
        return made

    def _of(self, dataset_id: str) -> Response | None:
        if dataset_id != self.dataset_id:
            return _error(404, "not_found", "Dataset not found.")
        return None

    async def dataset(self, request: Request, dataset_id: str) -> Response:
        return self._of(dataset_id) or JSONResponse(self.facts)

    async def create(self, request: Request, dataset_id: str) -> Response:
        body = await json_of(
            request,
            {"name": str, "text": str},
            {
                "indexing_technique": str,
                "doc_form": str,
                "doc_language": str,
                "process_rule": dict,
            },
        )
        demand(body.get("indexing_technique") in ("high_quality", "economy"), "indexing_technique")
        demand(body.get("doc_form", "text_model") == "text_model", "doc_form")
        rule = fields_of(body["process_rule"], {"mode": str, "rules": dict})
        demand(rule["mode"] in ("automatic", "custom", "hierarchical"), "mode")
        rules = fields_of(rule["rules"], {"pre_processing_rules": list, "segmentation": dict})
        for each in rules["pre_processing_rules"]:
            fields_of(each, {"id": str, "enabled": bool})
            demand(
                each["id"] in ("remove_extra_spaces", "remove_urls_emails", "remove_stopwords"), ""
            )
        cut = fields_of(
            rules["segmentation"], {"separator": str, "max_tokens": int}, {"chunk_overlap": int}
        )
        demand(50 <= cut["max_tokens"] <= 4000, "max_tokens")
        if dataset_id != self.dataset_id:
            return _error(400, "invalid_param", "Dataset does not exist.")
        made = self.place(body["name"], body["text"])
        made["indexing_status"] = "waiting"
        made["questions"] = self.indexing
        self.facts["indexing_technique"] = body["indexing_technique"]
        self.facts["doc_form"] = "text_model"
        return JSONResponse({"document": self._public(made), "batch": made["batch"]})

    async def listing(self, request: Request, dataset_id: str) -> Response:
        query = query_of(
            request,
            {"keyword": ".+", "page": r"[1-9]\d*", "limit": r"\d{1,3}", "status": "[a-z]+"},
        )
        limit = min(int(query.get("limit", 20)), 100)
        like = re.escape(query.get("keyword", "")).replace("_", ".").replace("%", ".*")
        fitting = [d for d in reversed(self.documents_there) if re.search(like, d["name"])]
        start = (int(query.get("page", 1)) - 1) * limit
        page = fitting[start : start + limit]
        for each in page:
            self._index(each)
        return self._of(dataset_id) or JSONResponse(
            {
                "data": [self._public(each) for each in page],
                "has_more": len(page) == limit,
                "limit": limit,
                "total": len(fitting),
                "page": int(query.get("page", 1)),
            }
        )

    def _index(self, each: dict[str, Any]) -> None:
        """Let time pass for a document: each question about it counts."""
        if each["indexing_status"] in ("completed", "error"):
            return
        each["questions"] -= 1
        if each["questions"] <= 0:
            each["indexing_status"] = "error" if self.failing else "completed"
            each["error"] = self.failing or None

    async def status(self, request: Request, dataset_id: str, batch: str) -> Response:
        query_of(request, {})
        found = [each for each in self.documents_there if each["batch"] == batch]
        if not found:
            return _error(404, "not_found", "Documents not found.")
        for each in found:
            self._index(each)
        data = [
            {
                "id": each["id"],
                "indexing_status": each["indexing_status"],
                "error": each["error"],
                "completed_segments": self.chunks,
                "total_segments": self.chunks,
            }
            for each in found
        ]
        return self._of(dataset_id) or JSONResponse({"data": data})

    async def delete(self, request: Request, dataset_id: str, document_id: str) -> Response:
        found = next((d for d in self.documents_there if d["id"] == document_id), None)
        if found is None:
            return _error(404, "not_found", "Document Not Exists.")
        if found["archived"]:
            return _error(
                403, "archived_document_immutable", "The archived document is not editable."
            )
        if self.busy:
            return _error(400, "document_indexing", "Cannot delete document during indexing.")
        self.documents_there.remove(found)
        return Response(status_code=204)

    async def fields_there(self, request: Request, dataset_id: str) -> Response:
        return self._of(dataset_id) or JSONResponse(
            {"doc_metadata": list(self.fields.values()), "built_in_field_enabled": False}
        )

    async def make_field(self, request: Request, dataset_id: str) -> Response:
        body = await json_of(request, {"type": str, "name": str})
        demand(body["type"] in ("string", "number", "time"), "type")
        if body["name"] in self.fields:
            return _error(400, "invalid_param", "Metadata name already exists.")
        if body["name"] in _BUILT_IN:
            return _error(400, "invalid_param", "Metadata name already exists in Built-in fields.")
        made = {"id": str(uuid.uuid4()), **body}
        self.fields[body["name"]] = made
        return JSONResponse(made, 201)

    async def describe(self, request: Request, dataset_id: str) -> Response:
        body = await json_of(request, {"operation_data": list})
        for operation in body["operation_data"]:
            fields_of(
                operation, {"document_id": str, "metadata_list": list}, {"partial_update": bool}
            )
            found = next(
                (d for d in self.documents_there if d["id"] == operation["document_id"]), None
            )
            demand(found is not None, "Document not found.")
            assert found is not None
            values = {}
            for each in operation["metadata_list"]:
                fields_of(each, {"id": str, "name": str, "value": (str, int, float)})
                demand(not isinstance(each["value"], bool), "a boolean")
                demand(self.fields[each["name"]]["id"] == each["id"], "id and name do not fit")
                values[each["name"]] = each["value"]
            found["metadata"] = values
        return JSONResponse({"result": "success"})

    async def upload(self, request: Request) -> Response:
        name, content, kind, _ = await upload_of(request)
        made = str(uuid.uuid4())
        self.uploads[made] = (name, content, kind)
        return JSONResponse(
            {"id": made, "name": name, "size": len(content), "extension": "png"}, 201
        )

    def _public(self, document: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": document["id"],
            "name": document["name"],
            "indexing_status": document["indexing_status"],
            "error": document["error"],
            "archived": document["archived"],
            "doc_metadata": [
                {**self.fields[name], "value": value}
                for name, value in document["metadata"].items()
            ],
        }


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message, "status": status}, status)
