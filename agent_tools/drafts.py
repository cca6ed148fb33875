"""Drafts to choose from: fewer steps, a numbered sheet, and variations of the one that is liked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_tools.contact_sheet import SheetCell, contact_sheet
from agent_tools.painting import RECIPE_VERSION, marked_image
from agent_tools.wording import shorten, wording
from engine.registry import find_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_tools.image_record import NewImage
    from engine.request import ImageResult

# Distilled models paint in few steps; fewer would show nothing to choose by.
_FEW_STEPS = 8
_UNKNOWN_MODEL_STEPS = 25


def draft_steps(model: str) -> int:
    """Return half of the model's own denoising steps, or all where they are few."""
    spec = find_model(model)
    steps = _UNKNOWN_MODEL_STEPS if spec is None else spec.steps
    return steps if steps <= _FEW_STEPS else max(_FEW_STEPS // 2, steps // 2)


def draft_sheet(
    tool: str, result: ImageResult, prompt: str, group: str, arguments: Mapping[str, Any]
) -> NewImage:
    """Draw the pictures of one result on one, numbered; `arguments` make them again."""
    cells: Sequence[SheetCell] = [
        SheetCell(image, (), f"{number}", f"seed {seed}")
        for number, (image, seed) in enumerate(
            zip(result.images, result.seeds, strict=True), start=1
        )
    ]
    recipe = {
        "version": RECIPE_VERSION,
        "tool": tool,
        "arguments": {**arguments, "seed": result.seeds[0]},
        "model": result.model,
        "revision": result.revision,
    }
    return marked_image(
        contact_sheet(cells),
        recipe,
        words=wording(f"{len(cells)} drafts of {shorten(prompt, 200)}"),
        kind="sheet",
        source_type="generated",
        seed=result.seeds[0],
        group=group,
    )
