"""Open WebUI's files and knowledge API (open-webui/open-webui @0045fd8c), strict, in memory."""

from __future__ import annotations

import fnmatch
import hashlib
import json
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

PAGE = 30
NOT_FOUND = "We could not find what you're looking for :/"
_ID = r"(?P<file_id>[0-9a-f-]{36})"
_KB = r"/api/v1/knowledge/(?P<knowledge_id>[0-9a-f-]{36})"


class OpenWebUIStub(StrictPlatform):
    """One user, some knowledge bases.

    Attributes:
        bases: knowledge id -> ids of the files linked to it, in order.
        background: processing takes as many status questions as this after the upload.
        failing: processing fails with these words.
    """

    ROUTES: ClassVar = {
        ("POST", r"/api/v1/files/"): "upload",
        ("GET", r"/api/v1/files/search"): "search",
        ("GET", rf"/api/v1/files/{_ID}/process/status"): "status",
        ("GET", rf"/api/v1/files/{_ID}"): "file",
        ("DELETE", rf"/api/v1/files/{_ID}"): "delete_file",
        ("GET", rf"{_KB}/files"): "files_of_base",
        ("POST", rf"{_KB}/file/add"): "add",
        ("POST", rf"{_KB}/sync/diff"): "diff",
        ("POST", rf"{_KB}/sync/cleanup"): "cleanup",
    }

    def __init__(self) -> None:
        super().__init__()
        self.knowledge_id = str(uuid.uuid4())
        self.bases: dict[str, list[str]] = {self.knowledge_id: [], str(uuid.uuid4()): []}
        self.files: dict[str, dict[str, Any]] = {}
        self.background = 0
        self.failing = ""
        self.external = False
        self.extensions: list[str] = []

    def unauthorized(self) -> Response:
        return _detail(401, "Your session has expired or the token is invalid.")

    def place(self, filename: str, content: bytes = b"", *, linked: bool = True) -> str:
        """Put a file there as if it had always been there."""
        file_id = str(uuid.uuid4())
        self.files[file_id] = {
            "id": file_id,
            "user_id": "user",
            "filename": filename,
            "content": content,
            "data": {"status": "completed"},
            "meta": {"name": filename, "file_hash": hashlib.sha256(content).hexdigest()},
        }
        if linked:
            self.bases[self.knowledge_id].append(file_id)
        return file_id

    def documents(self) -> dict[str, bytes]:
        """Return what a chatbot can find, by file name; a name twice is an error."""
        linked = [self.files[file_id] for file_id in self.bases[self.knowledge_id]]
        assert len({file["filename"] for file in linked}) == len(linked)
        return {file["filename"]: file["content"] for file in linked}

    async def upload(self, request: Request) -> Response:
        query_of(request, {"process": "true|false", "process_in_background": "true|false"})
        name, content, kind, rest = await upload_of(request, frozenset({"metadata"}))
        metadata = json.loads(rest.get("metadata", "{}"))
        demand(isinstance(metadata, dict), "metadata is no object")
        demand(kind, "no media type")
        suffix = name.rpartition(".")[2]
        if self.extensions and suffix not in self.extensions:
            return _detail(400, f"[ERROR: File type {suffix} is not allowed]")
        file_id = self.place(name, content, linked=False)
        file = self.files[file_id]
        digest = metadata.get("file_hash") or hashlib.sha256(content).hexdigest()
        file["meta"] = {
            "name": name,
            "content_type": kind,
            "size": len(content),
            "file_hash": digest,
            "data": metadata,
        }
        file["data"] = {"status": "pending", "questions": self.background}
        if not self.background:
            self._process(file)
        return JSONResponse({"status": True, **_public(file), "data": {"status": "pending"}})

    def _process(self, file: dict[str, Any]) -> None:
        if self.failing:
            file["data"] = {"status": "failed", "error": self.failing}
        else:
            file["data"] = {"status": "completed", "content": file["content"].decode()}

    async def status(self, request: Request, file_id: str) -> Response:
        if file_id not in self.files:
            return _detail(404, NOT_FOUND)
        file = self.files[file_id]
        if file["data"]["status"] == "pending":
            file["data"]["questions"] -= 1
            if file["data"]["questions"] <= 0:
                self._process(file)
        return JSONResponse({"status": file["data"]["status"]})

    async def file(self, request: Request, file_id: str) -> Response:
        if file_id not in self.files:
            return _detail(404, NOT_FOUND)
        return JSONResponse({**_public(self.files[file_id]), "data": self.files[file_id]["data"]})

    async def search(self, request: Request) -> Response:
        query = query_of(
            request,
            {"filename": ".+", "content": "true|false", "skip": r"\d+", "limit": r"\d{1,4}"},
        )
        demand("filename" in query, "filename is required")
        found = [
            _public(file)
            for file in self.files.values()
            if fnmatch.fnmatch(file["filename"].lower(), query["filename"].lower())
        ]
        if not found:
            return _detail(404, "No files found matching the pattern.")
        return JSONResponse(found[: int(query.get("limit", 100))])

    async def delete_file(self, request: Request, file_id: str) -> Response:
        if self.files.pop(file_id, None) is None:
            return _detail(404, NOT_FOUND)
        for linked in self.bases.values():
            if file_id in linked:
                linked.remove(file_id)
        return JSONResponse({"message": "File deleted successfully"})

    async def files_of_base(self, request: Request, knowledge_id: str) -> Response:
        query = query_of(
            request,
            {
                "query": ".*",
                "order_by": "name|created_at|updated_at",
                "direction": "asc|desc",
                "page": r"[1-9]\d*",
            },
        )
        if knowledge_id not in self.bases:
            return _detail(400, NOT_FOUND)
        files = [self.files[file_id] for file_id in self.bases[knowledge_id]]
        files = [f for f in files if query.get("query", "").lower() in f["filename"].lower()]
        files.sort(key=lambda f: (f["filename"], f["id"]), reverse=query["direction"] == "desc")
        start = (int(query.get("page", 1)) - 1) * PAGE
        items = [_public(file) for file in files[start : start + PAGE]]
        return JSONResponse(
            {"items": items, "directories": [], "breadcrumbs": [], "total": len(files)}
        )

    async def add(self, request: Request, knowledge_id: str) -> Response:
        body = await json_of(request, {"file_id": str}, {"directory_id": str})
        file = self.files.get(body["file_id"])
        if knowledge_id not in self.bases or file is None:
            return _detail(400, NOT_FOUND)
        if file["data"].get("status") != "completed":
            return _detail(400, "The content provided is empty.")
        linked = self.bases[knowledge_id]
        if file["id"] not in linked:
            if any(self.files[other]["content"] == file["content"] for other in linked):
                return _detail(400, "Duplicate content detected. Please provide unique content.")
            linked.append(file["id"])
        return JSONResponse({"id": knowledge_id, "files": []})

    async def diff(self, request: Request, knowledge_id: str) -> Response:
        body = await json_of(request, {"manifest": list})
        for entry in body["manifest"]:
            fields_of(entry, {"filename": str, "path": str, "checksum": str, "size": int})
            demand(len(entry["checksum"]) == 64, "checksum is no SHA-256")
        if knowledge_id not in self.bases:
            return _detail(404, NOT_FOUND)
        if self.external:
            return _detail(400, "External knowledge bases are read-only.")
        there = {
            self.files[file_id]["filename"]: self.files[file_id]
            for file_id in self.bases[knowledge_id]
        }
        names = {entry["filename"] for entry in body["manifest"]}
        entries = body["manifest"]
        return JSONResponse(
            {
                "added": [
                    {"filename": e["filename"], "path": e["path"]}
                    for e in entries
                    if e["filename"] not in there
                ],
                "modified": [
                    {
                        "filename": e["filename"],
                        "path": e["path"],
                        "stale_file_id": there[e["filename"]]["id"],
                    }
                    for e in entries
                    if e["filename"] in there
                    and there[e["filename"]]["meta"]["file_hash"] != e["checksum"]
                ],
                "deleted": [
                    {"file_id": file["id"], "filename": name}
                    for name, file in there.items()
                    if name not in names
                ],
                "mkdir": [],
                "rmdir": [],
                "unmodified_count": 0,
                "directory_map": {},
            }
        )

    async def cleanup(self, request: Request, knowledge_id: str) -> Response:
        body = await json_of(request, {"file_ids": list}, {"dir_ids": list})
        demand(all(isinstance(each, str) for each in body["file_ids"]), "file_ids are no strings")
        if knowledge_id not in self.bases:
            return _detail(404, NOT_FOUND)
        for file_id in body["file_ids"]:
            if file_id in self.bases[knowledge_id]:
                self.bases[knowledge_id].remove(file_id)
                del self.files[file_id]
        return JSONResponse({"status": True})


def _public(file: dict[str, Any]) -> dict[str, Any]:
    return {name: file[name] for name in ("id", "user_id", "filename", "meta")}


def _detail(status: int, words: str) -> Response:
    return JSONResponse({"detail": words}, status)
