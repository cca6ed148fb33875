"""The gallery inside the chat: an MCP App that shows a result's pictures and takes a choice.

A host that can show apps loads `GALLERY_URI` into a sandboxed frame beside the result of a tool
that names it (https://modelcontextprotocol.io/specification/draft/extensions/apps).

Where the view gets its pixels: out of the image blocks that the result carries for the model
anyway, each of which names its picture in `_meta`. Nothing travels twice, and the structured
content, which models read, stays free of base64. What a result does not carry (pictures by link
only, too many for one result) the view reads from `thumbnail://{image_id}`. The view needs neither
`_meta` of the result nor structured content: some hosts keep them back
(https://github.com/modelcontextprotocol/ext-apps/issues/696, .../issues/646), none the blocks.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID, Apps, ResourceCsp

from server.resources import reading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.server.context import HandlerResult, ServerRequestContext
    from mcp.server.mcpserver import MCPServer

    from agent_tools.studio import Studio

GALLERY_URI = "ui://agent-tools/gallery.html"
# In the `_meta` of an image block: whose picture it is.
IMAGE_ID_META = "agent-tools/image_id"
_SHOWN_FOR = frozenset({"create_product_variants", "create_persona_avatar", "generate_image"})
_SCRIPTS = ("host.js", "results.js", "cards.js", "gallery.js")


def gallery_app() -> Apps:
    """Return the extension that serves the view and announces it to clients."""
    apps = Apps()
    apps.add_html_resource(
        GALLERY_URI,
        gallery_html(),
        name="gallery",
        title="Pictures",
        description="Shows pictures side by side and lets people choose.",
        # Declared empty rather than left out, which some hosts report as a mistake.
        csp=ResourceCsp(connect_domains=[], resource_domains=[]),
        prefers_border=True,
    )
    return apps


def tool_meta(name: str) -> dict[str, Any] | None:
    """Return the `_meta` of a published tool: which view shows its results, if any.

    Every client gets it, whatever it declares: some hosts show apps without declaring the
    extension (https://github.com/microsoft/vscode/issues/291432), the others ignore `_meta`.
    """
    return {"ui": {"resourceUri": GALLERY_URI}} if name in _SHOWN_FOR else None


async def announce_in_handshake(
    ctx: ServerRequestContext[Any, Any],
    call_next: Callable[[ServerRequestContext[Any, Any]], Awaitable[HandlerResult]],
) -> HandlerResult:
    """Announce the extension in the answer to `initialize` as well.

    Hosts of today speak the handshake era and may wait for it there, but that era's schema knows
    no `extensions`, so the SDK takes it out
    (https://github.com/modelcontextprotocol/modelcontextprotocol/pull/3364).
    """
    result = await call_next(ctx)
    if ctx.method == "initialize" and isinstance(result, dict):
        capabilities = result["capabilities"]
        extensions = {EXTENSION_ID: {"mimeTypes": [APP_MIME_TYPE]}}
        capabilities["extensions"] = capabilities.get("extensions", {}) | extensions
    return result


@cache
def gallery_html() -> str:
    """Return the view as one HTML document: hosts load nothing beside it."""
    folder = files("server.apps")

    def read(*names: str) -> str:
        return "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)

    page = read("gallery.html")
    return page.replace("/* style */", read("gallery.css")).replace(
        "/* scripts */", read(*_SCRIPTS)
    )


def add_thumbnails(server: MCPServer[Any], studio: Studio) -> None:
    """Serve the small copies of pictures as resources."""

    # A plain function: the SDK runs it on a worker thread.
    @server.resource(
        "thumbnail://{image_id}",
        name="thumbnail",
        title="A small copy of a picture",
        description="WebP, longest side 384 pixels.",
        mime_type="image/webp",
    )
    def thumbnail(image_id: str) -> bytes:
        with reading():
            return studio.gallery.thumbnail(image_id)
