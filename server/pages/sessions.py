"""Being logged in with a browser: the token is sent once, then a cookie stands for it.

The cookie holds a random id; the token stays in this process. Every request of a session is
checked as if it carried the token itself, so a token that is withdrawn ends its sessions.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "agent_tools_session"
_OURS = re.compile(r"/gallery(?:[/.]|$)")
LIFETIME_S = 12 * 3600
_MOST = 1000


class Sessions:
    """Tokens by session id, in memory: a restart asks everybody to log in again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def open(self, token: str) -> str:
        """Begin a session and return its id."""
        session_id = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens[session_id] = (token, time.monotonic() + LIFETIME_S)
            while len(self._tokens) > _MOST:
                self._tokens.popitem(last=False)
        return session_id

    def token(self, session_id: str) -> str | None:
        """Return the token of a session, or None if there is none, or none any more."""
        with self._lock:
            token, ends = self._tokens.get(session_id, (None, 0.0))
            if token is not None and ends < time.monotonic():
                del self._tokens[session_id]
                return None
        return token

    def close(self, session_id: str) -> None:
        """End a session."""
        with self._lock:
            self._tokens.pop(session_id, None)


class BrowserSession:
    """ASGI middleware in front of the guard: gives a session's requests their token.

    Only below /gallery: no other route takes a cookie, so no page can make a browser call a tool.
    A browser without a session is sent to the login page.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not _OURS.match(path):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        session_id = session_of(headers)
        token = self._sessions.token(session_id) if session_id else None
        if token is not None and "authorization" not in headers:
            given = (b"authorization", f"Bearer {token}".encode("latin-1", "replace"))
            scope = {**scope, "headers": [*scope["headers"], given]}
        wants_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")

        redirected = False

        async def redirect_strangers(message: Message) -> None:
            nonlocal redirected
            if message["type"] == "http.response.start" and message["status"] == 401:
                redirected = True
                target = f"{'../' * (path.count('/') - 1) or './'}gallery/login"
                await RedirectResponse(f"{target}?next={quote(path.lstrip('/'))}", 303)(
                    scope, receive, send
                )
            elif not redirected:
                await send(message)

        await self._app(scope, receive, redirect_strangers if wants_page else send)


def session_of(headers: Headers) -> str:
    """Return the session id that a request's cookie names, or an empty string."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""
