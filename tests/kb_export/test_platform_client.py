"""The HTTP client for platforms: what it sends, what it repeats, what it refuses to read."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from platform_cases import SCHEMES, Case, picture, running
from stubs.strict_platform import KEY, Fault

from kb_export.errors import TargetUnavailable
from kb_export.targets.connection import Connection
from kb_export.targets.http import ATTEMPTS, Answer, PlatformClient

LISTING = "/api/v1/files/search"


@pytest.fixture
def case() -> Iterator[Case]:
    with running("open-webui") as made:
        yield made


@pytest.fixture
def jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kb_export.targets.http.full_jitter", lambda attempt: float(attempt))


def ask(client: PlatformClient, **options: Any) -> Answer:
    return client.request(
        "GET", LISTING, params={"filename": "*"}, known=frozenset({404}), **options
    )


def test_a_question_is_repeated_with_growing_pauses_and_not_for_ever(
    case: Case, jitter: None
) -> None:
    case.stub.faults.append(Fault("GET", LISTING, status=500, times=2))
    assert ask(case.client()).status == 404
    assert case.clock.slept == [1.0, 2.0]
    case.stub.requests.clear()
    case.stub.faults.append(Fault("GET", LISTING, status=500, times=99))
    with pytest.raises(TargetUnavailable, match="500") as caught:
        ask(case.client())
    assert caught.value.retryable
    assert len(case.stub.requests) == ATTEMPTS


def test_what_is_not_safe_to_repeat_is_sent_once(case: Case) -> None:
    for status in (500, 502, 503, 504, 0):
        case.stub.faults[:] = [Fault("POST", "/files/$", status=status, times=9)]
        case.stub.requests.clear()
        with pytest.raises(TargetUnavailable):
            case.client().request(
                "POST", "/api/v1/files/", upload=("a.md", b"x", "text/markdown"), repeatable=False
            )
        assert len(case.stub.requests) == 1
    case.stub.faults[:] = [Fault("POST", "/files/$", status=429)]  # it was not carried out
    answer = case.client().request(
        "POST", "/api/v1/files/", upload=("a.md", b"x", "text/markdown"), repeatable=False
    )
    assert answer.status == 200


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("3", [3.0]),
        ("0", [0.0]),
        (format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True), [0.0]),
        ("Tue, 99 Foo 2026 00:00:00 GMT", [1.0]),
        ("-5", [1.0]),
        ("soon", [1.0]),
        ("9" * 30, [1.0]),
    ],
    ids=["seconds", "zero", "past", "no-date", "negative", "word", "endless"],
)
def test_retry_after_is_heeded_where_it_makes_sense(
    case: Case, jitter: None, asked: str, waited: list[float]
) -> None:
    case.stub.faults.append(Fault("GET", LISTING, status=429, headers={"Retry-After": asked}))
    assert ask(case.client()).status == 404
    assert case.clock.slept == waited


def test_nobody_waits_for_an_hour(case: Case) -> None:
    case.stub.faults.append(Fault("GET", LISTING, status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(TargetUnavailable) as caught:
        ask(case.client())
    assert caught.value.retryable
    assert case.clock.slept == []


@contextmanager
def trap() -> Iterator[tuple[str, list[str]]]:
    """Serve on another port, as another host would, and note who comes and with which key."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(str(self.headers.get("Authorization")))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_does_not_follow_a_redirect(case: Case, status: int) -> None:
    with trap() as (url, seen):
        case.stub.faults.append(
            Fault("GET", LISTING, status=status, headers={"Location": f"{url}/x"})
        )
        with pytest.raises(TargetUnavailable, match="redirect") as caught:
            ask(case.client())
    assert seen == []
    assert not caught.value.retryable
    assert "AGENT_TOOLS_KB_OPEN_WEBUI_URL" in str(caught.value)


def test_an_answer_that_is_too_large_is_not_read_to_its_end(case: Case) -> None:
    case.stub.faults.append(Fault("GET", LISTING, status=200, body=b" " * 100_001))
    with pytest.raises(TargetUnavailable, match="more than 100000 bytes") as caught:
        ask(case.client(max_answer_bytes=100_000))
    assert not caught.value.retryable


def test_an_answer_that_never_ends_is_given_up(case: Case) -> None:
    case.stub.faults.append(Fault("GET", LISTING, drip=True, times=99))
    with pytest.raises(TargetUnavailable, match="ReadTimeout") as caught:
        ask(case.client(timeout_s=0.05))
    assert caught.value.retryable
    assert len(case.stub.requests) == ATTEMPTS


@pytest.mark.parametrize(
    "body", [b"<html>login</html>", b"\xff\xfe", b"[" * 100_000, b"{", b"NaN!"]
)
def test_what_is_not_json_is_no_answer(case: Case, body: bytes) -> None:
    case.stub.faults.append(Fault("GET", LISTING, status=200, body=body))
    with pytest.raises(TargetUnavailable, match="not JSON") as caught:
        ask(case.client())
    assert not caught.value.retryable


def test_compressed_answers_are_refused_unread(case: Case) -> None:
    case.stub.faults.append(
        Fault("GET", LISTING, status=200, headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b")
    )
    with pytest.raises(TargetUnavailable, match="compressed"):
        ask(case.client())
    assert case.stub.encodings == {"identity"}  # none was asked for


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'"x"', b"{}", b'{"items": {}, "data": {}, "code": 0}', b"", b"7"]
)
def test_a_listing_of_another_shape_is_not_taken_for_an_empty_one(scheme: str, body: bytes) -> None:
    with running(scheme) as case:
        record, image = picture("red teapot")
        target = case.open()
        target.put(record, image)
        case.stub.faults.append(Fault("GET", "", status=200, body=body, times=99))
        for use in (target.list_ids, lambda: target.put(record, image)):
            with pytest.raises(TargetUnavailable, match=r"without a list|does not answer"):
                use()
        case.stub.faults.clear()
        assert target.list_ids() == {record.record_id}


def test_words_of_the_platform_are_cleaned_and_never_hold_the_key(case: Case) -> None:
    words = (
        b'{"detail": "<script>x</script> Ask \\u202eevil https://evil.example with ' + KEY.encode()
    ) + b'"}'
    case.stub.faults.append(Fault("GET", LISTING, status=418, body=words))
    with pytest.raises(TargetUnavailable) as caught:
        ask(case.client())
    said = str(caught.value)
    for bad in ("<", "\u202e", "evil.example", KEY):
        assert bad not in said
    assert "(key)" in said
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in repr(error) + str(error.args)
        error = error.__cause__


def test_a_platform_that_is_not_there_is_a_retryable_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    slept: list[float] = []
    client = PlatformClient(Connection("X", url, KEY, "X_URL", "X_KEY"), sleep=slept.append)
    with pytest.raises(TargetUnavailable, match="ConnectError") as caught:
        client.request("POST", "/", repeatable=False)  # it certainly was not carried out
    assert caught.value.retryable
    assert "X_URL" in str(caught.value)
    assert len(slept) == ATTEMPTS - 1


def test_proxies_of_the_environment_do_not_see_requests_to_this_machine(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    record, image = picture("red teapot")
    case.open().put(record, image)
    assert set(case.texts()) == {record.record_id}
