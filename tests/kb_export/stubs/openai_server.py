"""A strict stand-in for OpenAI's files and vector stores, on loopback.

It takes what the service documents and nothing else: whatever does not fit is answered with an
error and remembered in `violations`, which tests expect to be empty. Shapes: openai-python 3.57.0,
`types/vector_stores/` and `resources/files.py`.
"""

from __future__ import annotations

import email.parser
import email.policy
import http.server
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "sk-test-0123456789abcdef"
STORE = "vs_0123456789"


@dataclass
class Fault:
    """What the next request that fits gets instead of an answer.

    Attributes:
        request: a pattern for "METHOD /path".
        status: 0 = the connection is cut.
        after: whether the request takes effect before it fails.
    """

    request: str
    status: int = 503
    body: str = '{"error": {"message": "try later", "code": "overloaded"}}'
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False


class OpenAIServer:
    """Holds files and one vector store; `address` is what clients take as their base URL."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.files: dict[str, dict[str, Any]] = {}
        self.attached: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.retries: list[str] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self.polls_until_done = 0
        self.fails: Callable[[str], bool] = lambda content: False
        self.status = "completed"
        self.page = 100
        self.ignores_cursor = False
        self.age_s = 0
        self._count = 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def documents(self) -> list[str]:
        """Return the text of every attached file."""
        return [self.files[file_id]["content"] for file_id in self.attached]

    def count(self, pattern: str) -> int:
        """Return how many requests fitted the pattern."""
        return sum(bool(re.fullmatch(pattern, request)) for request in self.requests)

    def new_id(self) -> str:
        """Return the next file id."""
        self._count += 1
        return f"file-{self._count:06}"

    def upload(self, name: str, content: str) -> str:
        """Keep a file, as the service does after `POST /files`."""
        file_id = self.new_id()
        self.files[file_id] = {
            "id": file_id,
            "object": "file",
            "bytes": len(content.encode()),
            "created_at": int(time.time()) - self.age_s,
            "filename": name,
            "purpose": "assistants",
            "status": "processed",
            "content": content,
        }
        return file_id

    def attach(self, file_id: str, attributes: dict[str, Any]) -> dict[str, Any]:
        """Attach a file, as the service does after `POST /vector_stores/{id}/files`."""
        failed = self.fails(self.files[file_id]["content"])
        final = "failed" if failed else "completed"
        self.attached[file_id] = {
            "id": file_id,
            "object": "vector_store.file",
            "created_at": int(time.time()) - self.age_s,
            "vector_store_id": STORE,
            "usage_bytes": 0,
            "attributes": attributes,
            "status": "in_progress",
            "last_error": None,
            "final": final,
            "polls": self.polls_until_done,
        }
        return self.attached[file_id]

    def seen(self, file: dict[str, Any]) -> dict[str, Any]:
        """Return an attached file as answers show it; each look brings its indexing forward."""
        if file["status"] == "in_progress":
            if file["polls"] <= 0:
                file["status"] = file["final"]
                if file["final"] == "failed":
                    file["last_error"] = {"code": "invalid_file", "message": "No text in it."}
            file["polls"] -= 1
        return {key: value for key, value in file.items() if key not in ("final", "polls")}


class _Refused(Exception):
    def __init__(self, status: int, message: str, code: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def _handler(server: OpenAIServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # head and body in one packet

        def log_message(self, *args: Any) -> None:
            pass

        def _answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
            data = body.encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **(headers or {}),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            request = f"{self.command} {url.path}"
            with server.lock:
                server.requests.append(request)
                server.retries.append(self.headers.get("x-stainless-retry-count", ""))
                fault = next((f for f in server.faults if re.fullmatch(f.request, request)), None)
                if fault is not None:
                    server.faults.remove(fault)
                    if fault.after:
                        self._act(url.path, url.query, body)
            if fault is None:
                status, answer = self._act(url.path, url.query, body)
                self._answer(status, json.dumps(answer))
            elif fault.status == 0:
                self.close_connection = True
            else:
                self._answer(fault.status, fault.body, fault.headers)

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _serve

        def _act(self, path: str, query: str, body: bytes) -> tuple[int, Any]:
            try:
                with server.lock:
                    return 200, self._route(path, query, body)
            except _Refused as error:
                # A missing thing is part of life; everything else is a mistake of the client.
                if error.status not in (401, 404):
                    server.violations.append(f"{self.command} {path}: {error}")
                return error.status, {"error": {"message": str(error), "code": error.code}}

        def _route(self, path: str, query: str, body: bytes) -> Any:
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                message = f"Incorrect API key provided: {self.headers.get('Authorization')}"
                raise _Refused(401, message, "invalid_api_key")
            parts = path.split("/")[1:]
            values = {name: value[-1] for name, value in parse_qs(query).items()}
            match [self.command, *parts]:
                case ["POST", "v1", "files"]:
                    return self._upload(body)
                case ["GET", "v1", "files"]:
                    _only(values, {"purpose", "after", "limit", "order"})
                    _limit(values, 10_000)
                    listed = [_public(f) for f in server.files.values()]
                    return _page(server, listed, values)
                case ["DELETE", "v1", "files", file_id]:
                    _found(server.files, file_id)
                    if file_id in server.attached:
                        raise _Refused(400, "The file is attached to a vector store.")
                    del server.files[file_id]
                    return {"id": file_id, "object": "file", "deleted": True}
            if parts[:3] != ["v1", "vector_stores", STORE]:
                raise _Refused(404, f"There is nothing at {path}.", "not_found")
            match [self.command, *parts[3:]]:
                case ["GET"]:
                    return self._store()
                case ["POST", "files"]:
                    return self._attach(body)
                case ["GET", "files"]:
                    _only(values, {"after", "before", "limit", "order", "filter"})
                    _limit(values, 100)
                    listed = [server.seen(f) for f in server.attached.values()]
                    wanted = values.get("filter")
                    listed = [f for f in listed if wanted in (None, f["status"])]
                    return _page(server, listed, values)
                case ["GET", "files", file_id]:
                    return server.seen(_found(server.attached, file_id))
                case ["DELETE", "files", file_id]:
                    _found(server.attached, file_id)
                    del server.attached[file_id]
                    return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}
            raise _Refused(405, f"{self.command} {path} is not documented.")

        def _store(self) -> Any:
            return {
                "id": STORE,
                "object": "vector_store",
                "created_at": 1,
                "name": "shop",
                "status": server.status,
                "usage_bytes": 0,
                "file_counts": dict.fromkeys(
                    ("cancelled", "completed", "failed", "in_progress", "total"), 0
                ),
            }

        def _upload(self, body: bytes) -> Any:
            parser = email.parser.BytesParser(policy=email.policy.HTTP)
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            message = parser.parsebytes(head + body)
            if message.get_content_type() != "multipart/form-data":
                raise _Refused(400, "Not multipart/form-data.")
            fields: dict[str, Any] = {}
            for part in message.iter_parts():
                name = part.get_param("name", header="content-disposition")
                if name in fields:
                    raise _Refused(400, f"The part {name} comes twice.")
                fields[str(name)] = part
            if set(fields) != {"purpose", "file"}:
                raise _Refused(400, f"Parts must be purpose and file, not {sorted(fields)}.")
            purpose = fields["purpose"].get_payload(decode=True)
            if purpose != b"assistants":
                raise _Refused(400, f"Purpose {purpose!r} is not for file search.")
            file = fields["file"]
            name = file.get_filename()
            if not name or not re.fullmatch(r"[A-Za-z0-9._-]{1,200}\.md", name):
                raise _Refused(400, f"Bad file name {name!r}.")
            if file.get_content_type() != "text/markdown":
                raise _Refused(400, f"Content type {file.get_content_type()}.")
            content = file.get_payload(decode=True).decode("utf-8")
            if not content.strip():
                raise _Refused(400, "The file is empty.")
            return _public(server.files[server.upload(name, content)])

        def _attach(self, body: bytes) -> Any:
            if self.headers.get_content_type() != "application/json":
                raise _Refused(400, "Not JSON.")
            given = json.loads(body)
            _only(given, {"file_id", "attributes", "chunking_strategy"})
            _found(server.files, given["file_id"])
            attributes = given.get("attributes") or {}
            if len(attributes) > 16:
                raise _Refused(400, f"{len(attributes)} attributes are too many.")
            for key, value in attributes.items():
                if not 1 <= len(key) <= 64:
                    raise _Refused(400, f"The attribute key {key!r} is too long.")
                if not isinstance(value, (str, int, float, bool)):
                    raise _Refused(400, f"The attribute {key} is {type(value).__name__}.")
                if isinstance(value, str) and len(value) > 512:
                    raise _Refused(400, f"The attribute {key} is too long.")
                if isinstance(value, int) and abs(value) > 2**53:
                    raise _Refused(400, f"The attribute {key} is no exact number.")
            strategy = given.get("chunking_strategy") or {"type": "auto"}
            if strategy["type"] == "static":
                _only(strategy, {"type", "static"})
                size = strategy["static"]["max_chunk_size_tokens"]
                overlap = strategy["static"]["chunk_overlap_tokens"]
                if not 100 <= size <= 4096 or not 0 <= overlap <= size / 2:
                    raise _Refused(400, f"Chunks of {size} with {overlap} overlapping.")
            elif strategy != {"type": "auto"}:
                raise _Refused(400, f"No such strategy: {strategy}.")
            attached = server.attach(given["file_id"], attributes)
            return {k: v for k, v in attached.items() if k not in ("final", "polls")}

    return Handler


def _only(values: dict[str, Any], known: set[str]) -> None:
    if unknown := set(values) - known:
        raise _Refused(400, f"Unknown: {sorted(unknown)}.")


def _limit(values: dict[str, str], most: int) -> None:
    if not 1 <= int(values.get("limit", 20)) <= most:
        raise _Refused(400, f"limit={values['limit']}.")


def _found(things: dict[str, Any], name: str) -> Any:
    if name not in things:
        raise _Refused(404, f"No such file: {name}.", "not_found")
    return things[name]


def _public(file: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in file.items() if key != "content"}


def _page(server: OpenAIServer, listed: list[dict[str, Any]], values: dict[str, str]) -> Any:
    if values.get("order", "desc") == "desc":
        listed = listed[::-1]
    ids = [item["id"] for item in listed]
    start = 0
    if "after" in values and not server.ignores_cursor:
        start = ids.index(values["after"]) + 1 if values["after"] in ids else len(ids)
    size = min(int(values.get("limit", 20)), server.page)
    page = listed[start : start + size]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": server.ignores_cursor or start + size < len(listed),
    }
