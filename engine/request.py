"""What an engine is asked and what it answers: plain data, no torch.

Pictures travel as PIL images; they are imported for types only.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from PIL import Image

Mode = Literal[
    "text-to-image",
    "image-to-image",
    "inpaint",
    "outpaint",
    "sketch-to-image",
    "edit",
    "upscale",
]
MODES: tuple[Mode, ...] = get_args(Mode)
Priority = Literal["interactive", "batch"]


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the noise is removed. None means the model's own default (see `engine.registry`).

    Attributes:
        num_inference_steps: denoising steps, 1 to 200.
        guidance_scale: classifier-free guidance (arXiv:2207.12598); 1 or less turns it off.
        sampler: "ddim", "dpm++", "euler", ...; the model's own scheduler if None.
        strength: image-to-image and inpaint only: share of the noise schedule that is run, (0, 1].
    """

    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    sampler: str | None = None
    strength: float | None = None


@dataclass(frozen=True, slots=True)
class Margins:
    """Pixels to add on each side of a picture."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __iter__(self) -> Iterator[int]:
        """Iterate over left, top, right, bottom."""
        return iter((self.left, self.top, self.right, self.bottom))

    def around(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height of a picture of `size` with these margins."""
        return size[0] + self.left + self.right, size[1] + self.top + self.bottom


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One request for pictures of one prompt.

    What is set decides the way (see `mode`): nothing but words is text-to-image; `image`
    image-to-image; `image` and `mask` inpainting, where pixels outside the mask come back byte
    for byte; `image` and `extend` outpainting; `sketch` sketch-to-image, also together with
    `image` or `mask`; `references` an edit by reference; `image` and `upscale` the second stage.

    Attributes:
        prompt: what to paint.
        negative_prompt: what to keep away from.
        width: pixels; the model's default, or the source image's size, if None.
        height: pixels, likewise.
        seeds: one picture is made for each; the same seed gives the same picture.
        params: sampling parameters.
        image: RGB or RGBA source.
        mask: mode "L", the image's size; 255 = repaint, 0 = keep.
        extend: pixels to add on each side of `image`; the source comes back byte for byte.
        sketch: a line drawing that says where things are.
        references: pictures of what must be recognized in the result; edit models only.
        upscale: factor by which `image`, or with `refine` the painted picture, grows: 2 or 4.
        refine: paint, then run the second stage over the result, in one request; by a factor of 2
            if `upscale` is None.
        model: which of several loaded models paints; the engine's default if None.
        deterministic: never share a forward with other requests: same bytes on every run.
        priority: "interactive" requests go before "batch" ones.
        deadline_s: seconds from submission after which the result is worth nothing.
        caller: who asks; callers share the engine fairly.
        preview_every: steps between small previews in `StepEvent`; 0 = none.
        request_id: names the request in `Engine.cancel` and in logs.
    """

    prompt: str
    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    seeds: tuple[int, ...] = (0,)
    params: SamplingParams = SamplingParams()
    image: Image.Image | None = None
    mask: Image.Image | None = None
    extend: Margins | None = None
    sketch: Image.Image | None = None
    references: tuple[Image.Image, ...] = ()
    upscale: int | None = None
    refine: bool = False
    model: str | None = None
    deterministic: bool = False
    priority: Priority = "interactive"
    deadline_s: float | None = None
    caller: str | None = None
    preview_every: int = 0
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def mode(self) -> Mode:
        """The way of making a picture that this request asks for."""
        if self.sketch is not None:
            return "sketch-to-image"
        if self.references:
            return "edit"
        if self.image is None:
            return "text-to-image"
        if self.extend is not None:
            return "outpaint"
        if self.mask is not None:
            return "inpaint"
        return "upscale" if self.upscale is not None and not self.refine else "image-to-image"


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The pictures of one request.

    Attributes:
        images: RGB, one for each seed, in order.
        seeds: the seeds they were made from.
        model: the model's name, e.g. "starter".
        revision: the weights' revision or content hash.
        params: the parameters that were really used (no None left in steps and guidance).
        timings_s: seconds by stage: "queued", "text" (all before the first denoising step: the
            prompt's encoding, the source's), "denoise", "decode", "total".
        libraries: versions of the libraries that made them.
        warnings: what the caller should know (size rounded, words unknown).
        precision: number format and device, such as "float32 on cpu"; same bytes need the same.
        shared_forwards: denoiser forwards that were shared with other requests. With none the
            bytes are those of running alone; see docs/reproducibility.md for the rest.
    """

    images: tuple[Image.Image, ...]
    seeds: tuple[int, ...]
    model: str
    revision: str
    params: SamplingParams
    timings_s: dict[str, float]
    libraries: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    precision: str = ""
    shared_forwards: int = 0


@dataclass(frozen=True, slots=True)
class Queued:
    """The request was taken; `position` requests are ahead of it."""

    request_id: str
    position: int
    estimated_wait_s: float


@dataclass(frozen=True, slots=True)
class StepEvent:
    """Denoising step `step` of `total` is done (1-based).

    Attributes:
        preview: a small picture of the state so far, if the request asked for it.
    """

    request_id: str
    step: int
    total: int
    preview: Image.Image | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The pictures are ready."""

    request_id: str
    result: ImageResult


ImageEvent = Queued | StepEvent | Done
