"""The routes: read a body, paint while the client is there, answer."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent_tools.errors import AgentToolsError
from agent_tools.idempotency import check_key, seed_of
from agent_tools.image_record import ImageRecord
from agent_tools.studio import Studio
from server.images_api.answers import Answering, EventKind
from server.images_api.bodies import (
    Asked,
    EditBody,
    GenerateBody,
    Painted,
    VariationBody,
    read_body,
)
from server.images_api.errors import ApiError, as_api_error, internal_error
from server.images_api.forms import Inputs, keep_inputs, read_bytes, read_form
from server.images_api.jobs import (
    Completed,
    Event,
    Job,
    Partial,
    edit_job,
    generation_job,
    paint_all,
    paint_in_turn,
    variation_job,
)
from server.images_api.models import Models
from server.images_api.presence import EventStream, while_present

logger = logging.getLogger(__name__)

_MAX_JSON = 256 * 1024
_Body = TypeVar("_Body", bound=Asked)
_Handler = Callable[[Request], Awaitable[Response]]


def images_api_routes(studio: Studio) -> list[Route]:
    """Return the routes of the Images API.

    Raises:
        BadSettings: if a model alias leads nowhere.
    """
    api = ImagesApi(studio)
    return [
        Route("/v1/images/generations", _guarded(api.generate), methods=["POST"]),
        Route("/v1/images/edits", _guarded(api.edit), methods=["POST"]),
        Route("/v1/images/variations", _guarded(api.vary), methods=["POST"]),
        Route("/v1/models", _guarded(api.list_models), methods=["GET"]),
        Route("/v1/models/{model:path}", _guarded(api.show_model), methods=["GET"]),
    ]


class ImagesApi:
    """Answers the requests of one studio's Images API."""

    def __init__(self, studio: Studio) -> None:
        """Read the settings; raises `BadSettings` if a model alias leads nowhere."""
        self._studio = studio
        self._models = Models(studio)
        self._max_picture = int(studio.settings.max_upload_mb * 1_000_000)

    async def generate(self, request: Request) -> Response:
        """Serve POST /v1/images/generations."""
        body = _seeded(read_body(GenerateBody, await _read_json(request), strict=True), request)
        job = generation_job(body, self._models)
        return await self._answer(request, body, job, "image_generation")

    async def edit(self, request: Request) -> Response:
        """Serve POST /v1/images/edits."""
        form = await read_form(request, self._max_picture)
        body = _seeded(read_body(EditBody, form.fields, strict=False), request)
        inputs = await run_in_threadpool(keep_inputs, self._studio, form, self._max_picture)
        job = edit_job(body, inputs, self._models)
        return await self._answer(request, body, job, "image_edit", inputs)

    async def vary(self, request: Request) -> Response:
        """Serve POST /v1/images/variations."""
        form = await read_form(request, self._max_picture)
        if form.mask is not None or len(form.pictures) > 1:
            raise ApiError("A variation takes one picture and no mask.", param="image")
        body = _seeded(read_body(VariationBody, form.fields, strict=False), request)
        inputs = await run_in_threadpool(keep_inputs, self._studio, form, self._max_picture)
        job = variation_job(body, inputs, self._models)
        return await self._answer(request, body, job, "image_edit", inputs)

    async def list_models(self, request: Request) -> Response:
        """Serve GET /v1/models."""
        return JSONResponse({"object": "list", "data": self._models.entries()})

    async def show_model(self, request: Request) -> Response:
        """Serve GET /v1/models/{model}."""
        name = request.path_params["model"]
        entry = self._models.entry(name)
        if entry is None:
            shown = name[:80].encode("utf-8", "replace").decode()
            raise ApiError(
                f"The model '{shown}' does not exist here. Models: "
                f"{', '.join(self._models.names)}.",
                status=404,
                param="model",
                code="model_not_found",
            )
        return JSONResponse(entry)

    async def _answer(
        self,
        request: Request,
        body: Asked,
        job: Job,
        kind: EventKind,
        inputs: Inputs | None = None,
    ) -> Response:
        sources = [] if inputs is None else [inputs.source]
        answering = Answering(self._studio, body, job, sources, self._address_at(request))
        deadline_s = self._studio.settings.images_deadline_s
        if isinstance(body, Painted) and body.stream:
            events = paint_in_turn(self._studio, job, body.partial_images)
            return await _stream(request, answering, events, kind, deadline_s)

        async def work() -> dict[str, Any]:
            async with asyncio.timeout(deadline_s):
                made = await paint_all(self._studio, job)
            return await run_in_threadpool(answering.whole, made)

        return JSONResponse(await while_present(request, work()))

    def _address_at(self, request: Request) -> Callable[[ImageRecord], str]:
        base = str(request.base_url).rstrip("/")

        def address(record: ImageRecord) -> str:
            # Clients fetch it without their key, so it is signed wherever the server's own is.
            links = self._studio.links
            return links.url(record) or f"{base}/{links.path(record)}"

        return address


async def _stream(
    request: Request,
    answering: Answering,
    events: Any,
    kind: EventKind,
    deadline_s: float,
) -> Response:
    """Answer with events; what goes wrong before the first is a plain error answer."""
    painting = cast("AsyncGenerator[Event, None]", events)
    ends_at = asyncio.get_running_loop().time() + deadline_s

    async def following() -> Event | None:
        async with asyncio.timeout_at(ends_at):
            return await anext(painting, None)

    try:
        first = await while_present(request, following())
    except BaseException:
        await painting.aclose()
        raise

    async def told() -> AsyncGenerator[dict[str, Any], None]:
        event = first
        async with aclosing(painting):
            try:
                while event is not None:
                    if isinstance(event, Partial):
                        yield await run_in_threadpool(answering.partial, kind, event)
                    elif isinstance(event, Completed):
                        yield await run_in_threadpool(answering.completed, kind, event)
                    event = await following()
            except Exception as error:
                yield {"type": "error", **_explain(error).body}

    return EventStream(told())


def _guarded(handler: _Handler) -> _Handler:
    """Return a handler that answers every error in this API's shape and logs how it went."""

    async def endpoint(request: Request) -> Response:
        started = time.monotonic()
        outcome = "ok"
        try:
            return await handler(request)
        except ClientDisconnect:
            outcome = "cancelled"
            return Response(status_code=499)
        except Exception as error:
            said = _explain(error)
            outcome = said.code
            return said.response()
        finally:
            seconds = round(time.monotonic() - started, 3)
            fields = {"path": request.url.path[:80], "outcome": outcome[:80], "seconds": seconds}
            logger.info("images api", extra={"fields": fields})

    return endpoint


def _explain(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, AgentToolsError):
        return as_api_error(error)
    if isinstance(error, TimeoutError):
        return as_api_error(
            AgentToolsError(
                "The time for one call is over.",
                code="deadline_exceeded",
                hint="Ask for fewer or smaller pictures.",
            )
        )
    logger.error("The Images API failed unexpectedly", exc_info=error)
    return internal_error()


def _seeded(body: _Body, request: Request) -> _Body:
    """Return the body with a seed of its Idempotency-Key, if it has a key and no seed.

    The same call with the same seed is not painted again (`agent_tools.repeats`), and two at the
    same time share one painting, so a retry gets what the first attempt got.
    """
    key = request.headers.get("idempotency-key")
    if key is None or body.seed is not None:
        return body
    check_key(key)
    return body.model_copy(update={"seed": seed_of(key)})


async def _read_json(request: Request) -> dict[str, Any]:
    body = await read_bytes(request, _MAX_JSON)
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ApiError("The body is not a JSON object.", code="invalid_json")
    return fields
