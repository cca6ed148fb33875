"""Draw a diagram exactly: Mermaid text or a small graph in, picture, source and words out."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, model_validator

from agent_tools.diagrams.graph import Graph, mermaid_ids, to_mermaid
from agent_tools.diagrams.source import KINDS, MAX_CHARACTERS
from agent_tools.image_record import NewImage
from agent_tools.painting import MAX_SEED
from agent_tools.provenance import complete_recipe, marked_png, recipe_sha256, xmp_packet
from agent_tools.results import ImageInfo, ToolResult
from agent_tools.tools.base import Arguments, Progress, ProgressEvent, Tool
from agent_tools.wording import lower_first, sentence

if TYPE_CHECKING:
    from agent_tools.diagram_painting import Art
    from agent_tools.diagrams.render import Drawing, Reading
    from agent_tools.studio import Studio

MODEL = "mermaid"
_MAX_TAGS = 10


class DrawDiagramArguments(Arguments):
    """What to draw."""

    source: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_CHARACTERS,
        description="Mermaid text: flowchart, sequenceDiagram, classDiagram, stateDiagram-v2, "
        "erDiagram, gantt, pie, mindmap, timeline, quadrantChart, journey, gitGraph, sankey, "
        "xychart, kanban, radar-beta, treemap, block, packet or requirementDiagram. Either this or "
        "graph. Plain labels: no links, icons, HTML or configuration; put labels with brackets "
        "between double quotes.",
    )
    graph: Graph | None = Field(
        default=None,
        description="Nodes, edges and groups instead of Mermaid text. Either this or source.",
    )
    title: str = Field(
        default="", max_length=120, description="Heading; the source's own title if empty."
    )
    aspect: Literal["auto", "wide", "tall", "square"] = Field(
        default="auto",
        description="Shape to come close to: the direction (left to right or top to bottom) is "
        "chosen by it. auto keeps the source's direction unless the picture would be a ribbon.",
    )
    theme: Literal["light", "dark"] = Field(default="light", description="Colors.")
    illustrate: Literal["none", "icons", "backdrop", "both"] = Field(
        default="none",
        description="icons: a picture above the words of every node (flowchart only). backdrop: a "
        "picture behind it all, faded until everything can be read. Words and lines stay exact.",
    )
    style: str = Field(
        default="",
        max_length=200,
        description="How icons look or what the backdrop shows, in a few words.",
    )
    pictures: dict[str, str] = Field(
        default_factory=dict,
        max_length=40,
        description="With icons: by node id, an image id of the gallery to show in that node, or "
        "words to paint.",
    )
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="Of what is painted.")
    scale: Literal[1, 2] = Field(
        default=2, description="Pixels per unit: 1 for small files, 2 for sharp text."
    )
    svg: bool = Field(default=False, description="Also return the picture as SVG text.")
    validate_only: bool = Field(
        default=False, description="Check and describe the diagram; draw and keep nothing."
    )

    @model_validator(mode="after")
    def _one_of(self) -> DrawDiagramArguments:
        if (self.source is None) == (self.graph is None):
            raise ValueError("give either 'source' (Mermaid text) or 'graph', not both, not none")
        return self


class DrawDiagramOutput(BaseModel):
    """The diagram and everything that is in it."""

    images: list[ImageInfo] = Field(description="One picture; none if only checked.")
    kind: str = Field(description=f"One of: {', '.join(KINDS)}.")
    title: str
    source: str = Field(description="The Mermaid text drawn; to change it use edit_diagram.")
    alt: str = Field(description="Exact alternative text, from the diagram's structure.")
    long_description: str = Field(description="Everything the picture says, one fact a line.")
    nodes: dict[str, str] = Field(description="Flowchart: label by node id.")
    svg: str | None = Field(default=None, description="The picture as SVG, if asked for.")
    warnings: list[str]


class DrawDiagram(Tool):
    """Diagrams whose structure and text are exact."""

    name = "draw_diagram"
    title = "Draw diagram"
    description = (
        "Draw a diagram from Mermaid text or from a graph of nodes and edges: flowchart, sequence, "
        "class, state, entity-relationship, gantt, pie, mind map, timeline and more. Structure "
        "and text come out exactly as written; only icons and backdrop, if asked for, are "
        "painted. Use it for processes, architectures, plans and shares; for photos and products "
        "use generate_image; to change one that is there use edit_diagram. Returns the "
        "image id, a small copy, the Mermaid source and an exact description. A syntax error names "
        "line and column and, where it can, the corrected line: mend it and call again. Example: "
        '{"source": "flowchart LR\\n  cart[Cart] --> pay{Paid?}\\n  pay -->|yes| ship[Ship]\\n'
        '  pay -->|no| cart", "title": "Checkout"}.'
    )
    Arguments = DrawDiagramArguments
    Output = DrawDiagramOutput

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Compile, draw in a process of its own, mark, keep, and report."""
        return await draw_and_keep(studio, arguments, progress)


