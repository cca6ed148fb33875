"""Servers with tokens of several scopes, clients that carry them, and a real identity provider."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

MCP_HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def mcp_client(url: str, token: str, mode: str = "auto") -> AsyncIterator[Client]:
    """Connect a real MCP client that carries a token."""
    async with httpx2.AsyncClient(headers=bearer(token)) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


class Issuer:
    """An identity provider on loopback: metadata, keys, and tokens that say what a test wants."""

    def __init__(self) -> None:
        self.url = ""
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.keys: dict[str, Any] = {"rsa-1": self.rsa, "ec-1": self.ec}
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.away = False
        self.says_issuer: str | None = None

    def jwks(self) -> dict[str, Any]:
        """Return the public keys."""
        found = []
        for key_id, key in self.keys.items():
            algorithm = (
                jwt.algorithms.RSAAlgorithm
                if isinstance(key, rsa.RSAPrivateKey)
                else jwt.algorithms.ECAlgorithm
            )
            public = json.loads(algorithm.to_jwk(key.public_key()))
            found.append({**public, "kid": key_id, "use": "sig"})
        return {"keys": found}

    def token(
        self,
        *,
        key: Any = None,
        algorithm: str = "RS256",
        head: dict[str, Any] | None = None,
        without: str = "",
        **claims: Any,
    ) -> str:
        """Return a signed token; right in everything that `claims` and `head` do not change."""
        now = int(time.time())
        said = {
            "iss": self.url,
            "sub": "shop",
            "aud": "https://pictures.example/mcp",
            "exp": now + 600,
            "iat": now,
            "scope": "read generate",
            **claims,
        }
        said.pop(without, None)
        return jwt.encode(
            said, key or self.rsa, algorithm=algorithm, headers={"kid": "rsa-1", **(head or {})}
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        self.asked.append(path)
        self.heads.append(head)
        if self.away:
            writer.close()
            return
        answer = {
            "/.well-known/openid-configuration": {
                "issuer": self.says_issuer or self.url,
                "jwks_uri": f"{self.url}/keys",
            },
            "/keys": self.jwks(),
        }[path]
        body = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def issuer_running() -> AsyncIterator[Issuer]:
    """Run an identity provider on a free port of loopback."""
    issuer = Issuer()
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield issuer
    finally:
        server.close()
