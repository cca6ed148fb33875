"""Who may use the HTTP server: loopback only unless a token is set; Host, Origin and token checks.

The checks stand in front of every route. A page in somebody's browser can reach a server on
loopback by DNS rebinding (CVE-2025-66416), hence Host and Origin even without a token.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_tools.errors import BadSettings
from agent_tools.settings import Settings
from server.logs import new_request_id, request

logger = logging.getLogger(__name__)

# They tell nothing but that a server runs; health probes carry no token.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
# Their routes check a signature, or show nothing of the gallery and take the token themselves.
_OPEN_PAGES = re.compile(r"/i/.+|/gallery/login|/gallery/static/.+")
# Read-only pages that the setting `kb_public` opens, for crawlers carry no token.
PAGES_PREFIX = "/kb/"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served."""

    status: int
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What a request must show to be served.

    Attributes:
        token_digest: sha256 of the bearer token, or None if none is asked for.
        host_names: accepted names in the Host header, lower case, without port.
        any_ip_address: whether a Host that is an IP address is accepted. DNS rebinding needs a
            name, so addresses are safe behind a token.
        origins: accepted origins besides loopback's, such as "https://pictures.example".
        open_pages: whether exported pages are shown to everybody.
    """

    token_digest: bytes | None
    host_names: frozenset[str]
    any_ip_address: bool
    origins: frozenset[str]
    open_pages: bool = False

    @classmethod
    def for_bind(cls, settings: Settings, host: str) -> AccessPolicy:
        """Return the policy of a server that listens on `host`.

        Raises:
            BadSettings: if others could reach it and no token is set.
        """
        token = settings.token.get_secret_value().strip() if settings.token else ""
        local = is_loopback(host)
        if settings.token and (len(token) < 16 or not token.isascii()):
            raise BadSettings(
                "The token is shorter than 16 characters, or not plain ASCII.",
                hint="Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
                data={"setting": "token"},
            )
        if not local and not token:
            raise BadSettings(
                f"Listening on {host} would let everybody in the network use this server.",
                hint="Set a token (AGENT_TOOLS_TOKEN), or listen on 127.0.0.1.",
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
            host_names=frozenset(names),
            any_ip_address=not local,
            origins=frozenset(origins),
            open_pages=settings.kb_public,
        )

    def check(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Return why a request is refused, or None if it may pass."""
        if not self._knows_host(headers.get("host", "")):
            return Refusal(
                421, "foreign_host", "This Host is not served here.", "Set public_url to allow it."
            )
        origin = headers.get("origin")
        if origin is not None and not self._knows_origin(origin):
            return Refusal(
                403, "foreign_origin", "Pages of this Origin may not call.", "Call without a page."
            )
        if self.token_digest is None or path in OPEN_PATHS or _OPEN_PAGES.fullmatch(path):
            return None
        if self.open_pages and path.startswith(PAGES_PREFIX):
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = hashlib.sha256(token.strip().encode()).digest()
        # Digests have one length, so the comparison takes the same time for every token.
        if scheme.lower() == "bearer" and hmac.compare_digest(given, self.token_digest):
            return None
        return Refusal(
            401, "unauthorized", "A valid token is needed.", "Send Authorization: Bearer <token>."
        )

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


class Guard:
    """ASGI middleware: gives every request an id, applies the policy, logs one line."""

    def __init__(self, app: ASGIApp, policy: AccessPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        started = time.monotonic()
        status = 0

        with request(new_request_id(headers.get("x-request-id"))) as request_id:
            scope.setdefault("state", {})["request_id"] = request_id

            async def send_and_note(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    MutableHeaders(scope=message)["X-Request-Id"] = request_id
                await send(message)

            try:
                refusal = self._policy.check(scope["path"], headers)
                if refusal is None:
                    await self._app(scope, receive, send_and_note)
                else:
                    await error_response(
                        refusal.status, refusal.code, refusal.message, refusal.hint
                    )(scope, receive, send_and_note)
            finally:
                # The path holds ids only; the query may hold titles and is left out.
                fields = {
                    "method": scope["method"],
                    "path": scope["path"][:200],
                    "status": status,
                    "seconds": round(time.monotonic() - started, 3),
                }
                quiet = scope["path"] in OPEN_PATHS
                level = logging.DEBUG if quiet else logging.INFO
                logger.log(level, "http request", extra={"fields": fields})


def error_response(status: int, code: str, message: str, hint: str = "") -> JSONResponse:
    """Return an error as every route says it."""
    headers = {"WWW-Authenticate": 'Bearer realm="agent-tools"'} if status == 401 else None
    body = {"error": {"code": code, "message": message, "hint": hint}}
    return JSONResponse(body, status_code=status, headers=headers)
