"""What a caller may ask for: the fields of OpenAI's Images API, and a few of our own.

The fields are those of the `openai` client 3.57. What this server cannot do is refused by name;
what has no meaning here but harms nobody is taken and noted in the answer.
https://platform.openai.com/docs/api-reference/images
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_tools.painting import MAX_SEED, PromptText
from server.images_api.errors import ApiError, refused_field

MIN_SIDE, MAX_SIDE = 64, 3840
MAX_PIXELS = 3840 * 2160
OutputFormat = Literal["png", "webp", "jpeg"]
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
# Fields of the client that name what no model here can do, and why.
_REFUSED = {
    "frame_count": "Moving pictures are not made here.",
    "frame_duration_ms": "Moving pictures are not made here.",
    "svg": "Vector pictures are not made here; the MCP tool draw_diagram draws diagrams.",
    "markup": "Overlays are not read here; send a mask instead.",
}
_REFUSED_FORMATS = {"gif", "svg"}
_Body = TypeVar("_Body", bound="Asked")


class Asked(BaseModel):
    """What all three calls have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Field(max_length=200)] | None = None
    n: int = Field(default=1, ge=1, le=10)
    size: str = "auto"
    response_format: Literal["url", "b64_json"] = "b64_json"
    user: Annotated[str, Field(max_length=512)] | None = None
    safety_identifier: Annotated[str, Field(max_length=512)] | None = None
    # Ours, under the names that other servers of open models use.
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    negative_prompt: str = Field(default="", max_length=1000)
    num_inference_steps: int | None = Field(default=None, ge=1, le=150)
    guidance_scale: float | None = Field(default=None, ge=0, le=30)

    @property
    def wanted_size(self) -> tuple[int, int] | None:
        """Width and height in pixels, or None for "auto"."""
        found = _SIZE.fullmatch(self.size)
        return None if found is None else (int(found[1]), int(found[2]))

    @property
    def end_user(self) -> str | None:
        """Who asks on the other side of the platform, as OpenAI's answers repeat it."""
        return self.safety_identifier or self.user or None


class Painted(Asked):
    """What generations and edits have in common."""

    prompt: PromptText
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"] = "auto"
    background: Literal["transparent", "opaque", "auto"] = "auto"
    output_format: OutputFormat = "png"
    output_compression: int = Field(default=100, ge=0, le=100)
    moderation: Literal["low", "auto"] = "auto"
    complexity: Literal["low", "medium", "high"] | None = None
    stream: bool = False
    partial_images: int = Field(default=0, ge=0, le=3)


class GenerateBody(Painted):
    """POST /v1/images/generations."""

    style: Literal["vivid", "natural"] | None = None


class EditBody(Painted):
    """POST /v1/images/edits, without its pictures."""

    input_fidelity: Literal["high", "low"] | None = None
    strength: float | None = Field(default=None, gt=0, le=1)


class VariationBody(Asked):
    """POST /v1/images/variations, without its picture."""

    prompt: PromptText | None = None
    strength: float | None = Field(default=None, gt=0, le=1)


def read_body(kind: type[_Body], fields: Mapping[str, Any], *, strict: bool) -> _Body:
    """Check the fields of a body.

    Args:
        kind: whose fields.
        fields: as they came; null means "not given".
        strict: whether types must be right as they are (JSON) or are written as text (a form).

    Raises:
        ApiError: naming the first field that is wrong.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    for name, why in _REFUSED.items():
        # A form spells the fields of an object like svg[model].
        if any(key == name or key.startswith(f"{name}[") for key in given):
            raise ApiError(why, param=name, code="unsupported_parameter")
    if given.get("output_format") in _REFUSED_FORMATS:
        raise ApiError(
            f"output_format '{given['output_format']}' cannot be made here. Use png, webp or jpeg.",
            param="output_format",
            code="unsupported_value",
        )
    try:
        body = kind.model_validate(given, strict=strict)
    except ValidationError as error:
        raise refused_field(error) from None
    _check_size(body)
    if isinstance(body, Painted):
        _check_together(body)
    return body


def _check_size(body: Asked) -> None:
    if body.size == "auto":
        return
    size = body.wanted_size
    if size is None:
        raise ApiError(
            f"Invalid size '{body.size[:40]}'. Write WIDTHxHEIGHT, such as 1024x1024, or 'auto'.",
            param="size",
        )
    if min(size) < MIN_SIDE or max(size) > MAX_SIDE or size[0] * size[1] > MAX_PIXELS:
        raise ApiError(
            f"Invalid size '{body.size}'. Sides are {MIN_SIDE} to {MAX_SIDE} pixels, and both "
            f"together at most {MAX_PIXELS:,} pixels (3840x2160).",
            param="size",
        )


def _check_together(body: Painted) -> None:
    """Refuse fields that contradict each other."""
    transparent = body.background == "transparent"
    if transparent and body.output_format == "jpeg":
        raise ApiError(
            "A JPEG has no transparency. Use output_format png or webp.", param="output_format"
        )
    if body.output_compression != 100 and body.output_format == "png":
        raise ApiError(
            "A PNG is not compressed with loss. Use output_format webp or jpeg.",
            param="output_compression",
        )
    if body.partial_images and not body.stream:
        raise ApiError("Partial pictures need stream=true.", param="partial_images")
    if body.response_format == "url":
        if body.stream:
            raise ApiError("A stream carries b64_json, no addresses.", param="response_format")
        if transparent or body.output_format != "png":
            raise ApiError(
                "An address leads to the picture as it is kept: an opaque PNG. "
                "Use response_format b64_json.",
                param="response_format",
            )
