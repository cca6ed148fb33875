"""RAGFlow's HTTP API for datasets (infiniflow/ragflow), strict, in memory."""

from __future__ import annotations

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

_DATASET = r"/api/v1/datasets/(?P<dataset_id>[0-9a-f]{32})"
_DOCUMENT = rf"{_DATASET}/documents/(?P<document_id>[0-9a-f]{{32}})"


class RAGFlowStub(StrictPlatform):
    """One tenant with one dataset.

    Attributes:
        old: a release before 0.25: documents are updated with PUT, a wrong key is code 109.
        parsing: as many listings pass before a document is parsed.
        failing: parsing ends with these words.
    """

    ROUTES: ClassVar = {
        ("GET", rf"{_DATASET}/documents"): "listing",
        ("POST", rf"{_DATASET}/documents"): "upload",
        ("DELETE", rf"{_DATASET}/documents"): "delete",
        ("PATCH", _DOCUMENT): "patch",
        ("PUT", _DOCUMENT): "put",
        ("POST", rf"{_DATASET}/chunks"): "parse",
    }

    def __init__(self) -> None:
        super().__init__()
        self.dataset_id = uuid.uuid4().hex
        self.documents_there: list[dict[str, Any]] = []
        self.old = False
        self.parsing = 0
        self.failing = ""
        self.chunks = 1
        self.locked = False  # deletions fail

    def unauthorized(self) -> Response:
        if self.old:
            return _code(109, "Authentication error: API key is invalid!")
        return JSONResponse(
            {"code": 401, "message": "<Unauthorized '401: Unauthorized'>", "data": None}, 401
        )

    def refused(self, message: str) -> Response:
        return _code(101, message)

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return what is there by name; a name twice is an error."""
        names = [each["name"] for each in self.documents_there]
        assert len(set(names)) == len(names)
        return {each["name"]: each for each in self.documents_there}

    def place(self, name: str, content: bytes = b"", state: str = "DONE") -> dict[str, Any]:
        """Put a document there as if it had always been there."""
        made = {
            "id": uuid.uuid4().hex,
            "name": name,
            "content": content,
            "size": len(content),
            "run": state,
            "chunk_count": 1 if state == "DONE" else 0,
            "progress_msg": "",
            "meta_fields": {},
            "questions": 0,
        }
        self.documents_there.append(made)
        return made

    def _of(self, dataset_id: str) -> Response | None:
        if dataset_id != self.dataset_id:
            return _code(102, f"You don't own the dataset {dataset_id}. ")
        return None

    async def listing(self, request: Request, dataset_id: str) -> Response:
        query = query_of(
            request,
            {
                "page": r"[1-9]\d*",
                "page_size": r"[1-9]\d*",
                "orderby": "create_time|update_time",
                "desc": "true|false",
                "keywords": ".*",
                "id": "[0-9a-f]{32}",
            },
        )
        fitting = list(self.documents_there)
        if "id" in query:
            fitting = [each for each in fitting if each["id"] == query["id"]]
            if not fitting:
                return _code(102, f"You don't own the document {query['id']}.")
        fitting = [d for d in fitting if query.get("keywords", "").lower() in d["name"].lower()]
        if query.get("desc", "true") == "true":
            fitting.reverse()
        size = int(query.get("page_size", 30))
        start = (int(query.get("page", 1)) - 1) * size
        page = fitting[start : start + size]
        for each in page:
            self._work(each)
        docs = [{k: v for k, v in each.items() if k != "content"} for each in page]
        return self._of(dataset_id) or _code(0, data={"docs": docs, "total": len(fitting)})

    def _work(self, each: dict[str, Any]) -> None:
        """Let time pass for a document: each question about it counts."""
        if each["run"] != "RUNNING":
            return
        each["questions"] -= 1
        if each["questions"] <= 0:
            each["run"] = "FAIL" if self.failing else "DONE"
            each["chunk_count"] = 0 if self.failing else self.chunks
            each["progress_msg"] = self.failing

    async def upload(self, request: Request, dataset_id: str) -> Response:
        query_of(request, {})
        name, content, _, _ = await upload_of(request)
        if (other := self._of(dataset_id)) is not None:
            return other
        free, count = name, 0
        while free in {each["name"] for each in self.documents_there}:
            count += 1
            stem, _, suffix = name.rpartition(".")
            free = f"{stem}({count}).{suffix}"
        made = self.place(free, content, "UNSTART")
        return _code(0, data=[{"id": made["id"], "name": free, "run": "UNSTART"}])

    async def delete(self, request: Request, dataset_id: str) -> Response:
        body = await json_of(request, {"ids": list}, {"delete_all": bool})
        demand(body["ids"], "an empty list: some releases delete everything")
        there = {each["id"] for each in self.documents_there}
        if self.locked:
            return _code(500, "the object store is read-only")
        self.documents_there = [d for d in self.documents_there if d["id"] not in body["ids"]]
        missing = [each for each in body["ids"] if each not in there]
        if missing:
            return _code(102, f"Documents not found: {missing}")
        return self._of(dataset_id) or _code(0)

    async def patch(self, request: Request, dataset_id: str, document_id: str) -> Response:
        if self.old:
            return _code(100, "<MethodNotAllowed '405: Method Not Allowed'>")
        return await self._update(request, document_id)

    async def put(self, request: Request, dataset_id: str, document_id: str) -> Response:
        if not self.old:
            return JSONResponse({"code": 405, "message": "Method Not Allowed"}, 405)
        return await self._update(request, document_id)

    async def _update(self, request: Request, document_id: str) -> Response:
        body = await json_of(
            request,
            {},
            {"name": str, "meta_fields": dict, "chunk_method": str, "parser_config": dict},
        )
        if "parser_config" in body:
            config = fields_of(body["parser_config"], {}, {"chunk_token_num": int})
            demand(1 <= config["chunk_token_num"] <= 2048, "chunk_token_num")
        demand(body.get("chunk_method") in (None, "naive"), "chunk_method")
        for value in body.get("meta_fields", {}).values():
            demand(isinstance(value, str), "a metadata value that is no string")
        found = next((d for d in self.documents_there if d["id"] == document_id), None)
        if found is None:
            return _code(102, "The dataset doesn't own the document.")
        found["meta_fields"] = body.get("meta_fields", found["meta_fields"])
        return _code(0, data={"id": document_id})

    async def parse(self, request: Request, dataset_id: str) -> Response:
        body = await json_of(request, {"document_ids": list})
        demand(body["document_ids"], "`document_ids` is required")
        for document_id in body["document_ids"]:
            found = next((d for d in self.documents_there if d["id"] == document_id), None)
            if found is None:
                return _code(102, f"Documents not found: {document_id}")
            if found["run"] == "RUNNING":
                return _code(102, "Can't parse document that is currently being processed")
            found.update(run="RUNNING", questions=self.parsing)
        return self._of(dataset_id) or _code(0)


def _code(code: int, message: str = "", data: Any = None) -> Response:
    return JSONResponse(
        {"code": code}
        | ({"message": message} if message else {})
        | ({"data": data} if data is not None else {})
    )
