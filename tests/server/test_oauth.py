"""Access tokens of an identity provider: taken only if everything about them is right."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import jwt
import pytest
from access_helpers import (
    MCP_HEADERS,
    Issuer,
    bearer,
    issuer_running,
    mcp_client,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from small_tools import http_server, small_studio
from test_http import HELLO

from agent_tools.errors import BadSettings
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.auth import AccessPolicy
from server.oauth import METADATA_PATH, ResourceServer

pytestmark = pytest.mark.anyio

AUDIENCE = "https://pictures.example/mcp"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuer_running() as found:
        yield found


@pytest.fixture
def checker(issuer: Issuer) -> ResourceServer:
    return ResourceServer(issuer.url, AUDIENCE)


def studio_for(issuer: Issuer, folder: Path) -> Studio:
    return small_studio(
        Settings(data=folder, oauth_issuer=issuer.url, public_url="https://pictures.example")
    )


async def test_a_right_token_names_its_caller_and_what_it_may_do(
    issuer: Issuer, checker: ResourceServer
) -> None:
    found = await checker.check(issuer.token())
    assert found is not None
    assert found.caller == f"shop@{issuer.url}"
    assert found.scopes == {"read", "generate"}
    by_curve = issuer.token(key=issuer.ec, algorithm="ES256", head={"kid": "ec-1"})
    assert await checker.check(by_curve) is not None
    several = await checker.check(issuer.token(aud=["other", AUDIENCE], scope="", scp=["read"]))
    assert several is not None and several.scopes == {"read"}
    strange = await checker.check(issuer.token(scope="root sudo read:all"))
    assert strange is not None and strange.scopes == set()


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example/mcp"},
        {"aud": "https://pictures.example"},
        {"aud": AUDIENCE + "/"},
        {"aud": []},
        {"aud": None},
        {"without": "aud"},
        {"without": "exp"},
        {"without": "iss"},
        {"without": "sub"},
        {"iss": "https://evil.example"},
        {"iss": ""},
        {"exp": 1},
        {"exp": int(time.time()) - 120},
        {"exp": "soon"},
        {"nbf": int(time.time()) + 3600},
        {"iat": int(time.time()) + 3600},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a" * 300},
    ],
    ids=lambda claims: (
        "-".join(f"{k}={str(v)[:9]}" for k, v in claims.items())
        if not {"exp", "nbf", "iat"} & claims.keys()
        else "-".join(claims)
    ),
)
async def test_a_token_that_is_not_for_us_now_is_refused(
    claims: dict[str, object], issuer: Issuer, checker: ResourceServer
) -> None:
    assert await checker.check(issuer.token(**claims)) is None  # type: ignore[arg-type]
    assert await checker.check(issuer.token()) is not None


async def test_a_signature_that_is_not_the_issuers_is_refused(
    issuer: Issuer, checker: ResourceServer
) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = issuer.rsa.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    good = issuer.token()
    head, body, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"rsa-1"}').rstrip(b"=").decode()
    # Signed with the public key as if it were a shared secret; PyJWT itself would not make it.
    import hashlib
    import hmac

    shared = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa-1"}').rstrip(b"=").decode()
    mac = hmac.new(public, f"{shared}.{body}".encode(), hashlib.sha256).digest()
    forged = [
        issuer.token(key=stranger),
        issuer.token(key=stranger, head={"kid": "unknown"}),
        issuer.token(
            key=stranger,
            head={"jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key()))},
        ),
        issuer.token(key=stranger, head={"jku": "https://evil.example/keys"}),
        issuer.token(key=issuer.ec, algorithm="ES256"),  # another of its keys than it says
        jwt.encode(jwt.decode(good, options={"verify_signature": False}), "x" * 40, "HS256"),
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{shared}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}",
        "..",
        "a.b.c",
        "é.é.é",
        "a." + "b" * 30_000 + ".c",
    ]
    for token in forged:
        assert await checker.check(token) is None, token[:60]
    # Keys and issuers that a token names itself are never asked.
    assert set(issuer.asked) <= {"/.well-known/openid-configuration", "/keys"}


async def test_keys_are_kept_replaced_when_they_change_and_kept_when_the_issuer_is_away(
    issuer: Issuer, checker: ResourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        assert await checker.check(issuer.token()) is not None
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    for number in range(20):  # strangers' tokens do not make us ask again and again
        await checker.check(issuer.token(head={"kid": f"new-{number}"}))
    assert len(issuer.asked) == 2
    monkeypatch.setattr("server.oauth._AGAIN_S", 0.0)
    fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    issuer.keys["rsa-2"] = fresh
    assert await checker.check(issuer.token(key=fresh, head={"kid": "rsa-2"})) is not None
    issuer.away = True
    monkeypatch.setattr("server.oauth._FRESH_S", 0.0)
    assert await checker.check(issuer.token()) is not None
    issuer.away = False
    del issuer.keys["rsa-1"]
    assert await checker.check(issuer.token()) is None  # withdrawn


async def test_metadata_that_names_another_issuer_is_not_believed(
    issuer: Issuer, checker: ResourceServer
) -> None:
    issuer.says_issuer = "https://evil.example"
    assert await checker.check(issuer.token()) is None


async def test_without_a_good_token_the_server_says_where_to_get_one(
    issuer: Issuer, tmp_path: Path
) -> None:
    async with (
        http_server(studio_for(issuer, tmp_path)) as url,
        httpx2.AsyncClient(base_url=url) as http,
    ):
        for headers in ({}, bearer(issuer.token(aud="https://other.example"))):
            answer = await http.post("/mcp", json=HELLO, headers=headers | MCP_HEADERS)
            assert answer.status_code == 401
            challenge = answer.headers["WWW-Authenticate"]
            assert f'resource_metadata="https://pictures.example{METADATA_PATH}/mcp"' in challenge
            assert ("invalid_token" in challenge) == bool(headers)
        for path in (METADATA_PATH, f"{METADATA_PATH}/mcp"):
            found = (await http.get(path)).json()
            assert found["resource"] == AUDIENCE
            assert found["authorization_servers"] == [issuer.url]
            assert "header" in found["bearer_methods_supported"]


async def test_a_good_token_opens_what_its_scopes_say_and_goes_nowhere_else(
    issuer: Issuer, tmp_path: Path
) -> None:
    studio = studio_for(issuer, tmp_path)
    token = issuer.token()
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:
        for mode in ("auto", "legacy"):
            async with mcp_client(url, token, mode) as client:
                made = await client.call_tool("paint_square", {"color": "red"})
                assert not made.is_error
        only_read = issuer.token(scope="read")
        refused = await http.post("/images", content=b"x", headers=bearer(only_read))
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
        assert 'scope="generate"' in refused.headers["WWW-Authenticate"]
        assert (await http.get("/metrics", headers=bearer(only_read))).status_code == 200
        assert {record.caller for record in studio.gallery.list()} == {f"shop@{issuer.url}"}
    assert not any("authorization" in head.lower() for head in issuer.heads)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"oauth_issuer": "https://id.example"}, "oauth_audience"),
        ({"oauth_issuer": "http://id.example", "oauth_audience": "a"}, "https"),
        ({"oauth_issuer": "id.example", "oauth_audience": "a"}, "https"),
        (
            {
                "oauth_issuer": "https://id.example",
                "oauth_audience": "a",
                "oauth_jwks": "http://10.0.0.1/keys",
            },
            "oauth_jwks",
        ),
        ({"oauth_audience": "a"}, "oauth_issuer"),
    ],
)
def test_half_a_setting_is_an_error(given: dict[str, str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings) as caught:
        ResourceServer.of(Settings(data=tmp_path, **given))
    assert problem in f"{caught.value} {caught.value.data}"


def test_an_identity_provider_is_enough_to_listen_for_others(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, oauth_issuer="https://id.example", oauth_audience="pics")
    assert AccessPolicy.for_bind(settings, "0.0.0.0").required
