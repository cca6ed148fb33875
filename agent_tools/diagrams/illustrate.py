"""Pictures in a diagram: an icon above each node's words, a painting behind it all.

The layout reserves the room: a node with a picture carries an invisible mark in its label, and
the text measurer answers with the picture's size added. Structure and words stay what they are.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from PIL import Image, ImageOps

from agent_tools.diagrams import legibility, svg
from agent_tools.diagrams.errors import DiagramRefused
from agent_tools.diagrams.graph import escaped
from agent_tools.diagrams.icons import ICONS, icon_for
from agent_tools.diagrams.labels import plain_html
from agent_tools.diagrams.room import GAP, LINE_HEIGHT, MARK
from agent_tools.diagrams.theme import Theme

DRAWN_SIZE = 40.0  # user units
PAINTED_SIZE = 76.0
MIN_LINE_CONTRAST = 3.0  # WCAG 2.2, 1.4.11, graphical objects
_NODE_ID = re.compile(r"diagram-flowchart-(.+)-\d+")
_FIRST_SCRIM, _STEP = 0.3, 0.06


@dataclass(frozen=True, slots=True)
class Illustration:
    """What is added to the exact drawing.

    Attributes:
        icons: whether every node gets one; drawn where `pictures` has none for it.
        pictures: encoded PNG pictures by node id.
        backdrop: an encoded picture that fills the canvas behind everything, or None.
    """

    icons: bool = False
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    backdrop: bytes | None = None

    @property
    def size(self) -> float:
        """Width and height of a node's picture in user units; 0 without icons."""
        if not self.icons:
            return 0.0
        return PAINTED_SIZE if self.pictures else DRAWN_SIZE

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready facts, for the way to the drawing process."""
        pictures = {name: _encoded(data) for name, data in self.pictures.items()}
        backdrop = None if self.backdrop is None else _encoded(self.backdrop)
        return {"icons": self.icons, "pictures": pictures, "backdrop": backdrop}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Illustration:
        """Return the illustration that `to_json` wrote down."""
        pictures = {name: base64.b64decode(data) for name, data in facts["pictures"].items()}
        backdrop = facts["backdrop"]
        return cls(facts["icons"], pictures, base64.b64decode(backdrop) if backdrop else None)


PLAIN = Illustration()


def nodes_of(kind: str, model: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return id, label and shape of every node that can carry a picture."""
    if kind != "flowchart":
        return []
    groups = {group["id"] for group in model.get("subgraphs", ())}
    return [
        {
            "id": node["id"],
            "label": plain_html(str(node.get("label") or node["id"])),
            "shape": str(node.get("shape") or ""),
        }
        for node in model["nodes"]
        if node["id"] not in groups
    ]


def marks(kind: str, model: Mapping[str, Any], illustration: Illustration) -> str:
    """Return Mermaid lines that make room for a picture in every node.

    Raises:
        DiagramRefused: if the kind has no nodes for pictures, or a picture names none of them.
    """
    if not illustration.icons:
        return ""
    nodes = nodes_of(kind, model)
    if not nodes:
        raise DiagramRefused(
            f"Icons go into the nodes of a flowchart; a {kind} diagram has none.",
            hint="Use illustrate 'none' or 'backdrop', or draw it as a flowchart.",
        )
    known = {node["id"] for node in nodes}
    stray = next((name for name in illustration.pictures if name not in known), None)
    if stray is not None:
        raise DiagramRefused(
            f"There is no node '{stray[:64]}' for a picture.",
            hint=f"Nodes: {', '.join(sorted(known)[:40])}.",
            data={"nodes": sorted(known)},
        )
    return "".join(
        f'\n  {node["id"]}@{{ label: "{MARK}{escaped(node["label"], "state")}" }}' for node in nodes
    )


