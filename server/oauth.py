"""OAuth resource server: access tokens of an identity provider, checked here, never passed on.

RFC 9728 (metadata), RFC 6750 (bearer), RFC 7519 and RFC 8725 (JWT), RFC 8707 (audience). A token
must be signed by the configured issuer, be in its time, and name this server as its audience.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt

from agent_tools.callers import SCOPES
from agent_tools.errors import AgentToolsError, BadSettings
from agent_tools.settings import Settings
from server.fetch import FetchLimits, fetch

logger = logging.getLogger(__name__)

METADATA_PATH = "/.well-known/oauth-protected-resource"
# Signatures with a public key only: a shared secret or none at all would let anybody sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
LEEWAY_S = 30
_FRESH_S = 600.0  # keys are asked for again after this
_AGAIN_S = 30.0  # and for an unknown key not more often than this
_MAX_TOKEN = 16_384
_LIMITS = FetchLimits(max_bytes=200_000, seconds=10, redirects=0, operator=True)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a valid access token names.

    Attributes:
        caller: "subject@issuer"; token names hold no "@", so the two never meet.
        scopes: of ours, those that it grants.
    """

    caller: str
    scopes: frozenset[str]


class KeyRing:
    """The issuer's public keys, fetched when they are needed."""

    def __init__(self, issuer: str, jwks_url: str | None) -> None:
        self._issuer = issuer
        self._url = jwks_url
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """Return the key of this id; without an id the only key there is."""
        age = time.monotonic() - self._asked_at
        if age > _FRESH_S or (self._pick(key_id) is None and age > _AGAIN_S):
            await self._refresh()
        return self._pick(key_id)

    def _pick(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    async def _refresh(self) -> None:
        asked_at = self._asked_at
        async with self._lock:
            if self._asked_at != asked_at:  # another request has just done it
                return
            self._asked_at = time.monotonic()
            try:
                url = self._url or await self._discover()
                found = json.loads(await fetch(url, _LIMITS))["keys"]
                usable = [key for key in found if key.get("use", "sig") == "sig"]
                keys = {}
                for key in usable:
                    try:
                        keys[key.get("kid")] = jwt.PyJWK.from_dict(key)
                    except (jwt.PyJWTError, ValueError):
                        continue  # of a kind that this library does not know
            except (AgentToolsError, ValueError, KeyError, TypeError, AttributeError) as error:
                # What is known stays in use: an issuer that is away locks nobody out.
                logger.warning("The issuer's keys could not be read: %s", error)
                return
            self._keys = keys

    async def _discover(self) -> str:
        """Return where the issuer says its keys are (OpenID Connect Discovery 1.0)."""
        base = self._issuer.rstrip("/")
        known = json.loads(await fetch(f"{base}/.well-known/openid-configuration", _LIMITS))
        if known.get("issuer") != self._issuer:
            raise ValueError("its metadata names another issuer")
        return str(known["jwks_uri"])


class ResourceServer:
    """Check access tokens of one issuer for one audience.

    Attributes:
        issuer: the identity provider.
        audience: what a token must be made for; also the resource in the metadata.
    """

    def __init__(self, issuer: str, audience: str, jwks_url: str | None = None) -> None:
        self.issuer = issuer
        self.audience = audience
        self._keys = KeyRing(issuer, jwks_url)

    @classmethod
    def of(cls, settings: Settings) -> ResourceServer | None:
        """Return what the settings ask for, or None without an issuer.

        Raises:
            BadSettings: without an audience, or if an address is neither https nor of this machine.
        """
        issuer = settings.oauth_issuer
        if issuer is None:
            if settings.oauth_audience or settings.oauth_jwks:
                raise BadSettings(
                    "'oauth_audience' and 'oauth_jwks' need 'oauth_issuer'.",
                    hint="Set oauth_issuer to the identity provider's address.",
                    data={"setting": "oauth_issuer"},
                )
            return None
        base = (settings.public_url or "").rstrip("/")
        audience = settings.oauth_audience or (f"{base}/mcp" if base else None)
        if audience is None:
            raise BadSettings(
                "Tokens of an identity provider must name this server, but its name is not set.",
                hint="Set public_url, or oauth_audience to what the provider writes into 'aud'.",
                data={"setting": "oauth_audience"},
            )
        for name, url in (("oauth_issuer", issuer), ("oauth_jwks", settings.oauth_jwks)):
            if url is not None and not _is_safe(url):
                raise BadSettings(
                    f"'{name}' must be an https address (plain http on this machine only).",
                    data={"setting": name},
                )
        return cls(issuer, audience, settings.oauth_jwks)

    async def check(self, token: str) -> Identity | None:
        """Return whom a token names, or None if anything about it is not right."""
        if len(token) > _MAX_TOKEN or token.count(".") != 2:
            return None
        try:
            head = jwt.get_unverified_header(token)
            key_id, algorithm = head.get("kid"), head.get("alg")
            if algorithm not in ALGORITHMS or not isinstance(key_id, str | None):
                return None
            key = await self._keys.find(key_id)
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            logger.info("An access token was refused: %s", type(error).__name__)
            return None
        subject = claims["sub"]
        if not subject or len(subject) > 200:
            return None
        return Identity(f"{subject}@{self.issuer}", _scopes(claims))

    def metadata(self) -> dict[str, Any]:
        """Return the protected-resource metadata (RFC 9728, section 2)."""
        return {
            "resource": self.audience,
            "authorization_servers": [self.issuer],
            "scopes_supported": list(SCOPES),
            "bearer_methods_supported": ["header"],
            "resource_name": "agent-tools",
        }


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    granted: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name, ())
        words = value.split() if isinstance(value, str) else value
        if isinstance(words, list | tuple):
            granted.update(word for word in words if isinstance(word, str))
    return frozenset(granted & set(SCOPES))


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
