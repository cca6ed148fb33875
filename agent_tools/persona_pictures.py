"""A persona's further pictures, derived from the canonical one and never from words alone.

Models that take references are shown the canonical picture; others start from it (image-to-image).
The starter model repaints only the part that changes: the face for another expression, the chest
for other clothes, what is behind the outline for another background; all else stays byte for byte.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_tools.appearance import STARTER, painted_face, portrait_prompt
from agent_tools.confetti import with_confetti
from agent_tools.errors import AgentToolsError, InvalidArguments, Refused
from agent_tools.painting import MAX_SEED, paint, seeds_from
from agent_tools.persona_outline import Source, outlined
from agent_tools.starter_portrait import BODY, FACE, Look, behind, read_look
from engine.errors import UnsupportedMode
from engine.registry import find_model
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from agent_tools.appearance import Expression
    from agent_tools.personas import Persona
    from agent_tools.portrait import Outline
    from agent_tools.studio import Studio
    from agent_tools.tools.base import Progress
    from engine.engine import Engine
    from engine.request import ImageResult

# Enough for another face, too little for another person (image-to-image, models without edit).
_FACE_STRENGTH, _SCENE_STRENGTH = 0.5, 0.65


@dataclass(frozen=True, slots=True)
class Change:
    """What shall differ from the picture that a new one is derived from.

    Attributes:
        expression: the mood of the face.
        background, outfit, pose: in words; empty to keep.
    """

    expression: Expression
    background: str = ""
    outfit: str = ""
    pose: str = ""

    @property
    def only_expression(self) -> bool:
        """Whether nothing but the face changes."""
        return not (self.background or self.outfit or self.pose)

    @property
    def nothing(self) -> bool:
        """Whether a neutral canonical picture shows it already."""
        return self.expression == "neutral" and self.only_expression


@dataclass(frozen=True, slots=True)
class Derived:
    """Pictures that were derived from one.

    Attributes:
        images: one for each seed.
        seeds: the seeds.
        request: the last request that painted them.
        result: its result.
        appearance: the look they show.
        way: "reference", "image-to-image" or "masked".
        seconds: time the engine took in all.
        warnings: what to know about them.
    """

    images: tuple[Image.Image, ...]
    seeds: tuple[int, ...]
    request: ImageRequest
    result: ImageResult
    appearance: str
    way: str
    seconds: float
    warnings: tuple[str, ...]


async def derive(
    studio: Studio,
    persona: Persona,
    source: Source,
    change: Change,
    *,
    index: int,
    count: int,
    progress: Progress,
    share: tuple[float, float],
) -> Derived:
    """Paint `count` pictures of a persona from one that is there.

    Args:
        source: the canonical picture, or one derived from it.
        index: number of the first; the same number gives the same picture.
        progress, share: as in `paint`.

    Raises:
        InvalidArguments: for what the model at hand cannot change; says what it can.
        Refused: if a new background is asked for and the figure cannot be outlined.
    """
    label = f"Painting {persona.name}, {change.expression}"
    seeds = seeds_from((persona.seed + index) % (MAX_SEED + 1), count)
    painter = _Painter(studio, persona, progress, share, label)
    if studio.engine.model == STARTER:
        return await _masked(painter, source, change, seeds)
    return await _by_model(painter, source, change, seeds)


@dataclass(slots=True)
class _Painter:
    """Paints the steps of one derivation and adds up their time."""

    studio: Studio
    persona: Persona
    progress: Progress
    share: tuple[float, float]
    label: str
    seconds: float = 0.0

    async def paint(self, request: ImageRequest, part: tuple[float, float]) -> ImageResult:
        low, high = self.share
        share = (low + (high - low) * part[0], low + (high - low) * part[1])
        result = await paint(self.studio, request, self.progress, label=self.label, share=share)
        self.seconds += result.timings_s.get("total", 0.0)
        return result


async def _by_model(
    painter: _Painter, source: Source, change: Change, seeds: tuple[int, ...]
) -> Derived:
    """Show the model the picture as a reference, or start from it where it takes none."""
    persona = painter.persona
    picture = source.picture.convert("RGB")
    appearance = changed_words(persona, change)
    model = painter.studio.engine.model
    words = portrait_prompt(appearance, change.expression, model, persona.style, change.pose)
    by_reference = ImageRequest(
        prompt=f"The same person as in the picture, identity unchanged: {words}",
        seeds=seeds,
        references=(picture,),
    )
    strength = _FACE_STRENGTH if change.only_expression else _SCENE_STRENGTH
    from_image = ImageRequest(
        prompt=words, seeds=seeds, image=picture, params=SamplingParams(strength=strength)
    )
    request, way = from_image, "image-to-image"
    if await _may_take_references(painter.studio.engine):
        request, way = by_reference, "reference"
    try:
        result = await painter.paint(request, (0, 1))
    except UnsupportedMode:
        if request is from_image:
            raise
        request, way = from_image, "image-to-image"
        result = await painter.paint(request, (0, 1))
    warnings = list(result.warnings)
    if way == "image-to-image" and change.pose:
        warnings.append(f"Model {model} starts from the canonical picture and may keep its pose.")
    return Derived(
        result.images,
        result.seeds,
        request,
        result,
        appearance,
        way,
        painter.seconds,
        tuple(warnings),
    )


async def _may_take_references(engine: Engine) -> bool:
    """Whether it is worth asking: what is not known of a remote model, it will say itself."""
    from engine.engine import LocalEngine

    if isinstance(engine, LocalEngine):
        await engine.load()  # before, a model that nobody has listed is only guessed at
        return "edit" in engine.spec.modes
    known = find_model(engine.model)
    return known is None or "edit" in known.modes


def changed_words(persona: Persona, change: Change) -> str:
    """Return a persona's look in words with another outfit or background."""
    parts = persona.appearance.split(", ")
    attributes = persona.attributes
    if change.outfit:
        worn = f"{attributes.get('clothing_color', '')} {attributes.get('clothing', '')}".strip()
        parts = [part for part in parts if part != worn] + [f"wearing {change.outfit}"]
    if change.background:
        place = change.background.removesuffix(" background")
        parts = [part for part in parts if not part.endswith(" background")]
        parts.append(f"{place} background")
    return ", ".join(parts)


