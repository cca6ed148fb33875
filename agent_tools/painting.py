"""Painting for tools: one request through the engine with progress, and its pictures made ready."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, StringConstraints

from agent_tools.callers import current_caller
from agent_tools.errors import AgentToolsError
from agent_tools.image_record import NewImage
from agent_tools.policy import check_prompt, running_tool
from agent_tools.previews import preview_every
from agent_tools.provenance import RECIPE_VERSION as RECIPE_VERSION
from agent_tools.provenance import (
    complete_recipe,
    marked_file,
    recipe_sha256,
    xmp_packet,
)
from agent_tools.tools.base import Progress, ProgressEvent
from engine.request import Queued, StepEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from PIL import Image

    from agent_tools.image_record import ImageRecord, Kind
    from agent_tools.provenance import FileFormat, SourceType
    from agent_tools.results import ToolImage
    from agent_tools.studio import Studio
    from agent_tools.wording import Wording
    from engine.request import ImageEvent, ImageRequest, ImageResult

CREATOR_TOOL = "agent-tools"
_WATCHED_EVERY = 2  # steps; a preview costs little, and none is made unless somebody looks
MAX_SEED = 2**32 - 1
EditSeed = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_SEED,
        description="Same arguments and seed give the same picture. Random, and reported, if left "
        "out.",
    ),
]
PromptText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


async def paint(
    studio: Studio,
    request: ImageRequest,
    progress: Progress,
    *,
    label: str,
    share: tuple[float, float] = (0.0, 1.0),
) -> ImageResult:
    """Paint one request and report how far it is; cancelling the task cancels the request.

    Args:
        studio: whose engine paints.
        request: what to paint.
        progress: told after every step; `done` lies within `share` and only grows, `total` is 1.
        label: begins every progress line, e.g. "Painting 4 pictures".
        share: the part of the whole call, within [0, 1], that this request fills.

    Raises:
        Refused: if the policy forbids the prompt, or the checker what was painted.
        Overloaded: if the caller's budget is spent.
        EngineError: from the engine, unchanged; `Studio.call` turns it into ours.
    """
    check_prompt(request.prompt)
    watched = _WATCHED_EVERY if studio.activity.watched else 0
    # Nobody sees a picture, finished or not, before the checker did.
    shown_every = 0 if studio.checker is not None else preview_every() or watched
    request = replace(request, preview_every=shown_every)
    low, high = share
    reached = low
    caller = current_caller()
    studio.budget.check(caller)
    request = replace(request, caller=caller)
    if studio.settings.exact_replay and studio.settings.engine is None:
        request = replace(request, deterministic=True)
    started: float | None = None
    cost_s: float | None = None
    events = cast("AsyncGenerator[ImageEvent, None]", studio.engine.submit(request))
    try:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Queued):
                    await progress(ProgressEvent(reached, 1.0, f"{label}: {_waiting(event)}"))
                elif isinstance(event, StepEvent):
                    now = time.monotonic()
                    started = now if started is None else started
                    # Decoding follows the last step, so the steps fill nine tenths of the share.
                    reached = max(reached, low + (high - low) * 0.9 * event.step / event.total)
                    await progress(_step_progress(event, label, reached, now - started))
                else:
                    spent = event.result.timings_s
                    cost_s = spent.get("total", 0.0) - spent.get("queued", 0.0)
                    if studio.checker is not None:
                        await studio.checker.check(event.result.images, running_tool())
                    await progress(ProgressEvent(high, 1.0, f"{label}: painted"))
                    return event.result
    finally:
        if cost_s is None:  # cancelled or failed: what was painted until then
            cost_s = 0.0 if started is None else time.monotonic() - started
        studio.budget.spend(caller, cost_s)
    raise AgentToolsError(
        "The painting stopped before it was done.",
        code="interrupted",
        retryable=True,
        hint="Call the tool again.",
    )


@dataclass(frozen=True, slots=True)
class Input:
    """A picture of the gallery that a new one was made from.

    Attributes:
        role: "image", "mask", "sketch" or "reference".
        image_id: its id.
        sha256: of its file.
    """

    role: str
    image_id: str
    sha256: str


def open_input(studio: Studio, role: str, image_id: str) -> tuple[Image.Image, Input]:
    """Open a picture of the gallery that a new one is made from.

    Raises:
        NotFound: if there is no such picture.
    """
    record = studio.gallery.get(image_id)
    return studio.gallery.open_image(image_id), Input(role, image_id, record.sha256)


def seeds_from(seed: int | None, count: int) -> tuple[int, ...]:
    """Return one seed for each of `count` pictures: the given one (or a random one), then +1."""
    first = secrets.randbelow(MAX_SEED + 1) if seed is None else seed
    return tuple((first + k) % (MAX_SEED + 1) for k in range(count))


def new_image(
    image: Image.Image,
    *,
    seed: int,
    request: ImageRequest,
    result: ImageResult,
    words: Wording,
    tool: str,
    arguments: Mapping[str, Any],
    kind: Kind,
    source_type: SourceType = "generated",
    inputs: Sequence[Input] = (),
    group: str | None = None,
    metadata: Mapping[str, str | int | float | bool] | None = None,
    notes: Sequence[str] = (),
    file_format: FileFormat = "png",
) -> NewImage:
    """Make a painted picture ready for the gallery: marked PNG, words, full recipe.

    Args:
        image: one of `result.images`, or made from it.
        seed: the seed it came from.
        request: what the engine was asked.
        result: what the engine answered.
        words: title, caption, alternative text, when to use it, tags.
        tool: the tool's name.
        arguments: JSON-ready arguments with which the tool paints exactly this one picture again.
        kind: what it shows.
        source_type: "generated", or "edited" when it keeps parts of another picture.
        inputs: pictures it was made from; the one with role "image" becomes its parent.
        group: pictures of one call share it.
        metadata: flat facts for knowledge bases.
        notes: what to know about this picture.
        file_format: how it is encoded.

    Returns:
        The same bytes for the same pixels, words and recipe: time spent is in the recipe but not
        in the hash that the file carries.
    """
    recipe: dict[str, Any] = {
        "version": RECIPE_VERSION,
        "tool": tool,
        "arguments": dict(arguments),
        "mode": request.mode,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": seed,
        "width": image.width,
        "height": image.height,
        "params": asdict(result.params),
        "model": result.model,
        "revision": result.revision,
        "libraries": dict(result.libraries),
        "precision": result.precision,
        "inputs": [asdict(item) for item in inputs],
    }
    return marked_image(
        image,
        recipe,
        words=words,
        kind=kind,
        source_type=source_type,
        inputs=inputs,
        seed=seed,
        group=group,
        metadata=metadata,
        notes=notes,
        measured={
            "timings_s": {k: round(v, 3) for k, v in result.timings_s.items()},
            "shared_forwards": result.shared_forwards,
        },
        file_format=file_format,
    )


def marked_image(
    image: Image.Image,
    recipe: Mapping[str, Any],
    *,
    words: Wording,
    kind: Kind,
    source_type: SourceType,
    inputs: Sequence[Input] = (),
    seed: int | None = None,
    group: str | None = None,
    metadata: Mapping[str, str | int | float | bool] | None = None,
    notes: Sequence[str] = (),
    measured: Mapping[str, Any] | None = None,
    file_format: FileFormat = "png",
) -> NewImage:
    """Encode a picture with its mark and describe it for the gallery.

    Args:
        image: the picture.
        recipe: everything needed to make it again; "tool" and "model" among it.
        measured: facts about this run, kept with the recipe but outside its hash.
        file_format: how it is encoded.
        words, kind, source_type, inputs, seed, group, metadata, notes: as in `new_image`.
    """
    recipe = complete_recipe(recipe, image)
    packet = xmp_packet(
        caption=words.caption,
        alt=words.alt,
        source_type=source_type,
        creator_tool=CREATOR_TOOL,
        recipe_hash=recipe_sha256(recipe),
    )
    return NewImage(
        data=marked_file(image, packet, file_format),
        media_type=f"image/{file_format}",
        width=image.width,
        height=image.height,
        model=recipe["model"],
        tool=recipe["tool"],
        kind=kind,
        title=words.title,
        caption=words.caption,
        alt=words.alt,
        seed=seed,
        use_when=words.use_when,
        tags=words.tags,
        group=group,
        parent_id=next((item.image_id for item in inputs if item.role == "image"), None),
        recipe={**recipe, **(measured or {})},
        metadata=dict(metadata or {}),
        notes=tuple(notes),
    )


def group_of(tool: str, request: ImageRequest) -> str:
    """Return the group that the pictures of one request share; the same for the same request."""
    words = [tool, request.prompt, request.negative_prompt, *map(str, request.seeds)]
    return f"grp_{recipe_sha256({'request': words})[:12]}"


async def keep_and_show(
    studio: Studio, images: list[NewImage], check: Callable[[], None] | None = None
) -> tuple[list[ImageRecord], tuple[ToolImage, ...]]:
    """Store pictures, all or none, and return their records and what to show of them.

    Storing is not interrupted; making thumbnails, which takes longer, leaves the event loop free.
    `check`: as in `Studio.keep`.
    """
    records = studio.keep(images, check)
    shown = await asyncio.to_thread(lambda: tuple(studio.show(record) for record in records))
    return records, shown


def picture_lines(shown: Sequence[ToolImage]) -> str:
    """Write one line a picture for a result's text: id, size, seed, caption."""
    return "\n".join(
        f"{number}. image_id={item.info.image_id} ({item.info.width}x{item.info.height}, "
        f"seed {item.info.seed}): {item.info.caption}"
        for number, item in enumerate(shown, start=1)
    )


def warning_lines(warnings: Sequence[str]) -> str:
    """Write warnings for a result's text, each on its own line after the rest."""
    return "".join(f"\nNote: {warning}" for warning in warnings)


def _waiting(event: Queued) -> str:
    if event.position == 0:
        return "starting"
    others = "1 request" if event.position == 1 else f"{event.position} requests"
    return f"waiting for {others}, about {max(1, round(event.estimated_wait_s))} s"


def _step_progress(event: StepEvent, label: str, reached: float, elapsed_s: float) -> ProgressEvent:
    """Report a step; the rest is estimated from the steps since the first, whose own time is
    not known."""
    message, left = f"{label}: step {event.step} of {event.total}", None
    if event.step >= 2:
        left = elapsed_s / (event.step - 1) * (event.total - event.step)
        message += f", about {max(1, round(left))} s left"
    return ProgressEvent(
        reached, 1.0, message, event.step, event.total, seconds_left=left, preview=event.preview
    )
