"""From a body to pictures: which tool is called how often, and what came of it.

Everything goes through `Studio.call`, like a call over MCP: the same checks, captions, recipes and
gallery.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_tools.errors import AgentToolsError
from agent_tools.painting import seeds_from
from agent_tools.previews import with_previews
from agent_tools.studio import Studio, unknown_tool
from agent_tools.tools.base import Progress, ProgressEvent, no_progress
from server.images_api.bodies import Asked, EditBody, GenerateBody, Painted, VariationBody
from server.images_api.forms import Inputs
from server.images_api.models import ChosenModel, Models

if TYPE_CHECKING:
    from PIL import Image

# The most that generate_image paints in one call, and the sides that it takes.
_COUNT = 4
_MIN_SIDE, _MAX_SIDE = 64, 2048
# Strength of an edit that shall keep the looks of its source, below the models' own (mostly 0.6).
HIGH_FIDELITY = 0.45
# Above the models' own: a variation shall differ.
VARIATION = 0.85


@dataclass(frozen=True, slots=True)
class Job:
    """One request, ready to be painted.

    Attributes:
        tool: the tool that paints.
        arguments: its arguments without count and seed.
        seeds: one for each picture; None if nobody chose.
        count: pictures.
        model: which model paints.
        notes: what the caller should know before anything is painted.
    """

    tool: str
    arguments: dict[str, Any]
    seeds: tuple[int, ...] | None
    count: int
    model: ChosenModel
    notes: tuple[str, ...] = ()

    def calls(self, at_once: int) -> list[dict[str, Any]]:
        """Return the arguments of each call, with up to `at_once` pictures in one."""
        if self.tool != "generate_image":
            seeds = self.seeds or (None,) * self.count
            return [{**self.arguments, "seed": seed} for seed in seeds]
        return [
            {
                **self.arguments,
                "count": min(at_once, self.count - start),
                "seed": None if self.seeds is None else self.seeds[start],
            }
            for start in range(0, self.count, at_once)
        ]


@dataclass(frozen=True, slots=True)
class Made:
    """One picture that was painted: its id in the gallery and the words it was painted from."""

    image_id: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Partial:
    """A preview of picture `index` that is under way."""

    index: int
    number: int
    image: Image.Image


@dataclass(frozen=True, slots=True)
class Completed:
    """Picture `index` is done."""

    index: int
    made: Made


@dataclass(frozen=True, slots=True)
class Begun:
    """The engine took picture `index`, or has nothing to do for it."""

    index: int


Event = Begun | Partial | Completed


def generation_job(body: GenerateBody, models: Models) -> Job:
    """Return the job of POST /v1/images/generations."""
    model = models.choose(body.model)
    arguments, notes = _painting(body, models, model)
    size = body.wanted_size
    if size is not None:
        arguments["width"], arguments["height"] = size_to_paint(size)
    if body.style is not None:
        notes.append("style has no effect here; say it in the prompt.")
    return _job("generate_image", arguments, body, model, notes)


def edit_job(body: EditBody, inputs: Inputs, models: Models) -> Job:
    """Return the job of POST /v1/images/edits."""
    model = models.choose(body.model)
    arguments, notes = _painting(body, models, model)
    strength = body.strength
    if strength is None and body.input_fidelity == "high" and inputs.mask_id is None:
        if models.takes_strength(model):
            strength = HIGH_FIDELITY
        else:
            notes.append("input_fidelity has no effect: this model knows no strength.")
    arguments |= {
        "image_id": inputs.source.image_id,
        "mask_id": inputs.mask_id,
        "reference_ids": list(inputs.reference_ids),
        "strength": strength,
    }
    return _job("edit_image", arguments, body, model, notes)


def variation_job(body: VariationBody, inputs: Inputs, models: Models) -> Job:
    """Return the job of POST /v1/images/variations: an edit of the whole, same words, new seed."""
    model = models.choose(body.model)
    source, notes = inputs.source, list[str]()
    prompt = body.prompt or str(source.recipe.get("prompt", "")).strip()
    if not prompt:
        prompt = source.caption.rstrip(".") if source.kind != "upload" else "the same, varied"
        notes.append(
            "Nobody said what the picture shows, so the model went by its pixels alone. "
            "Send a prompt beside it for better variations."
        )
    strength = body.strength
    if strength is None and models.takes_strength(model):
        strength = VARIATION
    arguments = {
        "image_id": source.image_id,
        "prompt": prompt[:2000],
        "strength": strength,
        **_sampling(body, model, body.num_inference_steps),
    }
    return _job("edit_image", arguments, body, model, notes)


def size_to_paint(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size to ask the tool for: the wanted one, or its proportions within limits."""
    scale = min(1.0, _MAX_SIDE / max(size))
    width, height = (max(_MIN_SIDE, round(side * scale)) for side in size)
    return width, height


