"""A real server in a thread and a real Chromium, for tests that click through pages."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
# Chromium refuses to run as root with its sandbox.
CHROMIUM_ARGUMENTS = ["--no-sandbox"] if os.getuid() == 0 else []
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or find_spec("playwright") is None, reason="Chromium is not installed"
)


class Site:
    """A server that runs in a loop of its own, in a thread of its own.

    Attributes:
        url: its address.
        loop: its event loop.
    """

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.loop = loop

    def run(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine function in the server's loop and return what it gives."""
        return asyncio.run_coroutine_threadsafe(work(), self.loop).result(60)

    def begin(self, work: Callable[[], Any]) -> None:
        """Start a coroutine function in the server's loop; what it raises is not of interest."""
        asyncio.run_coroutine_threadsafe(work(), self.loop)


@contextmanager
def site(app: Callable[[], Starlette]) -> Iterator[Site]:
    """Serve an application, built in the server's own loop, on a free port of loopback."""
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        config = uvicorn.Config(
            app(), port=0, log_config=None, timeout_graceful_shutdown=1, http="h11", loop="asyncio"
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server._serve())
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        found["server"], found["loop"] = server, asyncio.get_running_loop()
        if not serving.done():
            found["port"] = server.servers[0].sockets[0].getsockname()[1]
        ready.set()
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(60) and "port" in found
    try:
        yield Site(f"http://127.0.0.1:{found['port']}", found["loop"])
    finally:
        found["server"].should_exit = True
        thread.join(20)


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Debian's Chromium and yield playwright's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()
