"""The HTTP server: who may call, uploads behind limits, pictures, health."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from PIL import Image
from small_tools import http_server, small_studio

from agent_tools.errors import BadSettings
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from engine.stats import Health
from server.app import build_app, serve_http
from server.auth import AccessPolicy
from server.warm_up import WarmUp

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-enough-characters"
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
MCP_HEADERS = {"Accept": "application/json, text/event-stream"}


def png(side: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (20, 90, 160)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return small_studio(Settings(data=tmp_path / "data", max_upload_mb=0.5))


@pytest.fixture
async def http(studio: Studio) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a server without a token."""
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as client:
        yield client


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A client, without credentials, of a server with a token."""
    studio = small_studio(Settings(data=tmp_path / "guarded", token=TOKEN))
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as client:
        yield client


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong-token-of-enough-characters",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
    ],
)
async def test_without_the_right_token_every_route_but_health_says_401(
    authorization: str | None, guarded: httpx2.AsyncClient
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answers = [
        await guarded.post("/mcp", json=HELLO, headers=headers | MCP_HEADERS),
        await guarded.get("/mcp", headers=headers | MCP_HEADERS),
        await guarded.post(
            "/images", content=png(), headers=headers | {"Content-Type": "image/png"}
        ),
        await guarded.get("/images/img_000000000000000000000000", headers=headers),
        await guarded.get("/nothing", headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert answers[0].headers["WWW-Authenticate"].startswith("Bearer")
    assert (await guarded.get("/healthz")).status_code == 200


async def test_the_right_token_opens_the_server_in_both_eras(guarded: httpx2.AsyncClient) -> None:
    for mode in ("auto", "legacy"):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(headers=headers) as authorized:
            transport = streamable_http_client(
                f"{guarded.base_url}/mcp".replace("//mcp", "/mcp"), http_client=authorized
            )
            async with Client(transport, mode=mode) as client:
                assert (await client.list_tools()).tools


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.5",
        "a@127.0.0.1",
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/images", "/images/x", "/healthz"])
async def test_a_foreign_host_is_refused_on_every_route(
    host: str, path: str, http: httpx2.AsyncClient
) -> None:
    answer = await http.get(path, headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["error"]["code"] == "foreign_host"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
    ],
)
async def test_a_foreign_origin_is_refused_also_for_uploads(
    origin: str, http: httpx2.AsyncClient, studio: Studio
) -> None:
    headers = {"Origin": origin, "Content-Type": "image/png"}
    assert (await http.post("/images", content=png(), headers=headers)).status_code == 403
    assert (await http.post("/mcp", json=HELLO, headers=headers)).status_code == 403
    assert studio.gallery.list() == []


async def test_a_page_of_this_machine_and_of_the_public_url_may_call(
    http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    for origin in ("http://localhost:6274", "http://127.0.0.1"):
        assert (await http.get("/healthz", headers={"Origin": origin})).status_code == 200
    policy = AccessPolicy.for_bind(
        Settings(data=tmp_path, token=TOKEN, public_url="https://pictures.example"), "0.0.0.0"
    )
    seen = {"host": "pictures.example", "origin": "https://pictures.example"}
    assert policy.check_address(seen) is None
    assert policy.check_address(seen | {"host": "10.1.2.3:8000"}) is None
    refusal = policy.check_address(seen | {"origin": "https://pictures.example.evil"})
    assert refusal is not None and refusal.status == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "pictures.example", ""])
def test_a_server_that_others_could_reach_refuses_to_start_without_a_token(
    host: str, tmp_path: Path
) -> None:
    with pytest.raises(BadSettings, match="token"):
        serve_http(Settings(data=tmp_path / "data"), host, 0)
    assert not (tmp_path / "data").exists()
    with pytest.raises(BadSettings, match="shorter"):
        serve_http(Settings(data=tmp_path / "data", token="short"), host, 0)
    with pytest.raises(BadSettings, match="ASCII"):
        serve_http(Settings(data=tmp_path / "data", token="ü" * 40), host, 0)
    studio = small_studio(Settings(data=tmp_path / "data"))
    with pytest.raises(BadSettings, match="token"):
        build_app(studio, WarmUp(studio), host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_loopback_needs_no_token(host: str, tmp_path: Path) -> None:
    assert not AccessPolicy.for_bind(Settings(data=tmp_path), host).required


async def test_an_uploaded_picture_gets_an_id_and_can_be_fetched(http: httpx2.AsyncClient) -> None:
    sent = await http.post(
        "/images?title=A%20mug", content=png(), headers={"Content-Type": "image/png"}
    )
    assert sent.status_code == 201
    body = sent.json()
    assert (body["kind"], body["width"], body["height"]) == ("upload", 40, 40)
    shown = await http.get(sent.headers["Location"])
    assert shown.status_code == 200
    assert Image.open(io.BytesIO(shown.content)).getpixel((0, 0)) == (20, 90, 160)
    assert shown.headers["Content-Type"] == "image/png"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in shown.headers["Content-Security-Policy"]


async def test_a_mask_can_be_sent_as_a_form(http: httpx2.AsyncClient, studio: Studio) -> None:
    sent = await http.post(
        "/images",
        files={"file": ("../../etc/passwd.png", png(), "image/png")},
        data={"kind": "mask", "title": "the handle"},
    )
    assert sent.status_code == 201
    record = studio.gallery.get(sent.json()["image_id"])
    assert (record.kind, record.title) == ("mask", "the handle")


async def test_too_large_an_upload_says_413_and_the_server_goes_on(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    large = b"\x89PNG" + b"\0" * 700_000

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 50_000):
            yield large[start : start + 50_000]

    headers = {"Content-Type": "image/png"}
    assert (await http.post("/images", content=large, headers=headers)).status_code == 413
    assert (await http.post("/images", content=chunks(), headers=headers)).status_code == 413
    assert (await http.post("/images", files={"file": ("a", large)})).status_code == 413
    assert (
        await http.post("/mcp", content=b" " * 5_000_000, headers=MCP_HEADERS)
    ).status_code == 413
    assert studio.gallery.list() == []
    assert (await http.post("/images", content=png(), headers=headers)).status_code == 201


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"not a picture", "image/png", 400),
        (png()[:60], "image/png", 400),
        (b"", "image/png", 400),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 415),
        (b"<html></html>", "text/html", 415),
        (b"x", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=y", 400),
        (
            b"--y\r\nContent-Disposition: form-data; name=kind\r\n\r\nmask\r\n--y--\r\n",
            "multipart/form-data; boundary=y",
            400,
        ),
        (
            b"--y\r\nContent-Disposition: form-data; name=file\r\n\r\nabc\r\n--y--\r\n",
            "multipart/form-data; boundary=y",
            400,
        ),
        (b"--y\r\n" * 5000, "multipart/form-data; boundary=y", 400),
    ],
)
async def test_what_is_no_picture_is_refused_with_a_hint(
    content: bytes, content_type: str, status: int, http: httpx2.AsyncClient, studio: Studio
) -> None:
    headers = {"Content-Type": content_type}
    answer = await http.post("/images", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]["hint"]
    assert studio.gallery.list() == []


async def test_an_unknown_kind_is_refused(http: httpx2.AsyncClient, studio: Studio) -> None:
    headers = {"Content-Type": "image/png"}
    answer = await http.post("/images?kind=persona", content=png(), headers=headers)
    assert answer.status_code == 400
    assert studio.gallery.list() == []


async def test_a_decompression_bomb_is_refused_from_its_header(
    http: httpx2.AsyncClient,
) -> None:
    buffer = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(buffer, "PNG")
    answer = await http.post(
        "/images", content=buffer.getvalue(), headers={"Content-Type": "image/png"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_picture"


@pytest.mark.parametrize(
    "path",
    [
        "/images/..%2f..%2fgallery.sqlite3",
        "/images/%00",
        "/images/nothing",
        "/images/" + "a" * 9000,
    ],
)
async def test_only_known_ids_are_shown(path: str, http: httpx2.AsyncClient) -> None:
    answer = await http.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"jsonrpc": "2.0"}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        json.dumps({**HELLO, "method": "x" * 100_000}).encode(),
        json.dumps({**HELLO, "params": []}).encode(),
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\ud800","arguments":{}}}',
    ],
)
async def test_a_malformed_message_is_the_callers_fault_and_the_server_goes_on(
    body: bytes, http: httpx2.AsyncClient
) -> None:
    headers = MCP_HEADERS | {"Content-Type": "application/json"}
    answer = await http.post("/mcp", content=body, headers=headers)
    assert 200 <= answer.status_code < 500
    assert "Traceback" not in answer.text
    assert (await http.get("/healthz")).json()["status"] == "ok"


async def test_ready_means_that_the_model_is_loaded_and_makes_progress(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm_up = WarmUp(studio)
    app = build_app(studio, warm_up)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        waiting = await client.get("/readyz")
        assert (waiting.status_code, waiting.json()["status"]) == (503, "waiting")
        warm_up.start()
        while warm_up.state == "loading":
            await asyncio.sleep(0)
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        with monkeypatch.context() as patch:
            patch.setattr(studio.engine, "health", lambda: Health(False, "It is stuck."))
            stuck = await client.get("/readyz")
            assert (stuck.status_code, stuck.json()["reason"]) == (503, "It is stuck.")
        await warm_up.stop()
        assert (await client.get("/readyz")).status_code == 503


async def test_a_request_keeps_its_id_if_it_is_plain_and_gets_another_otherwise(
    http: httpx2.AsyncClient,
) -> None:
    plain = await http.get("/healthz", headers={"X-Request-Id": "abc-1"})
    assert plain.headers["X-Request-Id"] == "abc-1"
    odd = await http.get("/healthz", headers={"X-Request-Id": 'a"b c\x1b'})
    assert odd.headers["X-Request-Id"].isalnum()


async def test_a_tool_call_is_logged_under_the_http_requests_id(
    log_stream: io.StringIO, http: httpx2.AsyncClient
) -> None:
    for mode in ("auto", "legacy"):
        async with httpx2.AsyncClient(headers={"X-Request-Id": f"{mode}-1"}) as named:
            address = f"{http.base_url}".rstrip("/") + "/mcp"
            transport = streamable_http_client(address, http_client=named)
            async with Client(transport, mode=mode) as client:
                await client.call_tool("paint_square", {"color": "red"})
    lines = [json.loads(line) for line in log_stream.getvalue().splitlines()]
    calls = [line["request_id"] for line in lines if line["message"] == "tool call"]
    assert calls == ["auto-1", "legacy-1"]


async def test_an_upload_that_breaks_off_is_no_fault_of_the_server(
    log_stream: io.StringIO, http: httpx2.AsyncClient, studio: Studio
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
    writer.write(
        b"POST /images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
        b"X-Request-Id: broken-off\r\nContent-Length: 1000\r\n\r\nabc"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    while "broken-off" not in log_stream.getvalue():
        await asyncio.sleep(0.01)
    assert "unexpectedly" not in log_stream.getvalue()
    assert studio.gallery.list() == []
    assert (await http.get("/healthz")).status_code == 200
