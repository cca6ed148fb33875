"""Drop a PNG made here and read how it was made."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agent_tools.errors import AgentToolsError
from agent_tools.marks import read_origin
from agent_tools.studio import Studio
from server.bodies import BodyTooLarge, bounded_body, once
from server.pages.forms import TOKEN_FIELD, check_origin, check_token, frame_of
from server.pages.render import answer
from server.pages.views import made_view, picture_view

_OVERHEAD = 16_384  # of multipart beside the file
_SOURCES = {
    "trainedAlgorithmicMedia": "Made by a trained model.",
    "compositeWithTrainedAlgorithmicMedia": "Edited with a trained model.",
    "algorithmicallyEnhanced": "Recolored by calculation, not by a model.",
    "algorithmicMedia": "Drawn by a program, not by a model.",
}


class Reading:
    """The page that takes a file and tells where it came from; the file is not kept."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    async def answer(self, request: Request) -> Response:
        """Show the form, or what a sent file says.

        Raises:
            ForeignForm: if the form is not from our own page.
            AgentToolsError: if the file is too large, missing, or no PNG.
        """
        view: dict[str, Any] = {"asked": request.method == "POST", "match": "none", "picture": None}
        view |= {"made": [], "mark": None}
        if request.method == "POST":
            data = await self._file(request)
            view |= await to_thread.run_sync(self._origin, data)
        return answer(request, "read", view, frame_of(request, self._studio.links, "read"))

    def _origin(self, data: bytes) -> dict[str, Any]:
        origin = read_origin(self._studio.gallery, data)
        found: dict[str, Any] = {"match": origin.match}
        if origin.record is not None:
            found["picture"] = picture_view(self._studio, origin.record)
            found["made"] = made_view(origin.record)
        if origin.mark is not None:
            mark = origin.mark
            found["mark"] = {
                "caption": mark.caption,
                "alt": mark.alt,
                "source_type": mark.source_type,
                "meaning": _SOURCES.get(mark.source_type, ""),
                "recipe_sha256": mark.recipe_sha256,
            }
        return found

    async def _file(self, request: Request) -> bytes:
        check_origin(request, self._studio.settings)
        limit = int(self._studio.settings.max_upload_mb * 1_000_000)
        try:
            body = await bounded_body(request, limit + _OVERHEAD)
            replay = Request(request.scope, once(body))
            async with replay.form(max_files=1, max_fields=2, max_part_size=_OVERHEAD) as form:
                token, file = form.get(TOKEN_FIELD), form.get("file")
                check_token(request, self._studio.links, token if isinstance(token, str) else "")
                data = await file.read() if isinstance(file, UploadFile) else b""
        except (BodyTooLarge, TimeoutError, HTTPException):
            raise AgentToolsError(
                f"The file is larger than {self._studio.settings.max_upload_mb:g} MB, or broken.",
                code="bad_form",
                hint="Send the PNG itself.",
            ) from None
        if not data:
            raise AgentToolsError(
                "No file was chosen.", code="bad_form", hint="Choose a PNG, then press Read."
            )
        return data
