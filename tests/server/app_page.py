"""A host of MCP Apps in headless Chromium, over a studio whose engine paints in no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from browser_site import CHROMIUM, CHROMIUM_ARGUMENTS
from mcp import Client
from PIL import Image, ImageDraw
from playwright.async_api import Browser, FrameLocator, Page, Route, async_playwright

import agent_tools
from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.personas import PersonaStore
from agent_tools.pictures import encode_png
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from engine.request import Done, ImageRequest, ImageResult, SamplingParams
from engine.stats import Health
from server.mcp import build_server

ROOT = Path(__file__).parents[2]
BRIDGE = ROOT / ".app-bridge" / "host.js"
ASSETS = Path(agent_tools.__file__).parent / "assets"
HOST, VIEW = "http://host.test/", "http://view.test/"
HOST_PAGE = f"""<!doctype html><html><meta charset="utf-8"><style>
body {{ margin: 0 }} iframe {{ display: block; border: 0; width: 100%; height: 200px }}
</style><iframe sandbox="allow-scripts" data-src="{VIEW}"></iframe>
<script src="/host.js"></script></html>"""
# What a host must set for a view that declares no domains, less its 'self': nothing else is ours.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "connect-src 'none'; frame-src 'none'; object-src 'none'; base-uri 'none'"
)
EVERYTHING: dict[str, Any] = {
    "serverTools": {},
    "serverResources": {},
    "updateModelContext": {"text": {}, "structuredContent": {}},
    "message": {"text": {}},
    "openLinks": {},
    "downloadFile": {},
}


class QuickEngine:
    """Paint a disk whose place and color follow from the seed."""

    model, revision = "disks", "1"

    async def load(self) -> None:
        return

    async def close(self) -> None:
        return

    def health(self) -> Health:
        return Health(True, "")

    async def submit(self, request: ImageRequest) -> AsyncIterator[Done]:
        images = []
        for seed in request.seeds:
            image = Image.new("RGB", (96, 96), "white")
            left = seed % 30
            color = ["#7a4fa3", "#2f7d5b", "#b3572f"][seed % 3]
            ImageDraw.Draw(image).ellipse((left, left, left + 60, left + 60), fill=color)
            images.append(image)
        yield Done(
            request.request_id,
            ImageResult(
                images=tuple(images),
                seeds=request.seeds,
                model=self.model,
                revision=self.revision,
                params=SamplingParams(num_inference_steps=1, guidance_scale=1.0),
                timings_s={"total": 0.01},
                libraries={},
            ),
        )


def quick_studio(settings: Settings) -> Studio:
    """Return a studio with every real tool and `QuickEngine`."""
    gallery = Gallery(settings.data)
    knowledge = Knowledge(gallery, settings)
    return Studio(settings, QuickEngine(), gallery, PersonaStore(gallery), knowledge)


def add_cup(studio: Studio, side: int = 200) -> dict[str, str]:
    """Upload the shipped photo of a coffee cup and its mask; return arguments that recolor it."""
    ids = {}
    for name, file, kind in (
        ("image_id", "coffee-cup.png", "upload"),
        ("mask_id", "coffee-cup-mask.png", "mask"),
    ):
        image = Image.open(ASSETS / file)
        image = image.resize((side, side * image.height // image.width), Image.Resampling.NEAREST)
        ids[name] = studio.gallery.add_upload(encode_png(image), kind=kind).image_id
    return ids


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start the system's Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )
        yield browser
        await browser.close()


class AppPage:
    """One conversation: a result of the server and the view beside it.

    Attributes:
        view: the frame with the view.
        requests: addresses that the view asked for beyond itself.
        errors: what the browser complained of.
    """

    def __init__(self, page: Page, client: Client, answers: dict[str, list[Any]]) -> None:
        self.page = page
        self.client = client
        self._answers = answers
        self.view: FrameLocator = page.frame_locator("iframe")
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._heard: dict[str, asyncio.Queue[Any]] = {}

    async def open(
        self, html: str, capabilities: dict[str, Any], context: dict[str, Any], arguments: Any
    ) -> None:
        """Load the view and shake hands through the official bridge."""

        async def serve(route: Route) -> None:
            address = route.request.url
            if address == HOST:
                await route.fulfill(body=HOST_PAGE, content_type="text/html")
            elif address == f"{HOST}host.js":
                await route.fulfill(path=BRIDGE, content_type="text/javascript")
            elif address == VIEW:
                headers = {"Content-Security-Policy": POLICY}
                await route.fulfill(body=html, content_type="text/html", headers=headers)
            else:
                self.requests.append(address)
                await route.abort()

        def note(message: Any) -> None:
            if message.type in ("error", "warning"):
                self.errors.append(message.text)

        self.page.on("console", note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        await self.page.route("**/*", serve)
        await self.page.expose_function("relay", self._relay)
        await self.page.goto(HOST)
        options = {"capabilities": capabilities, "context": context, "toolInput": arguments}
        await self.page.evaluate("options => startHost(options)", options)

    async def send_result(self, result: dict[str, Any]) -> None:
        """Hand the view the result of its tool."""
        await self.page.evaluate("result => bridge.sendToolResult(result)", result)

    async def heard(self, method: str) -> Any:
        """Return the next message of the view with this method."""
        return await asyncio.wait_for(self._queue(method).get(), 20)

    def has_heard(self, method: str) -> bool:
        """Return whether a message waits that nobody asked for yet."""
        return not self._queue(method).empty()

    def _queue(self, method: str) -> asyncio.Queue[Any]:
        return self._heard.setdefault(method, asyncio.Queue())

    async def _relay(self, method: str, params: dict[str, Any]) -> Any:
        self._queue(method).put_nowait(params)
        if method == "tools/call":
            if self._answers.get(params["name"]):
                return self._answers[params["name"]].pop(0)
            return wire(await self.client.call_tool(params["name"], params["arguments"]))
        if method == "resources/read":
            return wire(await self.client.read_resource(params["uri"]))
        return {}


def wire(result: Any) -> dict[str, Any]:
    """Return a result as it travels."""
    plain: dict[str, Any] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    plain.pop("resultType", None)
    return plain


@asynccontextmanager
async def app_page(
    browser: Browser,
    studio: Studio,
    tool: str,
    arguments: dict[str, Any],
    *,
    width: int = 700,
    theme: str = "light",
    capabilities: dict[str, Any] | None = None,
    kept_back: Sequence[str] = (),
    result: dict[str, Any] | None = None,
    answers: dict[str, list[Any]] | None = None,
) -> AsyncIterator[AppPage]:
    """Call a tool and show its result in the view that the server names for it.

    Args:
        capabilities: what the host can do; everything if left out.
        kept_back: parts of the result that the host does not hand over.
        result: what to show instead of a real result.
        answers: what tools answer instead of running, in order.
    """
    async with Client(build_server(studio)) as client:
        described = {one.name: one for one in (await client.list_tools()).tools}[tool]
        resource = await client.read_resource(described.meta["ui"]["resourceUri"])
        page = await browser.new_page(viewport={"width": width, "height": 300})
        app = AppPage(page, client, answers or {})
        context = {"theme": theme, "toolInfo": {"tool": wire(described)}}
        can = EVERYTHING if capabilities is None else capabilities
        await app.open(resource.contents[0].text, can, context, arguments)
        if result is None:
            result = wire(await client.call_tool(tool, arguments))
        await app.send_result({k: v for k, v in result.items() if k not in kept_back})
        yield app
        await page.close()
