"""Tokens with scopes: made, listed, revoked, and what each of them opens."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from access_helpers import MCP_HEADERS, bearer, mcp_client
from small_tools import http_server, small_studio
from test_http import HELLO, png

from agent_tools.callers import SCOPES, acting_as
from agent_tools.errors import BadSettings, InvalidArguments, NotFound
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.app import serve_http
from server.auth import AccessPolicy
from server.cli import run
from server.tokens import TokenStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return small_studio(Settings(data=tmp_path))


@pytest.fixture
async def http(studio: Studio, store: TokenStore) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a server where a token was made."""
    store.create("first", ["read"])
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as client:
        yield client


def test_a_token_is_long_random_and_nowhere_on_the_disk(store: TokenStore, tmp_path: Path) -> None:
    tokens = {store.create(f"bot-{number}", ["read"]) for number in range(5)}
    assert len(tokens) == 5
    assert all(len(token) >= 4 + 43 for token in tokens)  # 256 bits in base64
    store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(token.encode() in kept or token[4:].encode() in kept for token in tokens)
    assert (tmp_path / "tokens.sqlite3").stat().st_mode & 0o077 == 0


def test_a_token_is_found_until_it_ends_or_is_revoked(
    store: TokenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = store.create("bot", ["read", "export"], expires_in_s=60)
    found = store.find(token)
    assert found is not None and (found.name, found.scopes) == ("bot", {"read", "export"})
    for wrong in ("", "agt_", token[:-1], token + "x", token.upper(), f"x{token}", "agt_\ud800"):
        assert store.find(wrong) is None
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now + 61)
        assert store.find(token) is None
    other_process = TokenStore(tmp_path)
    other_process.revoke("bot")
    assert store.find(token) is None
    with pytest.raises(InvalidArguments, match="There is or was"):
        store.create("bot", ["read"])
    with pytest.raises(NotFound):
        store.revoke("nobody")


@pytest.mark.parametrize(
    ("name", "scopes", "expires"),
    [
        ("", ["read"], None),
        ("a b", ["read"], None),
        ("shop@issuer", ["read"], None),
        ("../x", ["read"], None),
        ("a" * 65, ["read"], None),
        ("bot", [], None),
        ("bot", ["root"], None),
        ("bot", ["read"], -5),
        ("bot", ["read"], 0),
    ],
)
def test_a_malformed_token_is_not_made(
    name: str, scopes: list[str], expires: float | None, store: TokenStore, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArguments):
        store.create(name, scopes, expires)  # type: ignore[arg-type]
    assert not store.any_made()


