"""The S3 knowledge base on a store that checks signatures, conditions and checksums for real."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from kb_pictures import add_pictures, rewrite

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.errors import TargetUnavailable
from kb_export.record import KBRecord
from kb_export.targets import open_target
from kb_export.targets.s3 import MULTIPART_FROM, S3Target

pytestmark = pytest.mark.radosgw


def record_of(data: bytes, title: str = "Red teapot") -> KBRecord:
    sha256 = hashlib.sha256(data).hexdigest()
    return KBRecord.make(
        image_id=f"img_{sha256[:24]}",
        sha256=sha256,
        media_type="image/png",
        width=16,
        height=12,
        title=title,
        caption="A red teapot.",
        alt="A red teapot.",
    )


@pytest.fixture
def target(store: dict[str, str], bucket: str) -> S3Target:
    opened = open_target(f"s3://{bucket}/shop/kb", {"endpoint": store["endpoint"]})
    assert isinstance(opened, S3Target)
    return opened


def keys(client: Any, bucket: str) -> set[str]:
    return {item["Key"] for item in client.list_objects_v2(Bucket=bucket).get("Contents", [])}


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def test_pictures_are_put_listed_rewritten_and_deleted(
    gallery: Gallery, store: dict[str, str], client: Any, bucket: str
) -> None:
    first, second = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge = Knowledge(
        gallery,
        Settings(data=gallery.data_dir, kb=f"s3://{bucket}/kb", s3_endpoint=store["endpoint"]),
    )
    assert len(knowledge.export().put) == 2
    before = keys(client, bucket)
    assert len(before) == 6
    assert knowledge.export().unchanged == 2
    rewrite(gallery, first.image_id, caption="Newer words.")
    assert knowledge.export().put == (first.image_id,)
    after = keys(client, bucket)
    assert len(after) == 6 and len(after - before) == 2
    assert knowledge.remove([first.image_id, second.image_id]).problem is None
    assert keys(client, bucket) == set()


def test_a_wrong_secret_is_refused_and_everything_stays_queued(
    gallery: Gallery, store: dict[str, str], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_pictures(gallery, "red teapot")
    settings = Settings(data=gallery.data_dir, kb=f"s3://{bucket}", s3_endpoint=store["endpoint"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{store['secret_key'][:-1]}x")
    report = Knowledge(gallery, settings).export()
    assert report.problem is not None and not report.problem.retryable
    assert "SignatureDoesNotMatch" in str(report.problem)
    assert "Check the AWS credentials" in str(report.problem)
    assert (report.put, report.failed, report.pending) == ((), (), 1)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store["secret_key"])
    assert len(Knowledge(gallery, settings).export().put) == 1


def test_a_signed_link_shows_the_picture_until_it_expires(target: S3Target) -> None:
    data = b"the picture"
    record = record_of(data)
    target.put(record, data)
    url = target.read_url(record, seconds=2)
    assert fetch(url) == (200, data)
    deadline = time.monotonic() + 30
    while (status := fetch(url)[0]) == 200 and time.monotonic() < deadline:
        threading.Event().wait(0.5)
    assert status == 403


def test_a_tampered_link_is_refused(target: S3Target, client: Any, bucket: str) -> None:
    data = b"the picture"
    record = record_of(data)
    target.put(record, data)
    client.put_object(Bucket=bucket, Key="private.txt", Body=b"secret")
    url = target.read_url(record)
    path, _, query = url.partition("?")
    assert fetch(url) == (200, data)
    assert fetch(path)[0] == 403
    assert fetch(f"{path.partition(bucket)[0]}{bucket}/private.txt?{query}")[0] == 403
    longer = query.replace("X-Amz-Expires=300", "X-Amz-Expires=3000")
    assert longer != query
    assert fetch(f"{path}?{longer}")[0] == 403
    assert fetch(url[:-1] + ("0" if url[-1] != "0" else "1"))[0] == 403


def test_of_eight_writers_of_one_key_one_wins(client: Any, bucket: str) -> None:
    for turn in range(5):
        start = threading.Barrier(8)

        def write(number: int, key: str = f"key-{turn}", start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                client.put_object(Bucket=bucket, Key=key, Body=b"%d" % number, IfNoneMatch="*")
            except ClientError as error:
                assert error.response["Error"]["Code"] in ("PreconditionFailed", "412")
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(write, range(8)))
        assert won.count(True) == 1
        body = client.get_object(Bucket=bucket, Key=f"key-{turn}")["Body"].read()
        assert body == b"%d" % won.index(True)


def test_eight_exporters_of_one_picture_leave_one_of_everything(
    store: dict[str, str], client: Any, bucket: str
) -> None:
    data = b"the picture"
    record = record_of(data)

    def put(_: int) -> None:
        opened = open_target(f"s3://{bucket}/kb", {"endpoint": store["endpoint"]})
        opened.put(record, data)
        assert opened.capabilities.conditional_put is True

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(8)))
    assert len(keys(client, bucket)) == 3


@pytest.mark.parametrize("size", [100, MULTIPART_FROM + 5])
def test_bytes_damaged_on_the_way_are_refused(
    size: int, store: dict[str, str], client: Any, bucket: str
) -> None:
    data = bytes(index % 251 for index in range(size))
    record = record_of(data)

    def flip(body: bytes) -> bytes:
        return body[:50] + bytes([body[50] ^ 1]) + body[51:] if len(body) >= 100 else body

    with damaging_proxy(store["endpoint"], flip) as address:
        damaged = open_target(f"s3://{bucket}/kb", {"endpoint": address})
        with pytest.raises(TargetUnavailable) as caught:
            damaged.put(record, data)
    assert caught.value.retryable
    assert keys(client, bucket) == set()
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    with damaging_proxy(store["endpoint"], lambda body: body) as address:
        open_target(f"s3://{bucket}/kb", {"endpoint": address}).put(record, data)
    assert len(keys(client, bucket)) == 3


def test_a_large_picture_goes_in_parts_and_only_once(
    target: S3Target, client: Any, bucket: str
) -> None:
    data = bytes(index % 249 for index in range(MULTIPART_FROM + 1_000_003))
    record = record_of(data)
    target.put(record, data)
    (key,) = (key for key in keys(client, bucket) if key.endswith(".png"))
    found = client.get_object(Bucket=bucket, Key=key)
    assert found["Body"].read() == data
    assert found["ETag"].strip('"').endswith("-3")
    target.put(record_of(data, title="Newer words"), data)
    assert client.head_object(Bucket=bucket, Key=key)["LastModified"] == found["LastModified"]
    assert len(keys(client, bucket)) == 3


@contextmanager
def damaging_proxy(endpoint: str, change: Callable[[bytes], bytes]) -> Iterator[str]:
    """Stand before the store and `change` what is sent to it, under the sender's signature."""
    upstream = urlsplit(endpoint)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = change(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            if self.headers.get("Expect"):
                del self.headers["Expect"]
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port)
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            connection.close()

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = forward

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
