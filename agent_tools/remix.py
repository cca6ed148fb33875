"""Make a gallery picture anew: its recipe with everything but the seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent_tools.errors import InvalidArguments
from agent_tools.tools.base import Progress, no_progress

if TYPE_CHECKING:
    from agent_tools.image_record import ImageRecord
    from agent_tools.results import ToolResult
    from agent_tools.studio import Studio

# The argument that says in words what is painted; the first that a recipe has.
_WORDS = ("prompt", "instruction", "product")


def recipe_call(record: ImageRecord) -> tuple[str, dict[str, Any]]:
    """Return the tool and the arguments that a picture was made with.

    Raises:
        InvalidArguments: if it came from outside and so has no recipe to run.
    """
    tool, arguments = record.recipe.get("tool"), record.recipe.get("arguments")
    if not isinstance(tool, str) or not isinstance(arguments, dict):
        raise InvalidArguments(
            f"The picture {record.image_id} came from outside, so there is nothing to run again.",
            hint="This works for pictures that a tool made.",
        )
    return tool, dict(arguments)


def can_remix(studio: Studio, record: ImageRecord) -> bool:
    """Return whether another seed would give another picture."""
    return "seed" in _fields(studio, record) and record.seed is not None


def can_replay(studio: Studio, record: ImageRecord) -> bool:
    """Return whether the picture has a recipe that a tool of this server can run."""
    return bool(_fields(studio, record))


def words_argument(record: ImageRecord) -> str | None:
    """Return the name of the argument with the words, if the recipe has one."""
    arguments = record.recipe.get("arguments")
    if not isinstance(arguments, dict):
        return None
    return next((name for name in _WORDS if isinstance(arguments.get(name), str)), None)


async def remix(
    studio: Studio, image_id: str, words: str = "", progress: Progress = no_progress
) -> ToolResult:
    """Run the recipe of a picture with another seed.

    Args:
        words: what to paint instead, where the recipe has words; empty = the same.

    Raises:
        NotFound: if there is no such picture, or one that the recipe needs is gone.
        InvalidArguments: if the picture has no seed, or no words to replace.
    """
    record = studio.gallery.get(image_id)
    tool, arguments = recipe_call(record)
    if not can_remix(studio, record):
        raise InvalidArguments(
            f"The picture {image_id} was made without a seed, so it comes out the same each time.",
            hint="Replay it, or call its tool with other arguments.",
        )
    arguments.pop("seed", None)
    name = words_argument(record)
    if words.strip() and name is None:
        raise InvalidArguments(
            f"The recipe of {image_id} has no words to change.", hint="Remix it without words."
        )
    if words.strip() and name is not None:
        arguments[name] = words
    return await studio.call(tool, arguments, progress)


def _fields(studio: Studio, record: ImageRecord) -> Mapping[str, Any]:
    tool = studio.tools.get(str(record.recipe.get("tool")))
    if tool is None or not isinstance(record.recipe.get("arguments"), dict):
        return {}
    return tool.Arguments.model_fields
