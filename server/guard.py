"""What stands in front of every route: who calls, how often, how much; one log line each."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_tools.callers import acting_as
from server.auth import (
    OPEN_PATHS,
    SIGNED_PREFIX,
    Access,
    AccessPolicy,
    Refusal,
    error_response,
    route_scope,
)
from server.limits import BoundedBody, RateLimit, body_limit
from server.logs import new_request_id, request
from server.metrics import Metrics

logger = logging.getLogger(__name__)

_MCP = "/mcp"
_TOO_LARGE = Refusal(413, "too_large", "The body is too large.", "Send less at a time.")
_TOO_SLOW = Refusal(408, "timeout", "The body came too slowly.", "Send it again, faster.")


@dataclass(frozen=True, slots=True)
class Caller:
    """What the guard found out about a request; routes find it in `state.caller`.

    Attributes:
        access: who calls and what they may do.
        retry_after_s: set when an MCP caller is too fast: tool calls answer that, in a result.
    """

    access: Access
    retry_after_s: float | None = None


class Guard:
    """ASGI middleware: gives every request an id, applies the policy and limits, logs one line."""

    def __init__(
        self,
        app: ASGIApp,
        policy: AccessPolicy,
        metrics: Metrics,
        *,
        max_upload_bytes: int,
        rate_per_minute: int | None = None,
    ) -> None:
        self._app = app
        self._policy = policy
        self._metrics = metrics
        self._max_upload_bytes = max_upload_bytes
        self._rate = RateLimit(rate_per_minute) if rate_per_minute else None
        # MCP clients understand a result that says "later" better than a status; those who go on
        # get the status.
        self._hard_rate = RateLimit(4 * rate_per_minute) if rate_per_minute else None

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
                admitted = await self._admit(scope, headers)
                if isinstance(admitted, Refusal):
                    await _refuse(admitted, scope, receive, send_and_note)
                else:
                    await self._serve(admitted, scope, receive, send_and_note)
            finally:
                seconds = time.monotonic() - started
                self._metrics.request(status, seconds)
                # The path holds ids only; the query may hold titles and is left out.
                fields = {
                    "method": scope["method"],
                    "path": scope["path"][:200],
                    "status": status,
                    "seconds": round(seconds, 3),
                }
                quiet = scope["path"] in OPEN_PATHS
                level = logging.DEBUG if quiet else logging.INFO
                logger.log(level, "http request", extra={"fields": fields})

    async def _admit(self, scope: Scope, headers: Headers) -> Caller | Refusal:
        policy, path = self._policy, scope["path"]
        refusal = policy.check_address(headers)
        if refusal is not None:
            return refusal
        access = await policy.identify(path, headers)
        if isinstance(access, Refusal):
            return access
        # A page shows fifty signed pictures at once: they count for nobody.
        if path in OPEN_PATHS or path.startswith(SIGNED_PREFIX):
            return Caller(access)
        needed = route_scope(scope["method"], path)
        if needed is not None and not access.allows(needed):
            return policy.lacking(needed, headers)
        declared = headers.get("content-length", "")
        limit = body_limit(path, self._max_upload_bytes)
        if declared.isdecimal() and int(declared[:20]) > limit:
            return _TOO_LARGE
        who = "?" if access.anonymous else access.caller or ""  # no caller is named "?"
        wait_s = self._rate.take(who) if self._rate else None
        hard_s = self._hard_rate.take(who) if self._hard_rate else None
        if wait_s is not None and (path != _MCP or hard_s is not None):
            return Refusal(
                429,
                "too_many_requests",
                "You call too often.",
                "Wait as long as Retry-After says.",
                retry_after_s=hard_s if path == _MCP else wait_s,
            )
        return Caller(access, wait_s)

    async def _serve(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        access = caller.access
        scope["state"]["caller"] = caller
        if access.caller is not None:
            # The SDK binds MCP sessions to it; the token itself goes no further than the guard.
            granted = sorted(access.scopes or ())
            user = AccessToken(token="", client_id=access.caller, scopes=granted)
            scope["user"] = AuthenticatedUser(user)
        body = BoundedBody(receive, body_limit(scope["path"], self._max_upload_bytes))
        begun = False

        async def send_unless_refused(message: Message) -> None:
            nonlocal begun
            if begun or body.problem is None:
                begun = True
                await send(message)

        try:
            with acting_as(access.caller, access.scopes):
                await self._app(scope, body, send_unless_refused)
        except Exception:
            if begun or body.problem is None:
                raise
        if not begun and body.problem is not None:
            problem = _TOO_LARGE if body.problem == 413 else _TOO_SLOW
            await _refuse(problem, scope, receive, send)


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    response = error_response(
        refusal.status,
        refusal.code,
        refusal.message,
        refusal.hint,
        challenge=refusal.challenge,
        retry_after_s=refusal.retry_after_s,
    )
    await response(scope, receive, send)
