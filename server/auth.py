"""Who may use the HTTP server, and for what.

Loopback only unless callers must identify themselves: by the operator's token, by a token with
scopes (`server.tokens`), or by an access token of an identity provider (`server.oauth`). Host and
Origin are checked in any case: a page in somebody's browser can reach a server on loopback by
DNS rebinding (CVE-2025-66416).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.responses import JSONResponse

from agent_tools.callers import Scope
from agent_tools.errors import BadSettings
from agent_tools.settings import Settings
from server.oauth import METADATA_PATH, ResourceServer
from server.tokens import TokenStore

# They tell nothing but that a server runs, or where to get a token.
OPEN_PATHS = frozenset({"/healthz", "/readyz", METADATA_PATH, f"{METADATA_PATH}/mcp"})
SIGNED_PREFIX = "/i/"
# Their routes check a signature, or show nothing of the gallery and take the token themselves.
OPEN_PAGES = re.compile(r"/i/.+|/gallery/login|/gallery/static/.+")
# Read-only pages that the setting `kb_public` opens, for crawlers carry no token.
PAGES_PREFIX = "/kb/"
# Forms of the gallery that need another scope than "generate": pushing, reading a file, leaving.
_FORM_SCOPES: dict[str, Scope] = {
    "export": "export",
    "read": "read",
    "read.json": "read",
    "login": "read",
    "logout": "read",
}
_REALM = 'Bearer realm="agent-tools"'


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served.

    Attributes:
        challenge: the WWW-Authenticate header (RFC 6750), empty for none.
        retry_after_s: when it may be served, if that is why.
    """

    status: int
    code: str
    message: str
    hint: str
    challenge: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Whom a request comes from.

    Attributes:
        caller: None for the operator, and for everybody where nobody must identify themselves.
        scopes: what they may do; None = everything.
        anonymous: whether somebody who should identify themselves need not, for an open page.
    """

    caller: str | None = None
    scopes: frozenset[str] | None = None
    anonymous: bool = False

    def allows(self, scope: Scope) -> bool:
        """Return whether these scopes include one."""
        return self.scopes is None or scope in self.scopes or "admin" in self.scopes


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What a request must show to be served.

    Attributes:
        token_digest: sha256 of the operator's token, or None if there is none.
        tokens: the tokens with scopes.
        oauth: who checks access tokens, if an identity provider is set.
        required: whether nobody comes in unidentified; also true once a token was made.
        host_names: accepted names in the Host header, lower case, without port.
        any_ip_address: whether a Host that is an IP address is accepted. DNS rebinding needs a
            name, so addresses are safe behind a token.
        origins: accepted origins besides loopback's, such as "https://pictures.example".
        open_pages: whether exported pages are shown to everybody.
        metadata_base: web address of the server, for what points to its metadata.
    """

    token_digest: bytes | None
    tokens: TokenStore
    oauth: ResourceServer | None
    required: bool
    host_names: frozenset[str]
    any_ip_address: bool
    origins: frozenset[str]
    open_pages: bool = False
    metadata_base: str = ""

    @classmethod
    def for_bind(cls, settings: Settings, host: str) -> AccessPolicy:
        """Return the policy of a server that listens on `host`.

        Raises:
            BadSettings: if others could reach it and nobody would have to identify themselves.
        """
        token = settings.token.get_secret_value().strip() if settings.token else ""
        local = is_loopback(host)
        if settings.token and (len(token) < 16 or not token.isascii()):
            raise BadSettings(
                "The token is shorter than 16 characters, or not plain ASCII.",
                hint="Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
                data={"setting": "token"},
            )
        tokens = TokenStore(settings.data)
        oauth = ResourceServer.of(settings)
        required = bool(token) or oauth is not None or tokens.any_made()
        if not local and not required:
            raise BadSettings(
                f"Listening on {host} would let everybody in the network use this server.",
                hint="Set a token (AGENT_TOOLS_TOKEN), make one with `agent-tools token create`, "
                "set oauth_issuer, or listen on 127.0.0.1.",
                data={"setting": "token"},
            )
        names = {"localhost", "127.0.0.1", "::1", host.lower()}
        origins = set()
        if settings.public_url:
            public = urlsplit(settings.public_url)
            names.add((public.hostname or "").lower())
            origins.add(f"{public.scheme}://{public.netloc}".lower())
        return cls(
            token_digest=hashlib.sha256(token.encode()).digest() if token else None,
            tokens=tokens,
            oauth=oauth,
            required=required,
            host_names=frozenset(names),
            any_ip_address=not local,
            origins=frozenset(origins),
            open_pages=settings.kb_public,
            metadata_base=(settings.public_url or "").rstrip("/"),
        )

    def check_address(self, headers: Mapping[str, str]) -> Refusal | None:
        """Return why the Host or Origin of a request is refused, or None if they may pass."""
        if not self._knows_host(headers.get("host", "")):
            return Refusal(
                421, "foreign_host", "This Host is not served here.", "Set public_url to allow it."
            )
        origin = headers.get("origin")
        if origin is not None and not self._knows_origin(origin):
            return Refusal(
                403, "foreign_origin", "Pages of this Origin may not call.", "Call without a page."
            )
        return None

    async def identify(self, path: str, headers: Mapping[str, str]) -> Access | Refusal:
        """Return whom a request comes from, or why that is not good enough."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        access = await self._known(token) if token else None
        if access is not None:
            return access
        is_open = (
            path in OPEN_PATHS
            or OPEN_PAGES.fullmatch(path) is not None
            or (self.open_pages and path.startswith(PAGES_PREFIX))
        )
        needed = self.required or self.tokens.any_made()
        if is_open or not needed:
            return Access(anonymous=needed)
        return Refusal(
            401,
            "unauthorized",
            "A valid token is needed.",
            "Send Authorization: Bearer <token>.",
            challenge=self._challenge("invalid_token" if token else "", headers),
        )

    def lacking(self, scope: Scope, headers: Mapping[str, str]) -> Refusal:
        """Return the refusal of a caller who lacks a scope (RFC 6750, section 3.1)."""
        challenge = self._challenge("insufficient_scope", headers)
        return Refusal(
            403,
            "insufficient_scope",
            f"This needs the scope '{scope}', which your token does not have.",
            "Ask the server's operator for a token with it.",
            challenge=f'{challenge}, scope="{scope}"',
        )

    async def _known(self, token: str) -> Access | None:
        # Digests have one length, so the comparison takes the same time for every token.
        given = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        if self.token_digest is not None and hmac.compare_digest(given, self.token_digest):
            return Access()
        found = self.tokens.find(token)
        if found is not None:
            return Access(found.name, frozenset(found.scopes))
        identity = await self.oauth.check(token) if self.oauth is not None else None
        return None if identity is None else Access(identity.caller, identity.scopes)

    def _challenge(self, error: str, headers: Mapping[str, str]) -> str:
        parts = [_REALM]
        if error:
            parts.append(f'error="{error}"')
        if self.oauth is not None:
            base = self.metadata_base or f"http://{headers.get('host', '')}"
            parts.append(f'resource_metadata="{base}{METADATA_PATH}/mcp"')
        return ", ".join(parts)

    def _knows_host(self, host: str) -> bool:
        name = _name_of(f"//{host}")
        if name is None:
            return False
        return name in self.host_names or (self.any_ip_address and _is_ip_address(name))

    def _knows_origin(self, origin: str) -> bool:
        if origin.lower() in self.origins:
            return True
        name = _name_of(origin)
        return name is not None and is_loopback(name)


def route_scope(method: str, path: str) -> Scope | None:
    """Return the scope that a route needs; None where every message is checked by itself."""
    if path == "/mcp":
        return None
    if path.startswith("/gallery/"):
        return _FORM_SCOPES.get(path.rpartition("/")[2], "read" if method == "GET" else "generate")
    return "read" if method in ("GET", "HEAD", "OPTIONS") else "generate"


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine's loopback, reachable by nobody else."""
    if host.lower() == "localhost":
        return True
    return _is_ip_address(host) and ipaddress.ip_address(host).is_loopback


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _name_of(url: str) -> str | None:
    """Return the host name in `url`, or None if it is malformed or carries more than an origin."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a malformed one
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.hostname


def error_response(
    status: int,
    code: str,
    message: str,
    hint: str = "",
    *,
    challenge: str = "",
    retry_after_s: float | None = None,
) -> JSONResponse:
    """Return an error as every route says it; `type` and `param` are for clients of OpenAI's."""
    headers = {"WWW-Authenticate": challenge or _REALM} if challenge or status == 401 else {}
    if retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    kind = "server_error" if status >= 500 else "invalid_request_error"
    said = {"code": code, "message": message, "hint": hint, "type": kind, "param": None}
    body = {"error": said}
    return JSONResponse(body, status_code=status, headers=headers)
