"""The OpenAI Images API on the wire: what is sent, and what comes back, read with suspicion.

Shapes: https://platform.openai.com/docs/api-reference/images and the types of the `openai`
client. Servers that speak it add keys of their own (`seed`, `num_inference_steps`, ...):
https://docs.vllm.ai/projects/vllm-omni/en/stable/serving/image_generation_api/. Loads no HTTP
library.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import GenerationFailed

if TYPE_CHECKING:
    from PIL import Image

GENERATIONS = "images/generations"
EDITS = "images/edits"
# Keys that not every server takes. Without the first ones a picture comes out differently.
EXTRA_KEYS = (
    *("seed", "negative_prompt", "num_inference_steps", "guidance_scale", "strength"),
    "mask_image",
)
FORM_KEYS = ("response_format", "output_format")
STREAM_KEYS = ("stream", "partial_images")
OPTIONAL_KEYS = frozenset({*EXTRA_KEYS, *FORM_KEYS, *STREAM_KEYS})

_FORMATS = ("PNG", "JPEG", "WEBP")
_MAX_SIDE = 8192
_MAX_PIXELS = 16_777_216
_PREVIEW_SIDE = 256
_UNKNOWN_KEY = re.compile(
    r"unknown|unrecogni[sz]ed|unexpected|unsupported|extra (inputs|fields)|additional propert"
    r"|(not|n't) (currently )?(be )?(support|permit|allow|accept)|only (supported|available)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Call:
    """One POST.

    Attributes:
        path: `GENERATIONS` (sent as JSON) or `EDITS` (sent as multipart form).
        fields: the body's keys.
        files: names and PNG bytes, in order; `EDITS` only.
    """

    path: str
    fields: Mapping[str, Any]
    files: tuple[tuple[str, bytes], ...] = ()

    @property
    def optional(self) -> frozenset[str]:
        """The keys in this body that a server may refuse."""
        return OPTIONAL_KEYS & {*self.fields, *(name for name, _ in self.files)}

    def content(self) -> dict[str, Any]:
        """Return the body as keyword arguments of an httpx request."""
        if self.path == GENERATIONS:
            return {"json": dict(self.fields)}
        form = {key: _form_value(value) for key, value in self.fields.items()}
        files = [(name, ("picture.png", data, "image/png")) for name, data in self.files]
        return {"data": form, "files": files}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a server sent it: its bytes, or an address to fetch it from."""

    data: bytes = field(default=b"", repr=False)
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ServerError:
    """What a server said when it did not do it.

    Attributes:
        message: one clean line.
        code: its stable word, "" if none.
        kind: its error type, "" if none.
        refused: the optional keys that it does not know.
    """

    message: str
    code: str
    kind: str
    refused: frozenset[str]


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of a stream: a preview, the finished pictures, or an error."""

    kind: Literal["partial", "completed", "error"]
    pictures: tuple[Picture, ...] = ()
    error: ServerError | None = None


def read_pictures(body: bytes) -> tuple[Picture, ...]:
    """Return the pictures of a JSON answer.

    Raises:
        GenerationFailed: if it has none.
    """
    return _pictures_in(_json_object(body))


def read_event(data: str) -> StreamEvent | None:
    """Return what one server-sent event says, None if nothing that matters here.

    Raises:
        GenerationFailed: if it is malformed.
    """
    if data.strip() == "[DONE]":
        return None
    event = _json_object(data.encode())
    kind = str(event.get("type", ""))
    if kind == "error" or "error" in event:
        return StreamEvent("error", error=read_error(data.encode(), frozenset()))
    if kind.endswith(".partial_image"):
        return StreamEvent("partial", (_picture(event),))
    if kind.endswith(".completed"):
        return StreamEvent("completed", (_picture(event),))
    # vLLM-Omni ends its streams with the object that a plain answer has.
    return StreamEvent("completed", _pictures_in(event)) if kind == "image" else None


def read_error(body: bytes, sent: Iterable[str]) -> ServerError:
    """Return what an error answer says, whatever its shape.

    Args:
        body: OpenAI's `{"error": {...}}`, FastAPI's `{"detail": ...}`, or anything.
        sent: the optional keys of the request.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    said = error if isinstance(error, dict) else {"message": error}
    message, named = said.get("message"), {str(said.get("param"))}
    unknown = said.get("code") == "unknown_parameter"
    detail = said.get("detail")
    if isinstance(detail, list):  # pydantic's list of what is wrong
        items = [item for item in detail if isinstance(item, dict)][:5]
        message = "; ".join(f"{_last(item.get('loc'))}: {item.get('msg')}" for item in items)
        named = {_last(item.get("loc")) for item in items if item.get("type") == "extra_forbidden"}
        unknown = bool(named)
    elif message is None:
        message = detail
    text = clean_line(message if isinstance(message, str) else "")
    refused = {key for key in sent if key in named and (unknown or _UNKNOWN_KEY.search(text))}
    if _UNKNOWN_KEY.search(text):
        refused |= {key for key in sent if re.search(rf"(?<!\w){key}(?!\w)", text)}
    if refused & {*STREAM_KEYS}:
        refused |= {*STREAM_KEYS} & {*sent}
    return ServerError(text, _word(said.get("code")), _word(said.get("type")), frozenset(refused))


