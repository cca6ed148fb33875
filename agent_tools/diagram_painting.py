"""The painted parts of a diagram: an icon for each node, a backdrop, each painted once and kept.

The starter model paints products and people, no symbols: with it icons are drawn line art, and a
backdrop without words of its own is a drawn wash of the theme's colors.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from agent_tools.diagrams.errors import DiagramRefused
from agent_tools.diagrams.illustrate import PAINTED_SIZE, PLAIN, Illustration
from agent_tools.diagrams.theme import THEMES, Theme, ThemeName
from agent_tools.image_record import IMAGE_ID
from agent_tools.painting import Input, open_input, paint
from agent_tools.policy import check_prompt
from agent_tools.tools.base import Progress, ProgressEvent, no_progress
from engine.request import ImageRequest

if TYPE_CHECKING:
    from agent_tools.studio import Studio

STARTER = "starter"
MAX_PAINTED = 24  # pictures for one diagram; each takes the engine as long as any other
DEFAULT_STYLE = "flat vector"
_PIXELS = round(PAINTED_SIZE * 2)


@dataclass(frozen=True, slots=True)
class Art:
    """What was painted for a diagram.

    Attributes:
        illustration: to draw with.
        prompts: what the engine was asked, by node id, and "backdrop".
        inputs: gallery pictures that were put into nodes.
        notes: what the caller should know.
    """

    illustration: Illustration = PLAIN
    prompts: Mapping[str, str] | None = None
    inputs: tuple[Input, ...] = ()
    notes: tuple[str, ...] = ()


async def illustrate(
    studio: Studio,
    nodes: Sequence[Mapping[str, str]],
    *,
    kind: Literal["none", "icons", "backdrop", "both"],
    style: str,
    chosen: Mapping[str, str],
    seed: int,
    theme: ThemeName,
    progress: Progress,
) -> Art:
    """Paint, or fetch from the cache and the gallery, what a diagram is illustrated with.

    Args:
        studio: whose engine paints.
        nodes: id, label and shape of each node.
        kind: what is wanted.
        style: how it looks; one for the whole diagram.
        chosen: for some node ids, an image id of the gallery or words to paint.
        seed: of every painting; the same call gives the same picture.
        theme: colors of what is drawn.
        progress: told after each painting.

    Raises:
        DiagramRefused: pictures without icons, for no node, or too many.
        NotFound: no such picture in the gallery.
        PolicyRefused, EngineError: from the gate and the engine.
    """
    icons, wants_backdrop = kind in ("icons", "both"), kind in ("backdrop", "both")
    if chosen and not icons:
        raise DiagramRefused(
            "Pictures for nodes were given, but no icons were asked for.",
            hint="Set illustrate to 'icons' or 'both'.",
        )
    check_prompt(style, *chosen.values())
    known = {node["id"]: node for node in nodes}
    for name in chosen:
        if name not in known:
            raise DiagramRefused(
                f"There is no node '{name[:64]}' for a picture.",
                hint=f"Nodes: {', '.join(list(known)[:40]) or 'none; only flowcharts have them'}.",
                data={"nodes": list(known)},
            )
    starter = studio.engine.model == STARTER
    prompts: dict[str, str] = {}
    inputs: list[Input] = []
    pictures: dict[str, bytes] = {}
    notes: list[str] = []
    for node in nodes if icons else ():
        words = chosen.get(node["id"], "")
        if IMAGE_ID.fullmatch(words):
            picture, item = await asyncio.to_thread(open_input, studio, "image", words)
            inputs.append(item)
            pictures[node["id"]] = await asyncio.to_thread(_tile, picture)
        elif words or not starter:
            prompts[node["id"]] = words if starter else _icon_prompt(words or node["label"], style)
    if icons and starter and len(pictures) + len(prompts) < len(nodes):
        notes.append("Icons are drawn line art: the starter model paints no symbols.")
    if wants_backdrop and (style or not starter):
        prompts["backdrop"] = style if starter else _backdrop_prompt(style)
    if len(prompts) > MAX_PAINTED:
        raise DiagramRefused(
            f"{len(prompts)} pictures would be painted; at most {MAX_PAINTED} are.",
            hint="Illustrate an overview diagram with fewer nodes.",
        )
    check_prompt(*prompts.values())
    painted = await _paint_all(studio, list(dict.fromkeys(prompts.values())), seed, progress)
    for name, prompt in prompts.items():
        if name != "backdrop":
            pictures[name] = await asyncio.to_thread(_tile, painted[prompt])
    backdrop = None
    if wants_backdrop:
        ground = painted[prompts["backdrop"]] if "backdrop" in prompts else _wash(THEMES[theme])
        if "backdrop" not in prompts:
            notes.append("The backdrop is a drawn wash: give style to have one painted.")
        backdrop = await asyncio.to_thread(_jpeg, ground)
    return Art(Illustration(icons, pictures, backdrop), prompts, tuple(inputs), tuple(notes))


async def _paint_all(
    studio: Studio, prompts: list[str], seed: int, progress: Progress
) -> dict[str, Image.Image]:
    done = 0

    async def one(prompt: str) -> Image.Image:
        nonlocal done
        key = {
            "prompt": prompt,
            "seed": seed,
            "model": studio.engine.model,
            "revision": studio.engine.revision,
            "exact": studio.settings.exact_replay,
            "checker": studio.checker.fingerprint if studio.checker else None,
        }
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        file = studio.settings.data / "diagram-pictures" / f"{name}.png"
        picture = await asyncio.to_thread(_cached, file)
        if picture is None:
            request = ImageRequest(prompt=prompt, seeds=(seed,))
            result = await paint(studio, request, no_progress, label="Painting")
            picture = result.images[0].convert("RGB")
            await asyncio.to_thread(_store, file, picture)
        done += 1
        message = f"Painted {done} of {len(prompts)} pictures for the diagram"
        await progress(ProgressEvent(0.9 * done / len(prompts), 1.0, message))
        return picture

    # A failed or canceled picture cancels the others, so that nobody waits for what nobody gets.
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(prompt)) for prompt in prompts]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return {prompt: task.result() for prompt, task in zip(prompts, tasks, strict=True)}


def _icon_prompt(label: str, style: str) -> str:
    return (
        f"{style or DEFAULT_STYLE} icon of {label}, one simple object, centered, plain white "
        "background, no text"
    )


def _backdrop_prompt(style: str) -> str:
    return f"{style or 'soft abstract paper texture'}, calm background, low contrast, no text"


def _cached(file: Path) -> Image.Image | None:
    try:
        with Image.open(file, formats=("PNG",)) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError):  # not there, or damaged: paint it again
        return None


def _store(file: Path, picture: Image.Image) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".writing-")
    with os.fdopen(handle, "wb") as stream:
        picture.save(stream, "PNG")
    os.replace(temporary, file)


def _tile(picture: Image.Image) -> bytes:
    """Return the middle of a picture as a small square PNG with rounded corners."""
    flat = Image.new("RGBA", picture.size, "#ffffff")
    flat.alpha_composite(picture.convert("RGBA"))
    tile = ImageOps.fit(flat.convert("RGB"), (_PIXELS, _PIXELS), Image.Resampling.LANCZOS)
    corners = Image.new("L", (_PIXELS * 4, _PIXELS * 4), 0)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, *corners.size), _PIXELS * 4 // 8, fill=255)
    tile.putalpha(corners.resize(tile.size, Image.Resampling.LANCZOS))
    return _encode(tile, "PNG")


def _wash(theme: Theme) -> Image.Image:
    """Return soft fields of the theme's colors, 640 x 480 pixels, always the same ones."""
    colors = [tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in theme.series[:8]]
    choice = np.random.default_rng(7).integers(0, len(colors), (3, 4))
    fields = Image.fromarray(np.array(colors, dtype=np.uint8)[choice])
    return fields.resize((640, 480), Image.Resampling.BICUBIC)


def _jpeg(picture: Image.Image) -> bytes:
    copy = picture.convert("RGB")
    copy.thumbnail((2048, 2048))
    return _encode(copy, "JPEG", quality=90)


def _encode(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()