def test_the_command_line_makes_lists_and_revokes_tokens(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def agent_tools(*words: str) -> tuple[int, dict[str, object]]:
        code = run(["--data", str(tmp_path), "token", *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    code, made = agent_tools("create", "bot", "--scope", "read", "--scope", "generate")
    assert code == 0 and str(made["token"]).startswith("agt_")
    code, listed = agent_tools("list")
    assert str(made["token"]) not in json.dumps(listed)
    assert listed["tokens"][0]["state"] == "valid"  # type: ignore[index]
    assert agent_tools("create", "bot", "--scope", "read")[0] == 2
    assert agent_tools("create", "x", "--scope", "read", "--expires", "soon")[0] == 2
    assert agent_tools("create", "y", "--scope", "read", "--expires", "90d")[0] == 0
    assert agent_tools("revoke", "bot")[0] == 0
    assert agent_tools("revoke", "nobody")[0] == 3
    _, listed = agent_tools("list")
    assert [row["state"] for row in listed["tokens"]] == ["revoked", "valid"]  # type: ignore[attr-defined]


def test_a_token_is_enough_to_listen_for_others_and_closes_loopback_too(
    store: TokenStore, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path)
    with pytest.raises(BadSettings):
        serve_http(settings, "0.0.0.0", 0)
    assert not AccessPolicy.for_bind(settings, "127.0.0.1").required
    store.create("bot", ["read"])
    assert AccessPolicy.for_bind(settings, "0.0.0.0").required
    store.revoke("bot")  # the last one gone opens nothing
    assert AccessPolicy.for_bind(settings, "127.0.0.1").required


async def test_a_running_server_closes_with_the_first_token_and_forgets_revoked_ones(
    studio: Studio, store: TokenStore
) -> None:
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:
        assert (await http.get("/metrics")).status_code == 200
        token = store.create("bot", ["read"])
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/metrics", headers=bearer(token))).status_code == 200
        store.revoke("bot")
        assert (await http.get("/metrics", headers=bearer(token))).status_code == 401


@pytest.mark.parametrize("scope", SCOPES)
async def test_each_route_asks_for_its_scope(
    scope: str, http: httpx2.AsyncClient, store: TokenStore
) -> None:
    token = store.create("bot", [scope])  # type: ignore[list-item]
    mine = bearer(token)
    may = {
        "read": {"read"},
        "generate": {"generate"},
        "export": set(),
        "admin": {"read", "generate"},
    }
    routes = {
        "read": [("GET", "/metrics"), ("GET", "/images/img_0"), ("GET", "/kb/x/")],
        "generate": [("POST", "/images"), ("POST", "/v1/images/generations"), ("DELETE", "/x")],
    }
    for needed, paths in routes.items():
        for method, path in paths:
            answer = await http.request(method, path, headers=mine)
            allowed = needed in may[scope]
            assert (answer.status_code != 403) == allowed, (method, path)
            if not allowed:
                assert answer.json()["error"]["code"] == "insufficient_scope"
                assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_each_tool_asks_for_its_scope_and_says_which(
    mode: str, http: httpx2.AsyncClient, store: TokenStore
) -> None:
    reader = store.create("reader", ["read"])
    painter = store.create("painter", ["generate"])
    url = str(http.base_url).rstrip("/")
    async with mcp_client(url, reader, mode) as client:
        refused = await client.call_tool("paint_square", {"color": "red"})
        assert refused.is_error and "'generate'" in refused.content[0].text
        assert refused.meta["agent-tools/error"]["data"]["scope"] == "generate"
        assert (await client.list_tools()).tools
    async with mcp_client(url, painter, mode) as client:
        made = await client.call_tool("paint_square", {"color": "red"})
        assert not made.is_error
        image_id = made.structured_content["image"]["image_id"]
        with pytest.raises(Exception, match="read"):
            await client.read_resource(f"image://{image_id}")
        assert (await client.list_resources()).resources == []


def test_tools_that_read_need_read_export_needs_export_and_the_rest_generate(
    tmp_path: Path,
) -> None:
    from agent_tools.tools import all_tools

    needed = {tool.name: tool.scope for tool in all_tools()}
    assert needed["get_image"] == needed["search_kb"] == "read"
    assert needed["export_to_kb"] == "export"
    assert needed["generate_image"] == needed["edit_image"] == "generate"
    assert set(needed.values()) == {"read", "export", "generate"}


async def test_an_mcp_session_belongs_to_the_token_that_opened_it(
    http: httpx2.AsyncClient, store: TokenStore
) -> None:
    mine, other = (bearer(store.create(name, ["generate"])) for name in ("a", "b"))
    opened = await http.post("/mcp", json=HELLO, headers=mine | MCP_HEADERS)
    session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
    ask = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
    stolen = await http.post("/mcp", json=ask, headers=other | session | MCP_HEADERS)
    assert stolen.status_code == 404
    kept = await http.post("/mcp", json=ask, headers=mine | session | MCP_HEADERS)
    assert kept.status_code == 200


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_what_one_caller_makes_is_nothing_to_another_and_all_to_an_admin(
    mode: str, http: httpx2.AsyncClient, store: TokenStore, studio: Studio
) -> None:
    names = ("ann", "ben")
    ann, ben = (bearer(store.create(name, ["read", "generate"])) for name in names)
    admin = bearer(store.create("ops", ["admin"]))
    url = str(http.base_url).rstrip("/")
    token = ann["Authorization"].removeprefix("Bearer ")
    async with mcp_client(url, token, mode) as client:
        made = await client.call_tool("paint_square", {"color": "red"})
        image_id = made.structured_content["image"]["image_id"]
        read = await client.read_resource(f"image://{image_id}")
        assert read.contents
    sent = await http.post("/images", content=png(), headers=ann | {"Content-Type": "image/png"})
    for shown in (image_id, sent.json()["image_id"]):
        assert len(shown) == 4 + 32
        for headers, status in ((ann, 200), (ben, 404), (admin, 200)):
            assert (await http.get(f"/images/{shown}", headers=headers)).status_code == status
    async with mcp_client(url, ben["Authorization"].removeprefix("Bearer "), mode) as client:
        with pytest.raises(Exception, match="no image"):
            await client.read_resource(f"image://{image_id}")
        assert (await client.list_resources()).resources == []
    # The same file from another caller is another picture to the gallery, kept once on the disk.
    again = await http.post("/images", content=png(), headers=ben | {"Content-Type": "image/png"})
    assert again.json()["image_id"] != sent.json()["image_id"]
    with acting_as("ben"):
        [record] = studio.gallery.list()
    assert record.path == studio.gallery.get(sent.json()["image_id"]).path
