"""Requests for a remote engine, and pictures that a server could answer with."""

from __future__ import annotations

import base64
import io
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from images_api_stub import ImagesApi
from PIL import Image

from engine import ImageRequest
from engine.remote import RemoteEngine

Remote = Callable[..., Awaitable[tuple[ImagesApi, RemoteEngine]]]
MUG = ImageRequest("a red mug", width=64, height=64, seeds=(7,))


def ask(request: ImageRequest = MUG, **changes: Any) -> ImageRequest:
    """The request, changed, under a new id."""
    return replace(request, **{"request_id": uuid.uuid4().hex, **changes})


def picture_bytes(size: tuple[int, int] = (64, 64), kind: str = "PNG") -> bytes:
    """A picture as a file of some format."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, kind)
    return buffer.getvalue()


def answer_with(data: bytes) -> dict[str, Any]:
    """The answer that carries these bytes as its one picture."""
    return {"created": 1, "data": [{"b64_json": base64.b64encode(data).decode()}]}
