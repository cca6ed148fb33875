"""A model hub on loopback that serves one folder: what huggingface_hub asks for, and no more."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "a" * 40


@contextmanager
def serving(hub_id: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve `folder` as `hub_id` at `COMMIT`; yield the address and the paths asked for."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            asked.append(path)
            names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
            if path == f"/api/models/{hub_id}/tree/{COMMIT}":
                sizes = [(name, (folder / name).stat().st_size) for name in names]
                entries = [
                    {"type": "file", "path": name, "size": size, "oid": "0" * 40}
                    for name, size in sizes
                ]
                self.answer(200, json.dumps(entries).encode())
                return
            prefix = f"/{hub_id}/resolve/{COMMIT}/"
            if path.startswith(prefix) and path.removeprefix(prefix) in names:
                data = (folder / path.removeprefix(prefix)).read_bytes()
                tag = hashlib.sha1(data).hexdigest()
                self.answer(200, data, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})
                return
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
