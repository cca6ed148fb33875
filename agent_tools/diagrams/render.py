"""From Mermaid text to a finished picture, in this process.

`worker.draw` runs this in a process of its own with limits; call that one from a server.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from xml.etree.ElementTree import Element

from PIL import Image

from agent_tools.diagrams import finish, illustrate, ladder, legibility, source, svg
from agent_tools.diagrams.describe import Description, describe, describe_facts
from agent_tools.diagrams.errors import DiagramRefused, DiagramTooLarge
from agent_tools.diagrams.facts import facts_of
from agent_tools.diagrams.flow import read_flowchart
from agent_tools.diagrams.illustrate import PLAIN, Illustration
from agent_tools.diagrams.labels import plain
from agent_tools.diagrams.legibility import Label
from agent_tools.diagrams.raster import laid_on, rasterize, resvg_version
from agent_tools.diagrams.source import Source
from agent_tools.diagrams.theme import THEMES, Theme, ThemeName

if TYPE_CHECKING:
    from agent_tools.diagrams.mermaid import MermaidRenderer

Aspect = Literal["auto", "wide", "tall", "square"]
SCALE = 2.0
PADDING = 28.0
MAX_SIDE = 4000  # pixels of the finished picture
MAX_DRAWING = 7000.0  # user units; beyond, text would be too small to read anyway
MAX_AREA = 10_000_000.0  # square user units
_RATIOS: dict[Aspect, float] = {"auto": 4 / 3, "wide": 16 / 9, "tall": 3 / 4, "square": 1.0}
_MARGIN = 80.0  # room to find what reaches over the edge of the laid-out box
_WIDEST = 1800.0  # user units; in a chat a wider picture is shown at less than half its size
_FAR_OFF = math.log(1.5)  # from the shape that was asked for; then it is said
_OWN_DIRECTION = math.log(1.5)  # how much nearer the other one must be to be chosen


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished diagram.

    Attributes:
        image: "RGB".
        svg: the same picture, sanitized, text as text.
        source: the Mermaid text that was drawn, with the chosen direction.
        labels: every text with its box in user units and its contrast.
        size: width and height in user units.
        nodes: id, label and shape of every node that can carry a picture.
    """

    image: Image.Image
    svg: str
    source: str
    kind: str
    noun: str
    title: str
    alt: str
    long_description: str
    words: tuple[str, ...]
    labels: tuple[Label, ...]
    size: tuple[float, float]
    nodes: tuple[dict[str, str], ...]
    renderer: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says, before anything is drawn.

    Attributes:
        nodes: id, label and shape of every node that can carry a picture.
    """

    kind: str
    description: Description
    nodes: tuple[dict[str, str], ...]
    notes: tuple[str, ...]


def render(
    text: str,
    *,
    title: str = "",
    aspect: Aspect = "auto",
    theme: ThemeName = "light",
    scale: float = SCALE,
    illustration: Illustration = PLAIN,
) -> Drawing:
    """Draw Mermaid text.

    Args:
        text: one of the kinds in `source.KINDS`.
        title: drawn above; the text's own title if empty.
        aspect: the shape to come close to; "auto" keeps the text's direction unless the
            picture would be a ribbon.
        theme: the palette.
        scale: pixels per user unit, less if the picture would pass `MAX_SIDE`.
        illustration: pictures that are added.

    Raises:
        DiagramError: with line and column for syntax, with the limit for size.
    """
    palette = THEMES[theme]
    installed = ladder.engine()
    if installed != "merman":
        made = _plainer(installed, text, title, palette, illustration)
        return _completed(made, palette, illustration, scale, aspect)
    from agent_tools.diagrams.mermaid import MermaidRenderer

    renderer = MermaidRenderer(palette, illustration.size)
    prepared, model, description = _read(renderer, text, title)
    marks = illustrate.marks(prepared.kind, model, illustration)
    nodes = illustrate.nodes_of(prepared.kind, model)

    def lay_out(turned: str) -> Element:
        root = _laid_out(renderer, turned + marks, palette)
        illustrate.place_icons(root, palette, illustration, nodes)
        return _finished(root, palette)

    drawn, root = _best_shape(lay_out, prepared, aspect)
    made = _Made(root, drawn, prepared, description, tuple(nodes), renderer.version)
    return _completed(made, palette, illustration, scale, aspect)


@dataclass(frozen=True, slots=True)
class _Made:
    """A laid-out diagram without canvas and title."""

    root: Element
    source: str
    prepared: Source
    description: Description
    nodes: tuple[dict[str, str], ...]
    engine: str


def _plainer(
    installed: str | None, text: str, title: str, theme: Theme, illustration: Illustration
) -> _Made:
    """Lay out with one of the lesser engines of `ladder`, whose description may be shorter."""
    prepared = source.prepare(text)
    if illustration.icons:
        raise DiagramRefused(
            "Icons need the diagram engine merman, which is not installed here.",
            hint="Use illustrate 'none' or 'backdrop', or: pip install merman.",
        )
    heading = plain(title) or prepared.title
    root, name = ladder.lay_out(installed, source.without_title(prepared), theme)
    if prepared.kind == "flowchart":
        facts = facts_of("flowchart", read_flowchart(prepared.text))
    else:
        facts = ladder.facts_from(root, prepared)
    x, y, width, height = svg.view_box(root)
    svg.set_view_box(root, x - _MARGIN, y - _MARGIN, width + 2 * _MARGIN, height + 2 * _MARGIN)
    svg.set_view_box(root, *legibility.content_box(root, theme))
    return _Made(root, prepared.text, prepared, describe_facts(facts, heading), (), name)


def _completed(
    made: _Made, palette: Theme, illustration: Illustration, scale: float, aspect: Aspect
) -> Drawing:
    root, description = made.root, made.description
    finish.add_canvas(root, palette, description.title, PADDING)
    labels = legibility.make_legible(root, palette)
    backdrop = None
    if illustration.backdrop is not None:
        backdrop = illustrate.choose_backdrop(root, palette, illustration.backdrop)
        labels = backdrop.labels
    _, _, width, height = svg.view_box(root)
    notes = list(made.prepared.notes)
    scale = min(scale, MAX_SIDE / max(width, height))
    if width > _WIDEST:
        notes.append(
            f"The picture is {width / height:.1f} times as wide as high and its text will be "
            "small in a chat; fewer nodes or another aspect would help."
        )
    text_svg = svg.to_text(root)
    if backdrop is None:
        image = rasterize(text_svg, scale=scale, background=palette.paper).convert("RGB")
    else:
        image = laid_on(text_svg, backdrop.picture, scale=scale)
        illustrate.insert_backdrop(root, backdrop)
        text_svg = svg.to_text(root)
    if aspect != "auto" and abs(math.log(width / height / _RATIOS[aspect])) > _FAR_OFF:
        notes.append(
            f"The picture is {image.width}x{image.height}, which is not {aspect}: this "
            "diagram's layout comes no nearer; more or fewer branches would change that."
        )
    return Drawing(
        image=image,
        svg=text_svg,
        source=made.source,
        kind=made.prepared.kind,
        noun=description.noun,
        title=description.title,
        alt=description.alt,
        long_description=description.long_description,
        words=description.labels,
        labels=tuple(labels),
        size=(width, height),
        nodes=made.nodes,
        renderer=f"{made.engine}, resvg {resvg_version()}",
        notes=tuple(notes),
    )


def check(text: str, *, title: str = "") -> Reading:
    """Read Mermaid text as `render` does, and draw nothing.

    Raises:
        DiagramError: as `render` does, except for what only the layout can find.
    """
    installed, theme = ladder.engine(), THEMES["light"]
    if installed != "merman":
        made = _plainer(installed, text, title, theme, PLAIN)
        return Reading(made.prepared.kind, made.description, (), made.prepared.notes)
    from agent_tools.diagrams.mermaid import MermaidRenderer

    prepared, model, description = _read(MermaidRenderer(theme), text, title)
    nodes = tuple(illustrate.nodes_of(prepared.kind, model))
    return Reading(prepared.kind, description, nodes, prepared.notes)


def _read(
    renderer: MermaidRenderer, text: str, title: str
) -> tuple[Source, dict[str, Any], Description]:
    from agent_tools.diagrams import repair

    prepared = source.prepare(text)
    problem = repair.explain(renderer, prepared)
    if problem is not None:
        raise problem
    model = renderer.parse(prepared.text)
    heading = plain(title) or prepared.title or plain(str(model.get("title") or ""))
    prepared = source.without_title(prepared)
    description = describe(prepared.kind, model, heading)
    if not description.labels:
        raise DiagramRefused(
            f"There is nothing in this {description.noun.lower()}.",
            hint="Add at least one named part below the first line.",
        )
    return prepared, model, description


def _best_shape(
    lay_out: Callable[[str], Element], prepared: Source, aspect: Aspect
) -> tuple[str, Element]:
    own = source.direction(prepared)
    texts = [source.turned(prepared, own) if own else prepared.text]
    if source.can_turn(prepared):
        texts.append(source.turned(prepared, "LR" if (own or "TB") == "TB" else "TB"))
    drawn: list[tuple[str, Element]] = []
    for text in texts:
        try:
            root = lay_out(text)
        except DiagramTooLarge:
            if text == texts[-1] and not drawn:
                raise
            continue  # a chain that is too long one way may fit the other way
        drawn.append((text, root))
        if aspect == "auto" and own and 0.5 <= _ratio(root) <= 2.2 and not _too_wide(root):
            return text, root
    wanted = math.log(_RATIOS[aspect])

    def badness(choice: tuple[str, Element]) -> tuple[bool, float]:
        distance = abs(math.log(_ratio(choice[1])) - wanted)
        if aspect != "auto":
            return False, distance
        favor = _OWN_DIRECTION if own and choice[0] == texts[0] else 0.0
        return _too_wide(choice[1]), distance - favor

    return min(drawn, key=badness)


def _laid_out(renderer: MermaidRenderer, text: str, theme: Theme) -> Element:
    return svg.sanitized(renderer.svg(text), theme, renderer.lines(text))


def _finished(root: Element, theme: Theme) -> Element:
    finish.finish(root, theme)
    x, y, width, height = svg.view_box(root)
    if max(width, height) > MAX_DRAWING or width * height > MAX_AREA:
        raise DiagramTooLarge(
            f"The diagram would be {width:.0f} by {height:.0f} units; at most {MAX_DRAWING:.0f} "
            f"on a side and {MAX_AREA:.0f} in all are drawn.",
            hint="Shorten the labels, or split it into an overview and detail diagrams.",
            data={"width": round(width), "height": round(height)},
        )
    svg.set_view_box(root, x - _MARGIN, y - _MARGIN, width + 2 * _MARGIN, height + 2 * _MARGIN)
    svg.set_view_box(root, *legibility.content_box(root, theme))
    return root


def _too_wide(root: Element) -> bool:
    return svg.view_box(root)[2] + 2 * PADDING > _WIDEST


def _ratio(root: Element) -> float:
    _, _, width, height = svg.view_box(root)
    return width / height