def place_icons(
    root: Element, theme: Theme, illustration: Illustration, nodes: list[dict[str, str]]
) -> None:
    """Put a picture above the words of every node whose label carries the mark."""
    if not illustration.icons:
        return
    by_id = {node["id"]: node for node in nodes}
    colors: dict[str, int] = {}
    for group in list(root.iter(svg.tag("g"))):
        found = _NODE_ID.fullmatch(group.get("id", ""))
        node = by_id.get(found[1]) if found else None
        if node is None or not svg.has_class(group, "node"):
            continue
        holder = next(
            (g for g in group.iter(svg.tag("g")) if g.find(svg.tag("text")) is not None), None
        )
        frame = holder.find(svg.tag("rect")) if holder is not None else None
        if holder is None or frame is None:
            continue
        _lower_words(holder, float(frame.get("y", "0")) + illustration.size + GAP)
        center = float(frame.get("x", "0")) + float(frame.get("width", "0")) / 2
        left, top = center - illustration.size / 2, float(frame.get("y", "0"))
        data = illustration.pictures.get(node["id"])
        if data is not None:
            holder.append(_image(data, left, top, illustration.size, illustration.size))
            continue
        name = icon_for(node["label"], node["shape"])
        index = colors.setdefault(name, len(colors)) % len(theme.series)
        holder.append(_drawn(name, left, top, illustration.size, theme, index))


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A picture that is legible to write on.

    Attributes:
        picture: "RGB", one pixel per user unit, faded as far as needed.
        scrim: opacity of the paper over it, 0 to 1.
        labels: what is written on it, each with its worst contrast.
    """

    picture: Image.Image
    scrim: float
    labels: list[legibility.Label]


def choose_backdrop(root: Element, theme: Theme, data: bytes) -> Backdrop:
    """Fade a picture just enough that every label and line of a drawing can be read on it.

    Args:
        root: with its canvas and legible labels; its paper is taken out.
        theme: the palette; the picture fades into the paper's color.
        data: encoded PNG or JPEG picture; the middle is cropped to the canvas.

    Raises:
        DiagramRefused: if no fading makes the words legible.
    """
    root.remove(root[0])
    _, _, width, height = svg.view_box(root)
    size = max(1, round(width)), max(1, round(height))
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
        picture = ImageOps.fit(opened.convert("RGB"), size, Image.Resampling.BICUBIC)
    paper = Image.new("RGB", size, theme.paper)
    for scrim in np.arange(_FIRST_SCRIM, 0.99, _STEP):
        faded = Image.blend(picture, paper, float(scrim))
        if not _lines_stand_out(faded, theme):
            continue
        labels = legibility.worst_contrasts(root, theme, faded)
        if all(label.contrast >= legibility.MIN_CONTRAST for label in labels):
            return Backdrop(faded, float(scrim), labels)
    raise DiagramRefused(
        "The labels cannot be made legible on this backdrop.",
        hint="Use illustrate 'none', or leave colors of nodes out of the source.",
    )


def insert_backdrop(root: Element, backdrop: Backdrop) -> None:
    """Put the picture behind everything in the SVG."""
    buffer = io.BytesIO()
    small = backdrop.picture.copy()
    small.thumbnail((1400, 1400))
    small.save(buffer, "JPEG", quality=85)
    root.insert(0, _image(buffer.getvalue(), *svg.view_box(root)))


def _lines_stand_out(faded: Image.Image, theme: Theme) -> bool:
    """Return whether edges can be told from all but a twentieth of a picture."""
    pixels = np.asarray(faded.resize((64, 64))).reshape(-1, 3)
    return bool(np.quantile(legibility.contrasts(theme.line, pixels), 0.05) >= MIN_LINE_CONTRAST)


def _lower_words(holder: Element, top: float) -> None:
    """Let the lines of a label begin at `top`, without the mark."""
    texts = holder.findall(svg.tag("text"))
    by = top + LINE_HEIGHT / 2 - float(texts[0].get("y", "0"))
    for text in texts:
        for part in text.iter():
            part.text = (part.text or "").replace(MARK, "") or None
            part.tail = (part.tail or "").replace(MARK, "") or None
            if part.get("y") is not None:
                part.set("y", f"{float(part.get('y', '0')) + by:g}")


def _drawn(name: str, left: float, top: float, size: float, theme: Theme, index: int) -> Element:
    group = Element(svg.tag("g"), {"transform": f"translate({left:.2f},{top:.2f})"})
    tile = ElementTree.SubElement(
        group, svg.tag("rect"), {"width": f"{size:g}", "height": f"{size:g}", "rx": "11"}
    )
    svg.set_style(tile, fill=theme.series[index], stroke="none")
    scale = size * 0.64 / 24
    line = ElementTree.SubElement(
        group,
        svg.tag("path"),
        {"d": ICONS[name], "transform": f"translate({size * 0.18:.2f},{size * 0.18:.2f}) "
         f"scale({scale:.4f})"},
    )  # fmt: skip
    svg.set_style(line, fill="none", stroke=theme.ink, stroke_width="1.8px",
                  stroke_linecap="round", stroke_linejoin="round")  # fmt: skip
    return group


def _image(data: bytes, left: float, top: float, width: float, height: float) -> Element:
    media_type = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
    return Element(
        svg.tag("image"),
        {
            "x": f"{left:.2f}",
            "y": f"{top:.2f}",
            "width": f"{width:.2f}",
            "height": f"{height:.2f}",
            "preserveAspectRatio": "xMidYMid slice",
            "href": f"data:{media_type};base64,{_encoded(data)}",
        },
    )


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
