"""A small Images API on loopback that speaks the wire shapes of real servers and is strict.

Two dialects. "openai": unknown keys are refused one at a time, sizes are multiples of 16, streams
carry partial pictures. "vllm-omni": seed and other keys are taken, unknown ones ignored without a
word, errors have FastAPI's shape, edits do not stream. The first is checked against the real
`openai` client in test_remote_engine.py.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import uvicorn
from PIL import Image, ImageOps
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

KEY = "sk-test-0123456789abcdef"
_OPENAI_KEYS = frozenset(
    (
        *("prompt", "model", "n", "size", "quality", "background", "output_format"),
        *("output_compression", "moderation", "stream", "partial_images", "style", "user"),
        *("safety_identifier", "input_fidelity", "image", "mask"),
    )
)
_USAGE = {
    "input_tokens": 10,
    "output_tokens": 100,
    "total_tokens": 110,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 10},
}
Answer = Callable[[Request], Response]


@dataclass(frozen=True)
class Received:
    """One POST as it arrived: its keys, its pictures by name, its headers, when."""

    path: str
    fields: dict[str, Any]
    files: list[tuple[str, Image.Image]]
    headers: dict[str, str]
    at: float = field(default_factory=time.monotonic)


class Refusal(Exception):
    """An error answer in one of the dialects."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status, self.body = status, body


