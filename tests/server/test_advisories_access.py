"""Regression tests for advisories about who may come in, named after their ids."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest
from access_helpers import bearer, issuer_running, mcp_client
from small_tools import http_server, small_studio
from starlette.routing import Route

from agent_tools.settings import Settings
from server.app import build_app
from server.auth import OPEN_PAGES
from server.oauth import ResourceServer
from server.warm_up import WarmUp

pytestmark = pytest.mark.anyio


async def test_cve_2025_49596_loopback_is_no_password(tmp_path: Path) -> None:
    """With a token set, a process of this machine needs it, too: on every route there is."""
    studio = small_studio(Settings(data=tmp_path, token="a-token-of-enough-characters"))
    app = build_app(studio, WarmUp(studio))
    paths = [route.path for route in app.routes if isinstance(route, Route)]
    assert {"/mcp", "/images", "/metrics"} <= set(paths)
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:
        for path in paths:
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
                concrete = re.sub(r"\{[^}]*\}", "1", path)
                answer = await http.request(method, concrete)
                # Health, the login form with its style, and addresses that carry a signature.
                is_open = path in ("/healthz", "/readyz") or OPEN_PAGES.fullmatch(concrete)
                shut = answer.status_code == 401 or "/login" in answer.headers.get("Location", "")
                assert is_open or shut, (method, path, answer.status_code)
                assert not path.startswith("/i/") or answer.status_code in (404, 405)


@pytest.mark.parametrize(
    "jwks_uri",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/keys",
        "http://metadata.google.internal/",
        "$(touch /tmp/owned)",
        "a:$(touch /tmp/owned)?response_type=code",
        "calc.exe",
        None,
        {"a": 1},
    ],
)
async def test_cve_2025_6514_cve_2026_51994_addresses_of_a_peer_are_data(
    jwks_uri: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an identity provider's metadata names is neither run nor opened where it points."""
    async with issuer_running() as issuer:
        opened: list[tuple[str, int]] = []
        from server import fetch as fetching

        real = fetching.connect_to

        async def note(address: str, port: int, tls_name: str | None) -> fetching.Stream:
            opened.append((address, port))
            return await real(address, port, tls_name)

        monkeypatch.setattr(fetching, "connect_to", note)
        monkeypatch.setattr(type(issuer), "jwks", lambda self: {"keys": [], "jwks_uri": jwks_uri})
        checker = ResourceServer(issuer.url, "us", None)
        ring = checker._keys
        good = ring._discover

        async def discover() -> str:
            await good()
            return str(jwks_uri)

        monkeypatch.setattr(ring, "_discover", discover)
        assert await checker.check(issuer.token(aud="us")) is None
        assert {port for _, port in opened} == {int(issuer.url.rpartition(":")[2])}
        assert not Path("/tmp/owned").exists()


async def test_a_stolen_id_opens_nothing(tmp_path: Path) -> None:
    """MCP's security page: a handle that we invent is a session, so it is bound to its caller."""
    from server.tokens import TokenStore

    store = TokenStore(tmp_path)
    mine, theirs = (store.create(name, ["read", "generate"]) for name in ("mine", "theirs"))
    studio = small_studio(Settings(data=tmp_path))
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:
        async with mcp_client(url, mine) as client:
            made = await client.call_tool("paint_square", {"color": "red"})
        image_id = made.structured_content["image"]["image_id"]
        assert (await http.get(f"/images/{image_id}", headers=bearer(mine))).status_code == 200
        stolen = await http.get(f"/images/{image_id}", headers=bearer(theirs))
        unknown = await http.get("/images/img_" + "0" * 32, headers=bearer(theirs))
        # Not even whether it exists is told.
        assert stolen.status_code == unknown.status_code == 404
        assert stolen.json()["error"]["code"] == unknown.json()["error"]["code"]
