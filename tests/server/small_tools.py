"""A studio with small real tools, whose moments a test controls, and ways to reach it by MCP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import uvicorn
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from PIL import Image
from pydantic import BaseModel, Field

from agent_tools.errors import Overloaded
from agent_tools.gallery import Gallery
from agent_tools.image_record import NewImage
from agent_tools.knowledge import KnowledgeStatus
from agent_tools.personas import PersonaStore
from agent_tools.pictures import encode_png
from agent_tools.results import ImageInfo, ToolResult
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import Arguments, Progress, ProgressEvent, Tool
from engine.stats import Health
from server.app import build_app
from server.connections import http_config
from server.mcp import build_server, run_stdio
from server.warm_up import WarmUp

TRANSPORTS = ("memory", "stdio", "http")
ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28"}


class SquareArguments(Arguments):
    """A square to paint."""

    color: Literal["red", "green", "blue"] = Field(description="Its color.")
    side: int = Field(default=64, ge=16, le=2048, description="Pixels.")
    title: str = Field(default="", max_length=100, description="What it is called.")


class SquareOutput(BaseModel):
    """The painted square."""

    image: ImageInfo


class PaintSquare(Tool):
    """Paint in three reported steps and keep the picture."""

    name = "paint_square"
    title = "Paint a square"
    description = 'Paint a square of one color. Example: {"color": "red"}.'
    Arguments = SquareArguments
    Output = SquareOutput

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        for step in range(3):
            await progress(ProgressEvent(step + 1, 3, f"step {step + 1} of 3"))
        image = Image.effect_noise((arguments.side, arguments.side), 90)
        picture = Image.merge("RGB", [image, image, image])
        caption = f"A {arguments.color} square."
        kept = NewImage(
            data=encode_png(picture),
            media_type="image/png",
            width=picture.width,
            height=picture.height,
            model="squares",
            tool=self.name,
            kind="picture",
            title=caption,
            caption=caption,
            alt=caption,
            seed=1,
            recipe={"tool": self.name, "color": arguments.color},
        )
        shown = studio.show(studio.keep([kept])[0])
        text = f"Painted {shown.info.image_id} (seed 1): {caption}"
        return ToolResult(text=text, data=SquareOutput(image=shown.info), images=(shown,))


class Hold(PaintSquare):
    """Begin, then wait until cancelled; nothing may be kept after that."""

    name = "hold"
    cancelled: ClassVar[asyncio.Event]

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        await progress(ProgressEvent(0, 1, "begun"))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            type(self).cancelled.set()
            raise
        return await super().run(studio, arguments, progress)


class CountOutput(BaseModel):
    """How many pictures there are."""

    pictures: int


class CountAfterCancel(Tool):
    """Answer once `hold` was cancelled."""

    name = "count_after_cancel"
    title = "Count"
    description = "Count the pictures once hold was cancelled."
    Arguments = Arguments
    Output = CountOutput
    read_only = True

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        await Hold.cancelled.wait()
        pictures = len(studio.gallery.list())
        return ToolResult(text=f"{pictures} pictures", data=CountOutput(pictures=pictures))


class Broken(PaintSquare):
    """Fail as no tool should."""

    name = "broken"

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        raise RuntimeError("CANARY-SECRET in /srv/secret/path")


class Full(PaintSquare):
    """Be busy."""

    name = "full"

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        raise Overloaded(
            "12 pictures are waiting.", hint="Ask for fewer.", data={"retry_after_s": 7.0}
        )


class _NoEngine:
    """An engine that only loads: these tools paint without one."""

    model = "squares"

    async def load(self) -> None:
        return

    async def close(self) -> None:
        return

    def health(self) -> Health:
        return Health(True, "")


class _NoKnowledge:
    encoder = None

    def close(self) -> None:
        return

    def status(self) -> KnowledgeStatus:
        return KnowledgeStatus(targets=(), indexed=0, method="words")


def small_studio(settings: Settings) -> Studio:
    """Return a studio over a real gallery whose tools are the ones above."""
    Hold.cancelled = asyncio.Event()
    gallery = Gallery(settings.data, shared=settings.shared_gallery)
    studio = Studio(
        settings,
        _NoEngine(),  # type: ignore[arg-type]
        gallery,
        PersonaStore(gallery),
        _NoKnowledge(),  # type: ignore[arg-type]
    )
    tools = (PaintSquare(), Hold(), CountAfterCancel(), Broken(), Full())
    studio.tools = {tool.name: tool for tool in tools}
    return studio


@asynccontextmanager
async def http_server(studio: Studio, **options: Any) -> AsyncIterator[str]:
    """Serve `studio` on a free port of loopback and yield the server's URL."""
    app = build_app(studio, WarmUp(studio), **options)
    config = http_config(app, max_connections=studio.settings.max_connections, grace_s=1)
    config.port = 0
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
        if serving.done():
            serving.result()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def connected(
    transport: str,
    mode: str,
    settings: Settings,
    make: Callable[[Settings], Studio] = small_studio,
    script: str = __file__,
    **options: Any,
) -> AsyncIterator[Client]:
    """Connect a real MCP client to a studio over one transport in one era.

    `script` serves over stdio what `make` makes; `options` are the client's.
    """
    if transport == "stdio":
        command = StdioServerParameters(
            command=sys.executable,
            args=[script, settings.model_dump_json(exclude={"token"})],
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        async with Client(command, mode=mode, **options) as client:
            yield client
        return
    studio = make(settings)
    if transport == "memory":
        async with Client(build_server(studio), mode=mode, **options) as client:
            yield client
        await studio.close()
    else:
        async with http_server(studio) as url, Client(f"{url}/mcp", mode=mode, **options) as client:
            yield client


async def serve_stdio(make: Callable[[Settings], Studio]) -> None:
    """Serve over stdin and stdout what `make` makes of the settings on the command line."""
    from server.logs import configure_logging

    configure_logging("info")
    await run_stdio(make(Settings.model_validate_json(sys.argv[1])))


if __name__ == "__main__":
    asyncio.run(serve_stdio(small_studio))