async def paint_all(studio: Studio, job: Job) -> list[Made]:
    """Paint every picture of a job, several calls at a time.

    Raises:
        AgentToolsError: the first that a call ended with; the others are stopped.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(_call(studio, job.tool, arguments, no_progress))
                for arguments in job.calls(_COUNT)
            ]
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return [made for task in running for made in task.result()]


async def paint_in_turn(studio: Studio, job: Job, partials: int) -> AsyncIterator[Event]:
    """Paint one picture after the other and tell what happens.

    Leaving the iterator early stops the painting.

    Args:
        studio: paints.
        job: what.
        partials: previews of each picture, at most; spread evenly over its steps.

    Raises:
        AgentToolsError: as `Studio.call`.
    """
    for index, arguments in enumerate(job.calls(1)):
        reports = _Reports(index, partials)
        with with_previews(1 if partials else 0):
            call = asyncio.create_task(_call(studio, job.tool, arguments, reports.hear))
        call.add_done_callback(reports.end)
        try:
            while (event := await reports.queue.get()) is not None:
                yield event
            yield Completed(index, call.result()[0])
        finally:
            if not call.done():
                call.cancel()
                await asyncio.wait([call])


@dataclass(slots=True)
class _Reports:
    """Turns the progress of one picture into events."""

    index: int
    partials: int
    queue: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)
    _sent: int = 0
    _begun: bool = False

    async def hear(self, event: ProgressEvent) -> None:
        if not self._begun:
            self._begun = True
            self.queue.put_nowait(Begun(self.index))
        if event.preview is None or event.step is None or event.steps is None:
            return
        if self._sent < self.partials and event.step >= self._next_step(event.steps):
            self.queue.put_nowait(Partial(self.index, self._sent, event.preview))
            self._sent += 1

    def end(self, _: asyncio.Task[list[Made]]) -> None:
        self.queue.put_nowait(None)

    def _next_step(self, steps: int) -> int:
        return math.ceil(steps * (self._sent + 1) / (self.partials + 1))


async def _call(
    studio: Studio, tool: str, arguments: dict[str, Any], progress: Progress
) -> list[Made]:
    if tool not in studio.offered:
        raise unknown_tool(tool, studio.offered)
    given = {name: value for name, value in arguments.items() if value is not None}
    result = await studio.call(tool, given, progress)
    prompt = str(getattr(result.data, "prompt", ""))
    if not result.images:
        raise AgentToolsError("Nothing was painted.", code="generation_failed")
    return [Made(image.info.image_id, prompt) for image in result.images]


def _painting(
    body: Painted, models: Models, model: ChosenModel
) -> tuple[dict[str, Any], list[str]]:
    notes = []
    steps = body.num_inference_steps
    if steps is None:
        steps = models.steps(model, body.quality)
        if steps is None and body.quality not in ("auto", "medium", "standard"):
            notes.append("quality has no effect: the model's own steps are not known here.")
    if body.complexity is not None:
        notes.append("complexity has no effect: nothing is planned before painting.")
    if body.moderation == "low":
        notes.append("moderation has no levels here: the one policy of this server applies.")
    return {"prompt": body.prompt, **_sampling(body, model, steps)}, notes


def _sampling(body: Asked, model: ChosenModel, steps: int | None) -> dict[str, Any]:
    return {
        "negative_prompt": body.negative_prompt,
        "steps": steps,
        "guidance": body.guidance_scale,
        "model": model.argument,
    }


def _job(
    tool: str, arguments: dict[str, Any], body: Asked, model: ChosenModel, notes: Sequence[str]
) -> Job:
    # More pictures than one call paints have neighboring seeds, whoever chose the first.
    seeds = seeds_from(body.seed, body.n) if body.seed is not None or body.n > 1 else None
    said = ((model.note,) if model.note else ()) + tuple(notes)
    return Job(tool, arguments, seeds, body.n, model, said)
