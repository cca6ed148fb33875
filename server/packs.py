"""Avatar packs over plain HTTP: GET /packs/{pack_id}.zip."""

from __future__ import annotations

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent_tools.errors import NotFound
from agent_tools.persona_packs import Packs
from agent_tools.studio import Studio
from server.auth import error_response


def pack_routes(studio: Studio) -> list[Route]:
    """Return the route of a studio's avatar packs."""
    packs = Packs(studio.gallery)

    async def show(request: Request) -> Response:
        pack_id = request.path_params["pack_id"]
        try:
            data = await to_thread.run_sync(packs.read, pack_id)
        except NotFound as error:
            return error_response(404, error.code, error.message, error.hint)
        return Response(
            data,
            media_type="application/zip",
            headers={
                "Content-Disposition": f'attachment; filename="{pack_id}.zip"',
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, max-age=31536000, immutable",
            },
        )

    return [Route("/packs/{pack_id}.zip", show, methods=["GET"])]
