"""Is an exported knowledge base in order: every link alive, nothing twice, nothing left over?"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from benchmarks.kb_eval_set import Base

_LINK = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")
_SOURCE = re.compile(r'<img src="([^"]+)"')


def upkeep(base: Base) -> dict[str, Any]:
    """Export again, change a caption, fetch every link, delete some; return what is wrong.

    Returns:
        `duplicates`: records beyond one per picture, after a second export and after a change,
        and records that the second export sent again. `dead_links`: links of documents and of the
        page that do not answer with the picture's own bytes; `links` were fetched. `orphans`:
        files, rows and hits that are left of deleted pictures.
    """
    again = base.export()
    duplicates = len(again.put) + len(base.target.list_ids()) - len(base.keys)
    first = next(iter(base.keys))
    base.rewrite(first, "A caption that somebody mended.")
    changed = base.export()
    duplicates += len(changed.put) - 1 + len(base.target.list_ids()) - len(base.keys)
    fetched = fetch_all(base.folder)
    gone = list(base.keys)[::6]
    hashes = {base.gallery.get(image_id).sha256 for image_id in gone}
    base.remove(gone)
    return {
        "duplicates": duplicates,
        "dead_links": sum(not alive for alive in fetched),
        "links": len(fetched),
        "orphans": len(left_of(base.folder, hashes)) + _still_found(base, gone),
        "deleted": len(gone),
    }


def fetch_all(folder: Path) -> list[bool]:
    """Fetch every picture that a document or the page links to, over HTTP.

    Returns:
        for each link whether it answered 200 with the bytes whose hash the manifest names.
    """
    manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    known = {row["sha256"] for row in manifest}
    with serve(folder) as root:
        alive = []
        for row in manifest:
            page = urljoin(root, row["path"])
            links = _LINK.findall(_fetch(page).decode())
            alive += [_sha256(urljoin(page, link)) == row["sha256"] for link in links]
            if len(links) != 1:
                alive.append(False)
        page = urljoin(root, "index.html")
        alive += [
            _sha256(urljoin(page, s)) in known for s in _SOURCE.findall(_fetch(page).decode())
        ]
    return alive


def left_of(folder: Path, hashes: set[str]) -> list[str]:
    """Return the files and manifest rows that are left of pictures with these hashes."""
    left = [
        path.name
        for path in folder.glob("**/*")
        if path.is_file() and any(sha256[:24] in path.name for sha256 in hashes)
    ]
    rows = (folder / "manifest.jsonl").read_text().splitlines()
    page = (folder / "index.html").read_text()
    left += [row for row in rows if json.loads(row)["sha256"] in hashes]
    return left + [sha256 for sha256 in hashes if sha256 in page]


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback; yield its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _still_found(base: Base, gone: list[str]) -> int:
    hits = [hit for image_id in gone for hit in base.index.search(image_id, 50, 0.0)]
    return len({hit.record.image_id for hit in hits} & set(gone))


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
    return body


def _sha256(url: str) -> str:
    """Return the hash of what an address answers, empty if it answers with an error."""
    try:
        return hashlib.sha256(_fetch(url)).hexdigest()
    except urllib.error.HTTPError:
        return ""