async def _masked(
    painter: _Painter, source: Source, change: Change, seeds: tuple[int, ...]
) -> Derived:
    """Repaint, one after the other, the clothes, the background and the face."""
    look = read_look(source.prompt)
    if look is None or source.model != STARTER:
        raise AgentToolsError(
            "The starter model derives pictures only from portraits that it painted itself.",
            code="unsupported_mode",
            hint="Use a model that takes references, such as flux2-klein (setting 'model').",
        )
    if change.pose:
        raise InvalidArguments(
            "The starter model draws head and shoulders from the front, in no other pose.",
            hint="Leave 'pose' out, or use a model that takes references.",
        )
    picture = source.picture
    size = picture.size
    steps: list[tuple[Look, Callable[[], Image.Image]]] = []
    wanted, warnings = look, list[str]()
    around: Outline | None = None
    if change.outfit:
        wanted, unknown = wanted.dressed(change.outfit)
        warnings += unknown
        steps.append((wanted, lambda: BODY.mask(size)))
    if change.background:
        wanted, unknown = wanted.before(change.background)
        warnings += unknown
        around = await outlined(painter.studio, source)
        mask = behind(around.mask)
        steps.append((wanted, lambda: mask))
    face = painted_face(change.expression, STARTER)
    if wanted.expression != face or not steps:
        wanted = wanted.with_expression(face)
        steps.append((wanted, lambda: FACE.mask(size)))
    pictures: tuple[Image.Image, ...] = (picture.convert("RGB"),)
    for number, (look, mask_of) in enumerate(steps):
        last = number == len(steps) - 1
        request = ImageRequest(
            prompt=look.caption,
            seeds=seeds if last else (painter.persona.seed,),
            image=pictures[0],
            mask=mask_of(),
            params=SamplingParams(strength=1.0),
        )
        part = (number / len(steps), (number + 1) / len(steps))
        result = await painter.paint(request, part)
        pictures = result.images
    warnings += result.warnings
    if face != change.expression:
        warnings.append(f"The starter model shows '{change.expression}' as a {face} face.")
    if change.expression == "celebrating":
        pictures, note = await _celebrated(painter, source, around, pictures)
        warnings.append(note)
    return Derived(
        pictures,
        result.seeds,
        request,
        result,
        wanted.words,
        "masked",
        painter.seconds,
        tuple(dict.fromkeys(warnings)),
    )


async def _celebrated(
    painter: _Painter,
    source: Source,
    around: Outline | None,
    pictures: tuple[Image.Image, ...],
) -> tuple[tuple[Image.Image, ...], str]:
    """Draw confetti behind the figure: no other face tells celebrating from smiling."""
    try:
        around = around or await outlined(painter.studio, source)
    except Refused:
        return pictures, "No confetti was drawn: the figure cannot be told from its background."
    mask, seed = around.mask, painter.persona.seed
    drawn = await asyncio.to_thread(
        lambda: tuple(with_confetti(picture, mask, seed) for picture in pictures)
    )
    return drawn, "The confetti behind the figure is drawn by the tool, not painted by the model."
