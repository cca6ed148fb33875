"""Pictures at signed addresses: shown without a token to whoever has the address."""

from __future__ import annotations

import re

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent_tools.callers import acting_as
from agent_tools.errors import NotFound
from agent_tools.links import COPY_SIDES, FOLDER
from agent_tools.studio import Studio
from server.auth import error_response

_FILE = re.compile(r"([0-9a-f]{32})(?:-([0-9]{1,5}))?\.(png|jpg|webp)")


def signed_image_routes(studio: Studio) -> list[Route]:
    """Return GET /i/{image_id}/{signature}.{ending} of a studio."""

    async def show(request: Request) -> Response:
        image_id = request.path_params["image_id"]
        found = _FILE.fullmatch(request.path_params["file"])
        side = int(found[2]) if found and found[2] else None
        # Nothing about a picture is told, not even that there is one, without its signature.
        if (
            found is None
            or not studio.links.accepts(image_id, found[1])
            or (side is not None and (side not in COPY_SIDES or found[3] != "webp"))
        ):
            return _not_found()
        # The address is the permission, whoever has it.
        with acting_as(None):
            return await picture(request, image_id, side, found[3])

    async def picture(request: Request, image_id: str, side: int | None, ending: str) -> Response:
        try:
            record = await to_thread.run_sync(studio.gallery.get, image_id)
            if side is None and record.path.suffix != f".{ending}":
                return _not_found()
            etag = f'"{record.sha256[:32]}-{side or "full"}"'
            headers = {
                "Content-Security-Policy": "default-src 'none'; sandbox",
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "cross-origin",
                "Cache-Control": "public, max-age=31536000, immutable",
                "ETag": etag,
            }
            if etag in request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers=headers)
            if side is None:
                data = await to_thread.run_sync(record.path.read_bytes)
                return Response(data, media_type=record.media_type, headers=headers)
            data = await to_thread.run_sync(studio.gallery.thumbnail, image_id, side)
        except (NotFound, FileNotFoundError):
            return _not_found()
        return Response(data, media_type="image/webp", headers=headers)

    return [Route(f"/{FOLDER}/{{image_id}}/{{file}}", show, methods=["GET"])]


def _not_found() -> Response:
    return error_response(404, "not_found", "There is no such picture.", "Check the address.")
