"""Change a drawn diagram by its id; what is not named stays exactly as it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from agent_tools.diagrams.errors import DiagramSyntaxError
from agent_tools.diagrams.graph import Graph
from agent_tools.diagrams.patch import Patch, patched_graph, patched_text
from agent_tools.errors import InvalidArguments
from agent_tools.results import ToolResult
from agent_tools.tools.base import Arguments, Progress, Tool
from agent_tools.tools.draw_diagram import (
    DrawDiagramArguments,
    DrawDiagramOutput,
    draw_and_keep,
)

if TYPE_CHECKING:
    from agent_tools.studio import Studio


class EditDiagramArguments(Arguments):
    """Which diagram, and what to change."""

    diagram_id: str = Field(description="Image id of a diagram, from draw_diagram or edit_diagram.")
    patch: Patch = Field(
        default=Patch(),
        description="Changes of the words and the structure. For a diagram drawn from Mermaid "
        "text: replace, append. For one drawn from a graph: set_nodes, remove_nodes, add_edges, "
        "remove_edges, set_groups, remove_groups.",
    )
    title: str | None = Field(default=None, max_length=120, description="New heading.")
    aspect: Literal["auto", "wide", "tall", "square"] | None = Field(
        default=None, description="New shape."
    )
    theme: Literal["light", "dark"] | None = Field(default=None, description="New colors.")
    illustrate: Literal["none", "icons", "backdrop", "both"] | None = Field(
        default=None, description="New choice of icons and backdrop."
    )
    style: str | None = Field(default=None, max_length=200, description="New words for them.")
    pictures: dict[str, str] | None = Field(
        default=None, max_length=40, description="New pictures by node id, instead of the old."
    )
    validate_only: bool = Field(
        default=False, description="Check and describe the changed diagram; draw nothing."
    )


class EditDiagram(Tool):
    """A new picture of a changed diagram."""

    name = "edit_diagram"
    title = "Edit diagram"
    description = (
        "Change a diagram that was drawn before: words, nodes, arrows, groups, title, shape, "
        "colors, icons. The old picture stays; the new one names it as its parent. All changes "
        "are made, or none. Use it instead of sending the whole source again. Example: "
        '{"diagram_id": "img_0123456789abcdef01234567", "patch": {"replace": [{"find": '
        '"ship[Ship]", "put": "ship[Ship today]"}], "append": "  ship --> done([Done])"}}.'
    )
    Arguments = EditDiagramArguments
    Output = DrawDiagramOutput

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Patch the stored arguments and draw them."""
        asked: EditDiagramArguments = arguments
        record = await asyncio.to_thread(studio.gallery.get, asked.diagram_id)
        stored = record.recipe.get("arguments")
        if record.kind != "diagram" or not isinstance(stored, dict):
            raise InvalidArguments(
                f"{asked.diagram_id} is no diagram: it was made by {record.tool}.",
                hint="Give the image id of a diagram; draw_diagram makes one.",
            )
        changed = {**stored, **_changes(asked)}
        if asked.patch.of_graph and "graph" not in stored:
            raise InvalidArguments(
                "The diagram was drawn from Mermaid text, which has no graph to change.",
                hint="Use patch.replace and patch.append; its source is in data.source.",
                data={"source": stored["source"]},
            )
        if asked.patch.of_text and "graph" in stored:
            raise InvalidArguments(
                "The diagram was drawn from a graph, not from Mermaid text.",
                hint="Use patch.set_nodes, add_edges and their like; its graph is in data.graph.",
                data={"graph": stored["graph"]},
            )
        if "graph" in stored:
            graph = patched_graph(Graph.model_validate(stored["graph"]), asked.patch)
            changed["graph"] = graph.model_dump(mode="json", exclude_defaults=True)
        else:
            changed["source"] = await asyncio.to_thread(patched_text, stored["source"], asked.patch)
        try:
            drawn = DrawDiagramArguments.model_validate(changed)
        except ValidationError as error:
            raise InvalidArguments(
                f"The changed diagram is not valid: {error.errors()[0]['msg']}.",
                hint="Make fewer or smaller changes.",
            ) from None
        try:
            return await draw_and_keep(studio, drawn, progress, parent_id=record.image_id)
        except DiagramSyntaxError as error:
            raise DiagramSyntaxError(
                f"The changed source cannot be read, so nothing was changed. {error.message}",
                hint=f"{error.hint.rstrip('.')}. Then call edit_diagram with the mended patch.",
                data={**error.data, "source": changed.get("source")},
            ) from None


def _changes(asked: EditDiagramArguments) -> dict[str, Any]:
    given = asked.model_dump(exclude={"diagram_id", "patch", "validate_only"}, exclude_none=True)
    if not (given or asked.patch.of_text or asked.patch.of_graph or asked.validate_only):
        raise InvalidArguments(
            "Nothing to change was given.", hint="Give a patch, a title, a theme or another field."
        )
    return {**given, "validate_only": asked.validate_only}
