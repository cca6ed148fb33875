"""Pictures, recipes, personas and avatar packs as MCP resources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from agent_tools.callers import may
from agent_tools.errors import NotFound
from agent_tools.studio import Studio


def add_resources(server: MCPServer[Any], studio: Studio) -> None:
    """Publish `image://`, `recipe://`, `persona://` and `pack://` with their ids."""

    # Plain functions: the SDK runs them on a worker thread, so a big file blocks nobody.
    @server.resource(
        "image://{image_id}",
        name="image",
        title="A picture in full size",
        description="The PNG file of an image_id.",
        mime_type="image/png",
    )
    def image(image_id: str) -> bytes:
        from agent_tools.pictures import encode_png

        with reading():
            record = studio.gallery.get(image_id)
            if record.media_type == "image/png":
                return studio.gallery.read_bytes(image_id)
            return encode_png(studio.gallery.open_image(image_id))

    @server.resource(
        "recipe://{image_id}",
        name="recipe",
        title="How a picture was made",
        description="Everything needed to make the picture of an image_id again.",
        mime_type="application/json",
    )
    def recipe(image_id: str) -> str:
        with reading():
            return json.dumps(studio.gallery.get(image_id).recipe, ensure_ascii=False, indent=2)

    @server.resource(
        "persona://{persona_id}",
        name="persona",
        title="A stored persona",
        description="Name, fixed appearance and first picture of a persona_id.",
        mime_type="application/json",
    )
    def persona(persona_id: str) -> str:
        with reading():
            return studio.personas.get(persona_id).model_dump_json(indent=2)

    @server.resource(
        "pack://{pack_id}",
        name="avatar-pack",
        title="An avatar pack",
        description="The zip of a pack_id: an avatar in every size.",
        mime_type="application/zip",
    )
    def pack(pack_id: str) -> bytes:
        from agent_tools.persona_packs import Packs

        with reading():
            return Packs(studio.gallery).read(pack_id)


@contextmanager
def reading() -> Iterator[None]:
    """Read something for a client: with the scope for it, and saying what is not there.

    Raises:
        ResourceError: if the caller lacks the scope.
        ResourceNotFoundError: for an id that does not exist, or is another caller's.
    """
    if not may("read"):
        raise ResourceError("This needs the scope 'read', which your token does not have.")
    try:
        yield
    except NotFound as error:
        raise ResourceNotFoundError(str(error)) from None