async def draw_and_keep(
    studio: Studio,
    asked: DrawDiagramArguments,
    progress: Progress,
    *,
    parent_id: str | None = None,
) -> ToolResult:
    """Draw what was asked, store it, and report; `parent_id` names the diagram it changes."""
    from agent_tools.diagram_painting import Art, illustrate
    from agent_tools.diagrams.worker import check, draw

    text, pictures = _text_of(asked)
    art = Art()
    if asked.validate_only or asked.illustrate != "none" or pictures:
        reading = await asyncio.to_thread(check, text, title=asked.title)
        if asked.validate_only:
            return _checked(text, reading)
        art = await illustrate(
            studio,
            reading.nodes,
            kind=asked.illustrate,
            style=asked.style,
            chosen=pictures,
            seed=asked.seed,
            theme=asked.theme,
            progress=progress,
        )
    await progress(
        ProgressEvent(0.9 if asked.illustrate != "none" else 0, 1, "Drawing the diagram")
    )
    drawing = await asyncio.to_thread(
        draw,
        text,
        title=asked.title,
        aspect=asked.aspect,
        theme=asked.theme,
        scale=asked.scale,
        illustration=art.illustration,
    )
    new = await asyncio.to_thread(_new_image, studio, asked, drawing, art, parent_id)
    record = (await asyncio.to_thread(studio.keep, [new]))[0]
    await progress(ProgressEvent(1, 1, "Diagram drawn"))
    shown = await asyncio.to_thread(studio.show, record)
    output = DrawDiagramOutput(
        images=[shown.info],
        kind=drawing.kind,
        title=record.title,
        source=drawing.source,
        alt=record.alt,
        long_description=record.long_description,
        nodes={node["id"]: node["label"] for node in drawing.nodes},
        svg=drawing.svg if asked.svg else None,
        warnings=[*drawing.notes, *art.notes],
    )
    return ToolResult(text=_text(output), data=output, images=(shown,))


def _text_of(asked: DrawDiagramArguments) -> tuple[str, dict[str, str]]:
    """Return Mermaid text and the pictures by its node ids."""
    if asked.graph is None:
        return str(asked.source), asked.pictures
    names = mermaid_ids(asked.graph)
    return to_mermaid(asked.graph), {names.get(k, k): v for k, v in asked.pictures.items()}


def _checked(text: str, reading: Reading) -> ToolResult:
    words = reading.description
    output = DrawDiagramOutput(
        images=[],
        kind=reading.kind,
        title=words.title,
        source=text,
        alt=words.alt,
        long_description=words.long_description,
        nodes={node["id"]: node["label"] for node in reading.nodes},
        warnings=list(reading.notes),
    )
    lines = ["The diagram is valid; nothing was drawn.", words.long_description]
    return ToolResult("\n".join([*lines, *(f"Warning: {w}" for w in reading.notes)]), output)


def _new_image(
    studio: Studio,
    asked: DrawDiagramArguments,
    drawing: Drawing,
    art: Art,
    parent_id: str | None,
) -> NewImage:
    from kb_export.captions import clean

    noun = drawing.noun
    title = clean(drawing.title, 80) or noun
    words = [clean(word, 60) for word in drawing.words]
    about = ", ".join(word for word in words if word)
    subject = f"{noun} of {title}" if drawing.title else noun
    caption = clean(f"{subject}: {about}" if about else subject, 399).rstrip(".") + "."
    alt = clean(drawing.alt, 250)
    long_description = "\n".join(clean(line) for line in drawing.long_description.split("\n"))
    recipe: dict[str, Any] = {
        "tool": DrawDiagram.name,
        "arguments": asked.model_dump(mode="json", exclude_defaults=True, exclude={"svg"}),
        "model": MODEL,
        "renderer": drawing.renderer,
        "kind": drawing.kind,
        "source": drawing.source,
        "svg": drawing.svg,
    }
    if art.prompts:
        recipe["painted"] = dict(art.prompts)
        recipe["model"], recipe["revision"] = studio.engine.model, studio.engine.revision
    if art.inputs:
        recipe["inputs"] = [asdict(item) for item in art.inputs]
    recipe = complete_recipe(recipe, drawing.image)
    xmp = xmp_packet(
        caption=caption,
        alt=alt,
        source_type="edited" if art.prompts or art.inputs else "drawn",
        creator_tool=f"agent-tools {DrawDiagram.name}",
        recipe_hash=recipe_sha256(recipe),
    )
    return NewImage(
        data=marked_png(drawing.image, xmp),
        media_type="image/png",
        width=drawing.image.width,
        height=drawing.image.height,
        model=MODEL,
        tool=DrawDiagram.name if parent_id is None else "edit_diagram",
        kind="diagram",
        title=title,
        caption=caption,
        alt=alt,
        long_description=long_description,
        use_when=sentence(
            f"Someone asks about {lower_first(title)}{f': {about}' if about else ''}", 250
        ),
        tags=("diagram", drawing.kind, *(w.lower() for w in words if w))[:_MAX_TAGS],
        recipe=recipe,
        metadata={"diagram_kind": drawing.kind},
        parent_id=parent_id,
        notes=(*drawing.notes, *art.notes),
    )


def _text(output: DrawDiagramOutput) -> str:
    image = output.images[0]
    lines = [
        f"Drew {image.image_id}: {output.title}, {image.width}x{image.height} pixels.",
        f"Caption: {image.caption}",
        f"Alt text: {output.alt}",
        output.long_description,
        "Mermaid source, to change it call edit_diagram with this image id:",
        output.source,
    ]
    lines += [f"Warning: {warning}" for warning in output.warnings]
    return "\n".join(lines)
