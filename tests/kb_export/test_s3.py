"""The S3 knowledge base, against moto's server over HTTP."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from kb_export.targets.s3 import S3Target


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)


@pytest.fixture
def knowledge(gallery: Gallery, s3_endpoint: str, bucket: str) -> Knowledge:
    settings = Settings(data=gallery.data_dir, kb=f"s3://{bucket}/shop/kb", s3_endpoint=s3_endpoint)
    return Knowledge(gallery, settings)


def objects(client: Any, bucket: str) -> dict[str, bytes]:
    listed = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {
        item["Key"]: client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        for item in listed
    }


def written_versions(client: Any, bucket: str) -> int:
    """Count every write and deletion the bucket ever saw."""
    answer = client.list_object_versions(Bucket=bucket)
    return len(answer.get("Versions", [])) + len(answer.get("DeleteMarkers", []))


def test_a_picture_its_document_and_its_sidecar_arrive(
    gallery: Gallery, knowledge: Knowledge, s3_client: Any, bucket: str
) -> None:
    record = add_pictures(gallery, "red teapot", metadata={"sku": "TP-1"})[0]
    report = knowledge.export()
    assert report.problem is None and report.put == (record.image_id,)
    found = objects(s3_client, bucket)
    shard = record.sha256[:2]
    image = f"shop/kb/images/{shard}/{record.sha256}.png"
    (document,) = (key for key in found if key.endswith(".md"))
    assert set(found) == {image, document, f"{document}.metadata.json"}
    assert found[image] == gallery.read_bytes(record.image_id)
    attributes = json.loads(found[f"{document}.metadata.json"])["metadataAttributes"]
    assert attributes["image_uri"] == f"s3://{bucket}/{image}"
    assert attributes["sku"] == "TP-1"
    head = s3_client.head_object(Bucket=bucket, Key=image, ChecksumMode="ENABLED")
    assert head["ContentType"] == "image/png"
    assert head["ChecksumSHA256"]
    assert head["Metadata"] == {}
    assert not [key for key, data in found.items() if b"X-Amz-" in data or b"Signature" in data]


def test_folder_and_bucket_hold_the_same_documents(
    gallery: Gallery, knowledge: Knowledge, s3_client: Any, bucket: str
) -> None:
    add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export()
    knowledge.export(target=f"folder:{gallery.data_dir / 'kb'}")
    for key, data in objects(s3_client, bucket).items():
        if not key.endswith(".metadata.json"):
            assert (gallery.data_dir / "kb" / key.removeprefix("shop/kb/")).read_bytes() == data


def test_exporting_twice_writes_no_object(
    gallery: Gallery, knowledge: Knowledge, s3_client: Any, bucket: str
) -> None:
    add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export()
    before = written_versions(s3_client, bucket)
    report = knowledge.export()
    assert (report.put, report.unchanged) == ((), 2)
    assert written_versions(s3_client, bucket) == before


def test_a_lost_outbox_puts_again_without_writing_again(
    gallery: Gallery, knowledge: Knowledge, s3_client: Any, bucket: str
) -> None:
    add_pictures(gallery, "red teapot")
    knowledge.export()
    before = objects(s3_client, bucket)
    with gallery.transaction() as connection:
        connection.execute("DELETE FROM kb_exported")
    image = next(key for key in before if key.endswith(".png"))
    changed = s3_client.head_object(Bucket=bucket, Key=image)["LastModified"]
    versions = len(s3_client.list_object_versions(Bucket=bucket, Prefix=image)["Versions"])
    assert len(knowledge.export().put) == 1
    assert objects(s3_client, bucket) == before
    assert s3_client.head_object(Bucket=bucket, Key=image)["LastModified"] == changed
    assert len(s3_client.list_object_versions(Bucket=bucket, Prefix=image)["Versions"]) == versions


def test_a_changed_caption_replaces_document_and_sidecar_and_leaves_the_picture(
    gallery: Gallery, knowledge: Knowledge, s3_client: Any, bucket: str
) -> None:
    record = add_pictures(gallery, "red teapot")[0]
    knowledge.export()
    rewrite(gallery, record.image_id, caption="Newer words.")
    assert knowledge.export().put == (record.image_id,)
    found = objects(s3_client, bucket)
    assert len(found) == 3
    assert any(b"Newer words" in data for data in found.values())
    assert not any(b"on a white background" in data for data in found.values())
    image = next(key for key in found if key.endswith(".png"))
    assert len(s3_client.list_object_versions(Bucket=bucket, Prefix=image)["Versions"]) == 1


def test_a_removed_picture_leaves_no_object(
    gallery: Gallery, knowledge: Knowledge, s3_client: Any, bucket: str
) -> None:
    first, _ = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export()
    assert knowledge.remove([first.image_id]).deleted == (first.image_id,)
    found = objects(s3_client, bucket)
    assert len(found) == 3
    assert not [key for key in found if first.sha256[:24] in key]


def test_a_damaged_object_is_replaced(
    gallery: Gallery, knowledge: Knowledge, s3_client: Any, bucket: str
) -> None:
    record = add_pictures(gallery, "red teapot")[0]
    key = f"shop/kb/images/{record.sha256[:2]}/{record.sha256}.png"
    s3_client.put_object(Bucket=bucket, Key=key, Body=b"something else")
    knowledge.export()
    assert objects(s3_client, bucket)[key] == gallery.read_bytes(record.image_id)


def test_strangers_objects_and_other_prefixes_are_left_alone(
    gallery: Gallery, knowledge: Knowledge, s3_client: Any, bucket: str
) -> None:
    record = add_pictures(gallery, "red teapot")[0]
    for key in ("other/file", "shop/kb-old/docs/x.md", "shop/kb/docs/notes.md"):
        s3_client.put_object(Bucket=bucket, Key=key, Body=b"mine")
    knowledge.export()
    knowledge.remove([record.image_id])
    assert set(objects(s3_client, bucket)) == {
        "other/file",
        "shop/kb-old/docs/x.md",
        "shop/kb/docs/notes.md",
    }


def test_the_bucket_itself_can_be_the_knowledge_base(
    gallery: Gallery, s3_client: Any, s3_endpoint: str, bucket: str
) -> None:
    add_pictures(gallery, "red teapot")
    settings = Settings(data=gallery.data_dir, kb=f"s3://{bucket}", s3_endpoint=s3_endpoint)
    Knowledge(gallery, settings).export()
    assert {key.split("/")[0] for key in objects(s3_client, bucket)} == {"docs", "images"}


def test_listing_follows_pages(
    gallery: Gallery,
    knowledge: Knowledge,
    s3_endpoint: str,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_pictures(gallery, *(f"teapot {n}" for n in range(7)))
    knowledge.export()
    target = open_target(f"s3://{bucket}/shop/kb", {"endpoint": s3_endpoint})
    assert isinstance(target, S3Target)
    pages = target._client.get_paginator

    def small_pages(operation: str) -> Any:
        paginator = pages(operation)
        whole = paginator.paginate

        def paginate(**arguments: Any) -> Any:
            return whole(**arguments, PaginationConfig={"PageSize": 3})

        monkeypatch.setattr(paginator, "paginate", paginate)
        return paginator

    monkeypatch.setattr(target._client, "get_paginator", small_pages)
    assert len(target.list_ids()) == 7


def test_a_missing_bucket_says_what_to_do_and_keeps_everything_queued(
    gallery: Gallery, s3_endpoint: str
) -> None:
    add_pictures(gallery, "red teapot")
    settings = Settings(data=gallery.data_dir, kb="s3://no-such-bucket", s3_endpoint=s3_endpoint)
    knowledge = Knowledge(gallery, settings)
    report = knowledge.export()
    assert report.problem is not None
    assert not report.problem.retryable
    assert "Create the bucket" in str(report.problem)
    assert report.pending == 1


def test_an_unreachable_store_loses_nothing_and_the_next_run_delivers(
    gallery: Gallery, s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kb_export.exporter.full_jitter", lambda outages: 60.0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    add_pictures(gallery, "red teapot")
    spec = f"s3://{bucket}"
    away = Knowledge(gallery, Settings(data=gallery.data_dir, kb=spec, s3_endpoint=dead))
    report = away.export()
    assert report.problem is not None and report.problem.retryable
    assert (report.put, report.failed, report.pending) == ((), (), 1)
    back = Knowledge(gallery, Settings(data=gallery.data_dir, kb=spec, s3_endpoint=s3_endpoint))
    assert len(back.export().put) == 1


@contextmanager
def store_with_faults(
    endpoint: str,
    *,
    drop_condition: bool = False,
    errors: int = 0,
    granted: list[int | None] | None = None,
    seen: list[str] | None = None,
) -> Any:
    """Stand before moto: drop `If-None-Match` as rclone and s3rver do, answer 503 at first, or
    refuse everything after so many `granted` requests, as if the exporter were killed there."""
    upstream = urlsplit(endpoint)
    left = [errors]
    allowed = granted or [None]
    requests = seen if seen is not None else []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if left[0] > 0:
                left[0] -= 1
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if allowed[0] is not None:
                if allowed[0] == 0:
                    self.send_response(403)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                allowed[0] -= 1
            requests.append(f"{self.command} {self.path}")
            headers = {
                name: value
                for name, value in self.headers.items()
                if not (drop_condition and name.lower() == "if-none-match")
            }
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length_header = answer.getheader("Content-Length") or str(len(data))
            self.send_header("Content-Length", length_header)
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


@pytest.fixture
def forgetful_store(s3_endpoint: str) -> Iterator[str]:
    with store_with_faults(s3_endpoint, drop_condition=True) as address:
        yield address


def test_a_store_that_ignores_conditions_is_found_out_and_still_served_once(
    gallery: Gallery, s3_client: Any, s3_endpoint: str, forgetful_store: str, bucket: str
) -> None:
    add_pictures(gallery, "red teapot")
    for endpoint, honored in ((forgetful_store, False), (s3_endpoint, True)):
        target = open_target(f"s3://{bucket}/{honored}", {"endpoint": endpoint})
        assert target.capabilities.conditional_put is None
        settings = Settings(
            data=gallery.data_dir, kb=f"s3://{bucket}/{honored}", s3_endpoint=endpoint
        )
        knowledge = Knowledge(gallery, settings)
        knowledge.export()
        assert knowledge._targets[settings.kb_target].capabilities.conditional_put is honored
        with gallery.transaction() as connection:
            connection.execute("DELETE FROM kb_exported")
        knowledge.export()
    pictures = [
        version
        for version in s3_client.list_object_versions(Bucket=bucket)["Versions"]
        if "probe" not in version["Key"]
    ]
    assert len(pictures) == 6
    assert not [key for key in objects(s3_client, bucket) if "probe" in key]


def test_answers_of_503_are_ridden_out(
    gallery: Gallery, s3_client: Any, s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kb_export.exporter.full_jitter", lambda outages: 0.0)
    add_pictures(gallery, "red teapot", "blue teapot")
    with store_with_faults(s3_endpoint, errors=5) as address:
        settings = Settings(data=gallery.data_dir, kb=f"s3://{bucket}", s3_endpoint=address)
        report = Knowledge(gallery, settings).export()
    assert (len(report.put), report.problem, report.failed) == (2, None, ())
    assert len(objects(s3_client, bucket)) == 6


def record_of(
    data: bytes = bytes(range(256)) * (7 * 4096), caption: str = "A picture."
) -> tuple[KBRecord, bytes]:
    sha256 = hashlib.sha256(data).hexdigest()
    record = KBRecord.make(
        image_id=f"img_{sha256[:24]}",
        sha256=sha256,
        media_type="image/png",
        width=16,
        height=12,
        title="A picture",
        caption=caption,
        alt="A picture.",
    )
    return record, data


def test_a_kill_at_any_request_hides_no_picture_and_the_next_run_ends_the_same(
    s3_client: Any, s3_endpoint: str, bucket: str
) -> None:
    older, data = record_of(data=b"a picture", caption="Older words.")
    newer, _ = record_of(data=b"a picture", caption="Newer words.")
    granted: list[int | None] = [None]
    there: list[int] = []
    with store_with_faults(s3_endpoint, granted=granted) as address:
        target = open_target(f"s3://{bucket}", {"endpoint": address})
        finished = False
        while not finished:
            granted[0] = None
            target.delete(older.sha256)
            target.put(older, data)
            granted[0] = len(there)
            with suppress(TargetUnavailable):
                target.put(newer, data)
                finished = True
            granted[0] = None
            there.append(len(target.list_ids()))
            target.put(newer, data)
            assert target.list_ids() == {newer.record_id}
            assert len(objects(s3_client, bucket)) == 3
    assert set(there) == {1, 2}  # there was a moment with both, never one with neither
    assert len(there) > 6


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 5 MiB, the smallest that S3 takes, from 6 MiB on."""
    monkeypatch.setattr("kb_export.targets.s3.MULTIPART_FROM", 6 * 1024 * 1024)
    monkeypatch.setattr("kb_export.targets.s3.PART_BYTES", 5 * 1024 * 1024)


