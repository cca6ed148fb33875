"""Which pipeline serves a request, or an error that names a model that could. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import InvalidRequest, UnsupportedMode
from engine.registry import KNOWN_MODELS, ModelSpec, models_serving

if TYPE_CHECKING:
    from engine.request import ImageRequest, Mode

Start = Literal["noise", "image", "mask"]
# By family and by what else is given: the diffusers class that also takes a ControlNet.
CONTROLNET_PIPELINES: dict[str, dict[Start, str]] = {
    "stable-diffusion": {
        "noise": "StableDiffusionControlNetPipeline",
        "image": "StableDiffusionControlNetImg2ImgPipeline",
        "mask": "StableDiffusionControlNetInpaintPipeline",
    },
    "stable-diffusion-xl": {
        "noise": "StableDiffusionXLControlNetPipeline",
        "image": "StableDiffusionXLControlNetImg2ImgPipeline",
        "mask": "StableDiffusionXLControlNetInpaintPipeline",
    },
}
# Edit families whose inpainting class also takes a reference, and one only.
_INPAINT_REFERENCE = {"flux2-klein": "image_reference"}


@dataclass(frozen=True, slots=True)
class UpscalerSpec:
    """A network whose only work is the second stage.

    Attributes:
        name: short name, never a path.
        scale: how many times larger its output is.
        tile: side of the largest part it is shown, input pixels.
        multiple: both sides of a part must be multiples of this many pixels.
        class_name: its diffusers pipeline class; None for a plain network, run once a tile.
        steps: default denoising steps.
        guidance: default guidance scale.
    """

    name: str
    scale: int
    tile: int
    multiple: int
    class_name: str | None = None
    steps: int = 0
    guidance: float = 0.0


@dataclass(frozen=True, slots=True)
class Companions:
    """What was loaded beside the model.

    Attributes:
        controlnet: name of the ControlNet that reads line drawings, or None.
        upscaler: the network of the second stage, or None.
    """

    controlnet: str | None = None
    upscaler: UpscalerSpec | None = None


NO_COMPANIONS = Companions()


@dataclass(frozen=True, slots=True)
class Way:
    """How a picture is painted.

    Attributes:
        class_name: the diffusers pipeline class.
        reads_sketch: whether the sketch goes in as a ControlNet condition.
        image_is_reference: whether the source goes in among the references instead of being
            the start.
        reference_argument: the argument that takes the references, or None.
        warnings: what to know about it.
    """

    class_name: str
    reads_sketch: bool = False
    image_is_reference: bool = False
    reference_argument: str | None = None
    warnings: tuple[str, ...] = ()


def choose_way(request: ImageRequest, spec: ModelSpec, companions: Companions) -> Way:
    """Choose the pipeline for a request's picture, the second stage left aside.

    Raises:
        UnsupportedMode: if this model cannot; names models or settings that can.
        InvalidRequest: if what is asked for does not go together.
    """
    classes = spec.family.classes
    if request.sketch is not None and companions.controlnet is not None:
        return _with_controlnet(request, spec)
    if request.sketch is not None:
        return _sketch_as_reference(request, spec)
    if request.references:
        return _with_references(request, spec, len(request.references))
    if request.mask is not None or request.extend is not None:
        return Way(_class(spec, request.mode))
    if request.image is None:
        return Way(_class(spec, "text-to-image"))
    if spec.family.cond_strength_class and request.params.strength is not None:
        return Way(spec.family.cond_strength_class)
    if "image-to-image" not in classes and "edit" in classes:
        return _with_references(request, spec, 0)
    return Way(_class(spec, "image-to-image"))


def start_class(spec: ModelSpec) -> str | None:
    """Return the class that starts from a noised source (image-to-image with `strength`)."""
    if spec.family.cond_strength_class:
        return spec.family.cond_strength_class
    return spec.family.classes.get("image-to-image") if spec.strength is not None else None


def controlnet_families() -> str:
    """Return the known models that a ControlNet can be added to, for error messages."""
    return ", ".join(spec.name for spec in KNOWN_MODELS if spec.family.name in CONTROLNET_PIPELINES)


def _with_controlnet(request: ImageRequest, spec: ModelSpec) -> Way:
    if request.references:
        raise UnsupportedMode(
            f"Model '{spec.name}' does not take references and a sketch together.",
            hint=f"Models that take references: {', '.join(models_serving('edit')) or 'none'}.",
        )
    start: Start = "noise" if request.image is None else "image"
    if request.mask is not None or request.extend is not None:
        start = "mask"
    if start != "mask":
        # An inpainting network can do nothing else.
        _class(spec, "text-to-image" if start == "noise" else "image-to-image")
    return Way(CONTROLNET_PIPELINES[spec.family.name][start], reads_sketch=True)


def _sketch_as_reference(request: ImageRequest, spec: ModelSpec) -> Way:
    """Let an edit model see the drawing as a picture; others cannot read it.

    Image-to-image from a drawing is no substitute: below a strength of about 0.9 the result is a
    tinted drawing, above it the drawing is forgotten.
    """
    if "edit" not in spec.family.classes or request.mask is not None or request.extend is not None:
        raise UnsupportedMode(
            f"Model '{spec.name}' does not do sketch-to-image here.",
            hint=f"Add a ControlNet (setting 'controlnet') to a model that takes one "
            f"({controlnet_families()}), or use an edit model without a mask "
            f"({', '.join(models_serving('edit')) or 'none known'}).",
        )
    way = _with_references(request, spec, len(request.references) + 1)
    note = "The sketch was shown to the model as a reference; say in the prompt to follow it."
    return Way(
        way.class_name,
        image_is_reference=way.image_is_reference,
        reference_argument=way.reference_argument,
        warnings=(note,),
    )


def _with_references(request: ImageRequest, spec: ModelSpec, count: int) -> Way:
    """Choose the class that is shown `count` pictures beside the source."""
    masked = request.mask is not None or request.extend is not None
    from_source = request.image is not None and request.params.strength is not None
    if (masked or from_source) and spec.family.name in _INPAINT_REFERENCE:
        if count > 1:
            raise InvalidRequest(
                f"Beside a source that is repainted, model '{spec.name}' takes one reference; "
                f"{count} were given (the sketch included).",
                hint="Give the most important one.",
            )
        argument = _INPAINT_REFERENCE[spec.family.name]
        return Way(_class(spec, "inpaint"), reference_argument=argument)
    class_name = _class(spec, "edit")
    if masked:
        able = [known.name for known in KNOWN_MODELS if known.family.name in _INPAINT_REFERENCE]
        raise UnsupportedMode(
            f"Model '{spec.name}' does not take references together with a mask or extend.",
            hint=f"Models that do: {', '.join(able)}.",
        )
    if from_source:
        raise InvalidRequest(
            f"Model '{spec.name}' takes the picture as a reference and knows no strength.",
            hint="Leave strength unset, or say in the prompt how much to change.",
        )
    return Way(
        class_name,
        image_is_reference=request.image is not None,
        reference_argument=spec.family.reference_argument,
    )


def _class(spec: ModelSpec, mode: Mode) -> str:
    class_name = spec.family.class_for(mode)
    if class_name is None:
        raise UnsupportedMode(
            f"Model '{spec.name}' does not do {mode}.",
            hint=f"Models that do: {', '.join(models_serving(mode))}.",
        )
    return class_name