class ImagesApi:
    """What the stub answers, and what it was asked.

    Attributes:
        received: every POST that was well-formed and let in, in order.
        answers: taken one for each POST, before anything else happens; then the usual answer.
        hang: keep every POST waiting.
        left: set when a client hung up on a POST that waits.
        painted: pictures made.
        size: paint at this size whatever was asked.
        at_most: pictures per answer, whatever `n` says.
        as_url: answer with addresses made by this function from the picture's number.
    """

    def __init__(
        self,
        dialect: Literal["openai", "vllm-omni"] = "openai",
        *,
        models: tuple[str, ...] | None = ("painter-1",),
        edits: bool = True,
    ) -> None:
        self.dialect, self.models, self.edits = dialect, models, edits
        self.received: list[Received] = []
        self.answers: deque[Answer] = deque()
        self.hang = False
        self.waiting = asyncio.Event()
        self.left = asyncio.Event()
        self.painted = 0
        self.size: tuple[int, int] | None = None
        self.at_most = 10
        self.as_url: Callable[[int], str] | None = None
        self.stored: dict[str, bytes] = {}
        self.url = ""

    def answer_next(
        self, status: int, body: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        """Answer the next POST with this instead."""
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        kind = {"content-type": "application/json", **(headers or {})}
        self.answers.append(lambda _: Response(content, status, kind))

    def app(self) -> Starlette:
        """Build the application."""
        return Starlette(
            routes=[
                Route("/v1/models", self._models, methods=["GET"]),
                Route("/v1/images/generations", self._generations, methods=["POST"]),
                Route("/v1/images/edits", self._edits, methods=["POST"]),
                Route("/v1/images/{name}/content", self._content, methods=["GET"]),
            ],
            # a client that hangs up while it sends: nobody is left to answer
            exception_handlers={ClientDisconnect: lambda *_: Response(status_code=499)},
        )

    async def _models(self, request: Request) -> Response:
        if (refused := self._locked_out(request)) is not None:
            return refused
        if self.models is None:
            return Response(status_code=404)
        entries = [{"id": m, "object": "model", "created": 0, "owned_by": "x"} for m in self.models]
        return JSONResponse({"object": "list", "data": entries})

    async def _generations(self, request: Request) -> Response:
        if (refused := self._locked_out(request)) is not None:
            return refused
        assert request.headers["content-type"] == "application/json"
        return await self._paint(request, await request.json(), [], "image_generation")

    async def _edits(self, request: Request) -> Response:
        if (refused := self._locked_out(request)) is not None:
            return refused
        if not self.edits:
            return JSONResponse({"detail": "Not Found"}, 404)
        assert request.headers["content-type"].startswith("multipart/form-data")
        fields: dict[str, Any] = {}
        files = []
        async with request.form() as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    assert value.content_type == "image/png" and value.filename
                    picture = Image.open(io.BytesIO(await value.read()), formats=["PNG"])
                    picture.load()
                    files.append((name, picture))
                else:
                    fields[name] = (
                        json.loads(value) if re.fullmatch(r"[\d.]+|true", value) else value
                    )
        return await self._paint(request, fields, files, "image_edit")

    async def _content(self, request: Request) -> Response:
        if (refused := self._locked_out(request)) is not None:
            return refused
        return Response(self.stored[request.path_params["name"]], media_type="image/png")

    def _locked_out(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {KEY}":
            return None
        said = request.headers.get("authorization", "nothing").removeprefix("Bearer ")
        error = {
            "message": f"Incorrect API key provided: {said}.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
        return JSONResponse({"error": error}, 401)

    async def _paint(
        self,
        request: Request,
        fields: dict[str, Any],
        files: list[tuple[str, Image.Image]],
        kind: str,
    ) -> Response:
        try:
            self._check(fields, files)
        except Refusal as refusal:
            return JSONResponse(refusal.body, refusal.status)
        call = Received(request.url.path, fields, files, dict(request.headers))
        self.received.append(call)
        if self.answers:
            return self.answers.popleft()(request)
        if self.hang:
            self.waiting.set()
            while not await request.is_disconnected():
                await asyncio.sleep(0.01)
            self.left.set()
            return Response(status_code=499)
        streams = self.dialect == "openai" and fields.get("stream")
        pictures = [self._picture(call, k) for k in range(min(fields.get("n", 1), self.at_most))]
        self.painted += len(pictures)
        if streams:
            return StreamingResponse(
                self._events(call, pictures, kind), media_type="text/event-stream"
            )
        data = [self._entry(picture) for picture in pictures]
        return JSONResponse({"created": 1_764_000_000, "data": data, "usage": _USAGE})

    def _check(self, fields: dict[str, Any], files: list[tuple[str, Image.Image]]) -> None:
        openai = self.dialect == "openai"
        names = [name.removesuffix("[]") for name, _ in files]
        unknown = [key for key in (*fields, *names) if key not in _OPENAI_KEYS]
        if openai and unknown:
            raise _openai(f"Unknown parameter: '{unknown[0]}'.", unknown[0], "unknown_parameter")
        assert isinstance(fields["prompt"], str) and isinstance(fields["model"], str)
        assert isinstance(fields.get("n", 1), int) and 1 <= fields.get("n", 1) <= 10
        if "size" in fields:
            width, height = map(int, re.fullmatch(r"(\d+)x(\d+)", fields["size"]).groups())
            if openai and (width % 16 or height % 16 or not 1 / 3 <= width / height <= 3):
                raise _openai(f"Invalid size '{fields['size']}'.", "size", "invalid_value")
        if not openai and fields.get("guidance_scale", 0) > 20:
            said = {"type": "less_than_equal", "loc": ["body", "guidance_scale"]}
            raise Refusal(422, {"detail": [{**said, "msg": "Input should be at most 20"}]})
        if not openai and files and fields.get("stream"):
            raise Refusal(400, {"detail": "stream=true is only supported by multi-stage models."})
        names = [name for name, _ in files if not name.startswith("mask")]
        assert names in ([], ["image"]) or (len(names) > 1 and set(names) == {"image[]"})
        masks = [picture for name, picture in files if name == "mask"]
        assert len(masks) <= 1
        for mask in masks:
            assert mask.mode == "RGBA" and mask.size == files[0][1].size
        for mask in (picture for name, picture in files if name == "mask_image"):
            assert mask.mode == "L" and mask.size == files[0][1].size
        if not openai and self.models and fields["model"] not in self.models:
            raise Refusal(400, {"detail": f"Model mismatch: not '{fields['model']}'."})

    def _picture(self, call: Received, number: int) -> Image.Image:
        """Paint something that depends on what a real model's picture depends on."""
        seed = call.fields.get("seed", time.monotonic_ns())
        named = f"{call.fields['prompt']}/{seed}/{number}"
        digest = hashlib.sha256(named.encode()).digest()
        width, height = self.size or map(int, call.fields.get("size", "1024x1024").split("x"))
        if call.files:
            painted = ImageOps.invert(call.files[0][1].convert("RGB")).resize((width, height))
            painted.putpixel((0, 0), tuple(digest[:3]))
            return painted
        return Image.new("RGB", (width, height), tuple(digest[:3]))

    def _entry(self, picture: Image.Image) -> dict[str, Any]:
        if self.as_url is None:
            return {"b64_json": _base64(picture), "url": None, "revised_prompt": None}
        name = f"p{len(self.stored)}"
        self.stored[name] = base64.b64decode(_base64(picture))
        return {"url": self.as_url(len(self.stored) - 1)}

    async def _events(
        self, call: Received, pictures: list[Image.Image], kind: str
    ) -> AsyncIterator[str]:
        about = {
            "background": "opaque",
            "created_at": 1_764_000_000,
            "output_format": "png",
            "quality": "high",
            "size": call.fields.get("size", "1024x1024"),
        }
        for picture in pictures:
            for index in range(call.fields.get("partial_images", 0)):
                part = {**about, "b64_json": _base64(picture), "partial_image_index": index}
                yield _event(f"{kind}.partial_image", part)
            done = {**about, "b64_json": _base64(picture), "usage": _USAGE}
            yield _event(f"{kind}.completed", done)


@asynccontextmanager
async def serving(api: ImagesApi, certificate: Path | None = None) -> AsyncIterator[ImagesApi]:
    """Serve the stub on a free port of loopback; `api.url` is its base address.

    Args:
        api: the stub.
        certificate: PEM file of a key and its certificate; with it, https is spoken.
    """
    config = uvicorn.Config(
        api.app(), port=0, log_config=None, timeout_graceful_shutdown=1, ssl_certfile=certificate
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
        if running.done():
            running.result()
    scheme = "http" if certificate is None else "https"
    api.url = f"{scheme}://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield api
    finally:
        server.should_exit = True
        await running


def _openai(message: str, param: str, code: str) -> Refusal:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Refusal(400, {"error": error})


def _base64(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode()


def _event(kind: str, body: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **body})}\n\n"
