"""Log in with the server's token, and out again."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from agent_tools.errors import AgentToolsError
from agent_tools.settings import Settings
from server.bodies import BodyTooLarge, bounded_body
from server.pages.forms import MAX_FORM_BYTES, check_origin
from server.pages.render import Frame, answer, error_answer, redirect
from server.pages.sessions import COOKIE, LIFETIME_S, Sessions, session_of

# Only our own pages, by a relative path: never a way to another site.
_NEXT = re.compile(r"gallery(?:/[A-Za-z0-9_-]+){0,3}(?:\.json)?")
_OUTSIDE = Frame()


class Login:
    """The login page and its two forms."""

    def __init__(
        self, sessions: Sessions, admits: Callable[[str], Awaitable[bool]], settings: Settings
    ) -> None:
        self._sessions = sessions
        self._admits = admits
        self._settings = settings

    async def answer(self, request: Request) -> Response:
        """Show the form, or take a token and begin a session."""
        wanted = request.query_params.get("next", "")
        target = wanted if _NEXT.fullmatch(wanted) else "gallery"
        if await self._admits(""):
            return redirect(request, target)
        if request.method == "GET":
            return answer(request, "login", {"next": target, "problem": ""}, _OUTSIDE)
        try:
            check_origin(request, self._settings)
            fields = parse_qs((await bounded_body(request, MAX_FORM_BYTES)).decode("latin-1"))
        except AgentToolsError as error:
            return error_answer(request, error, _OUTSIDE)
        except (BodyTooLarge, TimeoutError):
            fields = {}
        token = fields.get("token", [""])[0].strip()
        if not await self._admits(token):
            view = {"next": target, "problem": "This token is not valid."}
            return answer(request, "login", view, _OUTSIDE, 401)
        self._sessions.close(session_of(request.headers))
        return redirect(
            request, target, {"Set-Cookie": self._cookie(self._sessions.open(token), LIFETIME_S)}
        )

    async def leave(self, request: Request) -> Response:
        """End the session."""
        try:
            check_origin(request, self._settings)
        except AgentToolsError as error:
            return error_answer(request, error, _OUTSIDE)
        self._sessions.close(session_of(request.headers))
        return redirect(request, "gallery/login", {"Set-Cookie": self._cookie("", 0)})

    def _cookie(self, value: str, seconds: int) -> str:
        secure = "; Secure" if (self._settings.public_url or "").startswith("https:") else ""
        return f"{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
