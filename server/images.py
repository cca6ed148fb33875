"""Pictures over plain HTTP: upload one, fetch one. Callers name ids, never paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent_tools.errors import AgentToolsError, NotFound, Refused
from agent_tools.pictures import looks_like_picture
from agent_tools.studio import Studio
from server.auth import error_response
from server.bodies import BodyTooLarge, bounded_body, once
from server.fetch import FetchLimits, fetch

# Two at a time: a 40-megapixel picture takes 160 MB while it is decoded.
_DECODERS = 2
_RAW_TYPES = ("application/octet-stream", "image/png", "image/jpeg", "image/webp")
_MULTIPART_OVERHEAD = 16_384
_MAX_JSON = 16_384
_UPLOAD_HINT = (
    "Send the file as the body, as multipart/form-data with a field 'file', or its address as "
    'JSON: {"url": "https://..."}.'
)


_STATUS = {"fetch_off": 403, "fetch_failed": 502, "too_large": 413}


@dataclass(frozen=True, slots=True)
class _Upload:
    data: bytes
    kind: str
    title: str


class _Address(BaseModel):
    """A picture to fetch."""

    model_config = ConfigDict(extra="forbid")

    url: str
    kind: str = "upload"
    title: str = ""


def image_routes(studio: Studio) -> list[Route]:
    """Return POST /images and GET /images/{image_id} of a studio."""
    max_bytes = int(studio.settings.max_upload_mb * 1_000_000)
    decoders = CapacityLimiter(_DECODERS)

    async def upload(request: Request) -> Response:
        try:
            found = await _read_upload(request, max_bytes, studio.settings.allow_fetch)
        except BodyTooLarge:
            return error_response(
                413,
                "too_large",
                f"More than {studio.settings.max_upload_mb:g} MB were sent.",
                "Send a smaller copy, or raise max_upload_mb.",
            )
        except TimeoutError:
            return error_response(408, "timeout", "The upload took too long.", "Send it again.")
        except ClientDisconnect:
            return error_response(400, "incomplete", "The upload broke off.", "Send it again.")
        except HTTPException as error:
            return error_response(error.status_code, "bad_upload", error.detail, _UPLOAD_HINT)
        except AgentToolsError as error:
            status = _STATUS.get(error.code, 400)
            return error_response(status, error.code, error.message, error.hint)
        kind: Literal["upload", "mask"]
        if found.kind == "upload":
            kind = "upload"
        elif found.kind == "mask":
            kind = "mask"
        else:
            return error_response(
                400, "invalid_arguments", "There is no such kind.", "kind is 'upload' or 'mask'."
            )

        def keep() -> JSONResponse:
            record = studio.gallery.add_upload(
                found.data, kind=kind, title=found.title, max_bytes=max_bytes
            )
            return JSONResponse(
                {
                    "image_id": record.image_id,
                    "uri": f"image://{record.image_id}",
                    "kind": record.kind,
                    "width": record.width,
                    "height": record.height,
                },
                status_code=201,
                headers={"Location": f"/images/{record.image_id}"},
            )

        try:
            return await to_thread.run_sync(keep, limiter=decoders)
        except AgentToolsError as error:
            return error_response(400, error.code, error.message, error.hint)

    async def show(request: Request) -> Response:
        image_id = request.path_params["image_id"]
        try:
            record = studio.gallery.get(image_id)
        except NotFound as error:
            return error_response(404, error.code, error.message, error.hint)
        data = await to_thread.run_sync(record.path.read_bytes)
        return Response(
            data,
            media_type=record.media_type,
            headers={
                "Content-Disposition": f'inline; filename="{record.image_id}{record.path.suffix}"',
                "Content-Security-Policy": "default-src 'none'; sandbox",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, max-age=31536000, immutable",
                "ETag": f'"{record.sha256}"',
            },
        )

    return [
        Route("/images", upload, methods=["POST"]),
        Route("/images/{image_id}", show, methods=["GET"]),
    ]


async def _read_upload(request: Request, max_bytes: int, allow_fetch: bool) -> _Upload:
    """Read a raw or multipart body, or what its address names; never more than allowed."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = request.query_params.get("kind", "upload")
    title = request.query_params.get("title", "")
    if media_type in _RAW_TYPES:
        return _Upload(await bounded_body(request, max_bytes), kind, title)
    if media_type == "application/json":
        return await _fetched(await bounded_body(request, _MAX_JSON), max_bytes, allow_fetch)
    if media_type != "multipart/form-data":
        raise HTTPException(415, "This content type is not taken.")
    body = await bounded_body(request, max_bytes + _MULTIPART_OVERHEAD)
    # Parsed from the bounded bytes, so the parser never waits for the network nor sees more.
    replay = Request(request.scope, once(body))
    async with replay.form(max_files=1, max_fields=4, max_part_size=_MULTIPART_OVERHEAD) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise HTTPException(400, "The form has no file.")
        data = await file.read()
        named_kind, named_title = form.get("kind", kind), form.get("title", title)
    if not isinstance(named_kind, str) or not isinstance(named_title, str):
        raise HTTPException(400, "The form's fields are not text.")
    if len(data) > max_bytes:
        raise BodyTooLarge
    return _Upload(data, named_kind, named_title)


async def _fetched(body: bytes, max_bytes: int, allow_fetch: bool) -> _Upload:
    try:
        asked = _Address.model_validate_json(body)
    except ValidationError:
        raise HTTPException(400, "This JSON names no address.") from None
    if not allow_fetch:
        raise Refused(
            "This server opens no addresses.",
            code="fetch_off",
            hint="Upload the file; the operator can set allow_fetch.",
        )
    limits = FetchLimits(max_bytes=max_bytes)
    data = await fetch(asked.url, limits, accept=looks_like_picture)
    return _Upload(data, asked.kind, asked.title)
