"""What edit_image takes and returns."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from agent_tools.errors import InvalidArguments
from agent_tools.painting import EditSeed, PromptText
from agent_tools.region_arguments import BoxArgument, PointArgument
from agent_tools.repeats import Fresh
from agent_tools.results import ImageInfo
from agent_tools.tools.base import Arguments


def _margin(side: str) -> Any:
    return Field(
        default=0,
        ge=0,
        le=1024,
        description=f"Pixels to paint beyond the {side} edge; the picture itself stays untouched.",
    )


class EditImageArguments(Arguments):
    """Which picture, and what it shall show."""

    image_id: str = Field(description="The picture to edit, from an earlier result.")
    prompt: PromptText | None = Field(
        default=None,
        description="What the picture shall show afterwards. With a mask: what shall be in the "
        "masked part. Describe the result ('a red teapot on a white background'); short changes "
        "('make it red') are understood for things the starter model knows.",
    )
    background: PromptText | None = Field(
        default=None,
        description="Instead of prompt: keep the thing, byte for byte, and put it on another "
        "background: 'transparent' cuts it out, a color ('white', '#F4F4F4') is plain, words "
        "('on a wooden table') are painted.",
    )
    point: PointArgument = None
    box: BoxArgument = None
    mask_id: str | None = Field(
        default=None,
        description="A black and white picture of the same size: white is repainted, black stays "
        "untouched to the byte. Without it the whole picture may change. With background: white is "
        "the thing that stays; without it, point, box or a plain background must tell.",
    )
    strength: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="How far to go: 0.3 keeps most, 1 keeps nothing. Default 1 with a mask or "
        "where the picture is extended, else the model's own (mostly 0.6).",
    )
    extend_left: int = _margin("left")
    extend_top: int = _margin("top")
    extend_right: int = _margin("right")
    extend_bottom: int = _margin("bottom")
    sketch_id: str | None = Field(
        default=None,
        description="A line drawing in the proportions of the picture that says where things are; "
        "for models with a ControlNet, and for edit models.",
    )
    reference_ids: list[str] = Field(
        default_factory=list,
        max_length=4,
        description="Pictures of what must be recognized in the result; for edit models.",
    )
    negative_prompt: str = Field(default="", max_length=1000, description="What to keep away from.")
    seed: EditSeed = None
    steps: int | None = Field(
        default=None, ge=1, le=150, description="Denoising steps; the model's default if left out."
    )
    guidance: float | None = Field(
        default=None,
        ge=0,
        le=30,
        description="How closely to follow the words; the model's default if left out.",
    )
    model: str | None = Field(
        default=None,
        max_length=200,
        description="Which of the server's models paints; its default if left out.",
    )
    fresh: Fresh = False


class EditImageOutput(BaseModel):
    """The edited picture and what stayed."""

    images: list[ImageInfo] = Field(description="One picture.")
    source_image_id: str
    prompt: str = Field(description="The words it was painted from; empty if nothing was.")
    model: str
    strength: float | None = Field(description="Strength used; null if the model has none.")
    outside_max_change: int | None = Field(
        description="Largest change of any byte outside the repainted part, measured; 0 means "
        "untouched. null if the whole picture could change."
    )
    mask_id: str | None = Field(
        default=None, description="With background: the mask of what stayed, to be used again."
    )
    seconds: float = Field(description="Time the engine took.")
    warnings: list[str]


def check_combination(asked: EditImageArguments) -> None:
    """Refuse arguments that contradict each other rather than ignore one of them.

    Raises:
        InvalidArguments: saying which.
    """
    if (asked.prompt is None) == (asked.background is None):
        raise InvalidArguments(
            "'prompt' is missing."
            if asked.prompt is None
            else "prompt and background do not go together.",
            hint="Give prompt to repaint, or background to keep the thing and change what is "
            "behind it.",
        )
    if asked.background is None:
        wrong = [name for name in ("point", "box") if getattr(asked, name) is not None]
        if wrong:
            raise InvalidArguments(
                f"{' and '.join(wrong)} needs background.",
                hint="To repaint a part give mask_id; create_product_variants makes masks.",
            )
        return
    allowed = {"image_id", "background", "mask_id", "point", "box", "seed", "steps", "fresh"}
    wrong = sorted(name for name in asked.model_fields_set - allowed if getattr(asked, name))
    if wrong:
        raise InvalidArguments(
            f"{' and '.join(wrong)} cannot be used with background.",
            hint=f"background goes with {', '.join(sorted(allowed - {'background'}))}.",
        )