def read_model_names(body: bytes) -> tuple[str, ...]:
    """Return the ids of a `GET /models` answer.

    Raises:
        GenerationFailed: if it is not such an answer.
    """
    entries = _json_object(body).get("data")
    if not isinstance(entries, list):
        raise _malformed("has no list of models")
    ids = (entry.get("id") for entry in entries if isinstance(entry, dict))
    return tuple(name for name in ids if isinstance(name, str))


def decode_picture(data: bytes) -> Image.Image:
    """Decode a PNG, JPEG or WebP to RGB; its size is checked before a pixel is decoded.

    Raises:
        GenerationFailed: too large, another format, truncated or damaged.
    """
    from PIL import Image

    from engine.edit import flatten

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
            width, height = picture.size
            if max(width, height) > _MAX_SIDE or width * height > _MAX_PIXELS:
                raise _malformed(f"holds a picture of {width}x{height} pixels, which is too large")
            picture.load()
            rgb, _ = flatten(picture)
    except GenerationFailed:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise _malformed("holds no readable PNG, JPEG or WebP picture") from error
    clean = rgb.copy()
    clean.info = {}
    return clean


def preview_of(data: bytes) -> Image.Image | None:
    """Decode a partial picture and make it small; None if it cannot be read."""
    try:
        picture = decode_picture(data)
    except GenerationFailed:
        return None  # a preview is no reason to lose the picture
    picture.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    return picture


def encode_png(image: Image.Image) -> bytes:
    """Encode for upload, without metadata."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def encode_mask(mask: Image.Image) -> bytes:
    """Encode a mask so that the API's convention holds: transparent = repaint.

    The colors say the same in the other common convention (white = repaint), for servers that
    drop the transparency.

    Args:
        mask: mode "L", 255 = repaint, 0 = keep.
    """
    from PIL import Image

    return encode_png(Image.merge("RGBA", (mask, mask, mask, mask.point(lambda v: 255 - v))))


def clean_line(text: str, limit: int = 300) -> str:
    """Return text of a server as one printable line of at most `limit` characters."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * limit])
    return " ".join(printable.split())[:limit]


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _malformed("is not JSON") from error
    if not isinstance(answer, dict):
        raise _malformed("is not a JSON object")
    return answer


def _pictures_in(answer: dict[str, Any]) -> tuple[Picture, ...]:
    entries = answer.get("data")
    if not isinstance(entries, list) or not entries:
        raise _malformed("has no pictures")
    return tuple(_picture(entry) for entry in entries)


def _picture(entry: Any) -> Picture:
    encoded, url = None, None
    if isinstance(entry, dict):
        encoded, url = entry.get("b64_json"), entry.get("url")
    if isinstance(url, str) and url.startswith("data:"):
        encoded = url.partition(",")[2]
    if isinstance(encoded, str) and encoded:
        try:
            return Picture(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError) as error:
            raise _malformed("holds a picture that is not base64") from error
    if isinstance(url, str) and url:
        return Picture(url=url)
    raise _malformed("holds neither b64_json nor url")


def _malformed(how: str) -> GenerationFailed:
    return GenerationFailed(
        f"The remote server's answer {how}.",
        hint="Check that AGENT_TOOLS_ENGINE is the address of an Images API.",
    )


def _form_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _last(where: Any) -> str:
    return str(where[-1]) if isinstance(where, list) and where else ""


def _word(value: Any) -> str:
    return clean_line(value, 80) if isinstance(value, str) else ""
