"""The HTTP server: MCP at /mcp, the Images API at /v1, pictures, pages, collections, health."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import agent_tools
from agent_tools.errors import AgentToolsError
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.auth import AccessPolicy, Refusal, error_response
from server.connections import http_config
from server.guard import Guard
from server.images import image_routes
from server.images_api import images_api_routes
from server.kb_pages import kb_routes
from server.logs import configure_logging, current_request_id
from server.mcp import ToolServer, build_server
from server.metrics import Metrics, metrics_route
from server.oauth import METADATA_PATH
from server.packs import pack_routes
from server.pages import GalleryPages
from server.pages.sessions import BrowserSession
from server.shutdown import close_within, leave_now
from server.signed_images import signed_image_routes
from server.warm_up import WarmUp

logger = logging.getLogger(__name__)

GRACE_S = 10
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}


def build_app(
    studio: Studio,
    warm_up: WarmUp,
    *,
    host: str = "127.0.0.1",
    server: ToolServer | None = None,
) -> Starlette:
    """Build the HTTP application of a studio. Its lifespan loads the model and closes the studio.

    Args:
        studio: what the tools work with.
        warm_up: told to start with the application.
        host: the address it will listen on; decides who may call.
        server: the MCP server, if it shall have more than the studio's tools.

    Raises:
        BadSettings: if others could reach it without a token, or settings contradict each other.
    """
    settings = studio.settings
    policy = AccessPolicy.for_bind(settings, host)
    metrics = Metrics()
    server = server or build_server(studio)
    # The guard checks Host and Origin for all routes, so the SDK's own check, which knows fewer
    # names, is off. The SDK bounds the body of a message to 4 MiB.
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    mcp_app = server.streamable_http_app(transport_security=security, host=host)

    async def admits(token: str) -> bool:
        headers = {"authorization": f"Bearer {token}"}
        return not isinstance(await policy.identify("/gallery", headers), Refusal)

    pages = GalleryPages(studio, admits)

    async def healthy(_: Request) -> Response:
        return JSONResponse({"status": "ok", "version": agent_tools.__version__})

    async def ready(_: Request) -> Response:
        body: dict[str, str] = {"status": warm_up.state}
        if warm_up.error_code:
            body["code"] = warm_up.error_code
        if warm_up.state == "ready":
            health = studio.engine.health()
            if health.ok:
                return JSONResponse(body)
            body = {"status": "unhealthy", "code": "engine", "reason": health.reason}
        return JSONResponse(body, status_code=503, headers={"Retry-After": "2"})

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with server.session_manager.run():
            warm_up.start()
            try:
                yield
            finally:
                await pages.close()
                app.state.closed = await close_within(studio, warm_up)

    app = Starlette(
        routes=[
            *mcp_app.routes,
            *image_routes(studio),
            *images_api_routes(studio),
            *kb_routes(studio),
            *signed_image_routes(studio),
            *pages.routes(),
            *pack_routes(studio),
            *_metadata_routes(policy),
            metrics_route(studio, metrics, warm_up),
            Route("/healthz", healthy, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
        ],
        middleware=[
            Middleware(BrowserSession, sessions=pages.sessions),
            Middleware(
                Guard,
                policy=policy,
                metrics=metrics,
                max_upload_bytes=int(settings.max_upload_mb * 1_000_000),
                rate_per_minute=settings.rate_per_minute,
            ),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _fault},
        lifespan=lifespan,
    )
    app.state.pages = pages
    return app


def _metadata_routes(policy: AccessPolicy) -> list[Route]:
    """Return where clients find which identity provider to ask (RFC 9728)."""
    oauth = policy.oauth
    if oauth is None:
        return []

    async def show(_: Request) -> Response:
        return JSONResponse(oauth.metadata(), headers={"Cache-Control": "public, max-age=3600"})

    return [Route(path, show, methods=["GET"]) for path in (METADATA_PATH, f"{METADATA_PATH}/mcp")]


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code, "http_error")
    return error_response(error.status_code, code, error.detail)


async def _fault(_: Request, error: Exception) -> Response:
    logger.error("A request failed unexpectedly", exc_info=error)
    hint = f"Tell the server's operator the request id {current_request_id()}."
    return error_response(500, "internal", "The server has a fault.", hint)


def serve_http(settings: Settings, host: str, port: int) -> None:
    """Serve HTTP until SIGTERM or SIGINT; running calls get 10 seconds to finish.

    After the signal nobody can connect any more. A second one ends everything at once; what was
    acknowledged is on the disk.

    Args:
        settings: a token or an identity provider is needed to listen on anything but loopback.
        host: address or name to listen on.
        port: 0 takes a free one; the log line "Serving HTTP" says which.

    Raises:
        BadSettings: if others could reach it without a token.
        AgentToolsError: if the address cannot be listened on or the data directory not used.
    """
    configure_logging(settings.log_level)
    AccessPolicy.for_bind(settings, host)
    listener = _listen(host, port)
    studio = Studio.open(settings)
    app = build_app(studio, WarmUp(studio), host=host)
    config = http_config(app, max_connections=settings.max_connections, grace_s=GRACE_S)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    logger.info("Serving HTTP", extra={"fields": {"url": url, "model": settings.model}})
    # After its clean end uvicorn raises the signal once more, for a handler of ours to swallow.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = _Server(config)
    with listener:
        server.run(sockets=[listener])
    logger.info("Stopped")
    if server.force_exit or not getattr(app.state, "closed", True):
        leave_now()


class _Server(uvicorn.Server):
    """Takes a second signal for "at once"; ends endless streams before it waits for the rest."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.pages.end_streams()  # type: ignore[union-attr]
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
        # asyncio does this only for sockets it made itself. Head and body of an answer are two
        # writes, and the second would wait 40 ms for the first one's acknowledgment.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise AgentToolsError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            code="address",
            hint="Choose another port, or end the program that uses this one.",
        ) from None