def test_a_large_picture_goes_in_checked_parts_and_only_once(
    s3_client: Any, s3_endpoint: str, bucket: str, small_parts: None
) -> None:
    record, data = record_of()
    seen: list[str] = []
    with store_with_faults(s3_endpoint, seen=seen) as address:
        for _ in range(2):
            open_target(f"s3://{bucket}", {"endpoint": address}).put(record, data)
    assert sum("partNumber" in request for request in seen) == 2
    key = f"images/{record.sha256[:2]}/{record.sha256}.png"
    head = s3_client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert head["ETag"].strip('"').endswith("-2") and head["ContentType"] == "image/png"
    assert objects(s3_client, bucket)[key] == data


def test_a_broken_upload_leaves_no_part_behind(
    s3_client: Any,
    s3_endpoint: str,
    bucket: str,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, data = record_of()
    target = open_target(f"s3://{bucket}", {"endpoint": s3_endpoint})
    assert isinstance(target, S3Target)

    def breaks(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InternalError"}}, "CompleteMultipartUpload")

    with monkeypatch.context() as patch:
        patch.setattr(target._client, "complete_multipart_upload", breaks)
        with pytest.raises(TargetUnavailable, match="InternalError") as caught:
            target.put(record, data)
    assert caught.value.retryable
    assert not s3_client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert objects(s3_client, bucket) == {}
    target.put(record, data)
    assert len(objects(s3_client, bucket)) == 3


def test_a_link_that_shows_a_picture_is_made_when_asked_for_and_never_stored(
    s3_client: Any, s3_endpoint: str, bucket: str
) -> None:
    record, data = record_of()
    target = open_target(f"s3://{bucket}/kb", {"endpoint": s3_endpoint})
    assert isinstance(target, S3Target)
    target.put(record, data)
    url = target.read_url(record, seconds=60)
    assert "X-Amz-Expires=60" in url and "X-Amz-Signature=" in url
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read() == data
    for seconds in (0, -1, 604_801):
        with pytest.raises(ValueError, match="604800"):
            target.read_url(record, seconds)
    assert not [key for key, found in objects(s3_client, bucket).items() if b"X-Amz-" in found]
