"""Checks that always run before export: the color a caption names, the graph a diagram draws.

Both compare what is written with the picture's own pixels and recipe; no model is asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from agent_tools.color import NamedColor, parse_color
from agent_tools.color_names import PLAIN_COLORS
from agent_tools.color_space import linear_from_srgb, oklab_from_linear
from agent_tools.errors import AgentToolsError, InvalidArguments, Refused
from agent_tools.recolor import color_difference
from agent_tools.segmentation import segment
from kb_export.captions import clean
from kb_export.record import KBRecord
from kb_export.review import Verdict

if TYPE_CHECKING:
    import numpy.typing as npt

    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord

# A shop's customers call a product by this color although its mid-tone is so far from it.
SAME_COLOR_DELTA_E = 12.0
_PRODUCT_SHARE = 0.15
_PICTURE_SHARE = 0.01
_LEAST_CHROMA = 0.03
_WORK_SIDE = 192  # enough to tell colors apart; finding the product is most of the work
# How far in Oklab hue (radians) and lightness a pixel may be from a color and still show it: from
# a value that was asked for, and from a word, which means many values.
_VALUE_WINDOW = (float(np.radians(15)), 0.15)
_WORD_WINDOW = (float(np.radians(25)), 0.22)
# Words that mean a color and hardly ever a thing; of the others only a fact tells.
_COLOR_WORDS = (*PLAIN_COLORS, "grey", "violet", "turquoise", "magenta", "maroon", "crimson")
_NOT_THE_PICTURE = re.compile(
    r"\b(?:not|no|without|instead of|from|than)\s+(?:an?\s+|the\s+)?[\w-]+"
    r"|\b[\w-]+(?:\s+[\w-]+)?\s+(?:background|backdrop|wall|light|lighting)\b",
    re.IGNORECASE,
)


class ColorCheck:
    """Does the picture show the color that its caption names?

    The fact `color_hex` (a product variant's color) is measured on the product and decides. Color
    words in free text may mean a small part of the picture or none, so that missing ones are a
    doubt, not a failure.
    """

    name = "color check"

    def load(self) -> None:
        """Do nothing: there is no model."""

    def check(self, record: KBRecord, picture: Image.Image) -> Verdict | None:
        """Return the verdict, None if no color is named."""
        wanted = record.facts.get("color_hex")
        if isinstance(wanted, str):
            try:
                color = parse_color(wanted)
            except InvalidArguments as error:
                return Verdict("failed", "color", 0.0, self.name, error.message)
            return self._measured(color, picture)
        if record.provenance.get("kind") == "diagram":
            return None
        named = named_colors(f"{record.title}. {record.caption}")
        if not named:
            return None
        small = _small(picture)
        shares = {color.name: _share(small, color, _WORD_WINDOW) for color in named}
        missing = [name for name, share in shares.items() if share < _PICTURE_SHARE]
        score = min(1.0, min(shares.values()) / _PRODUCT_SHARE)
        if missing:
            return Verdict(
                "doubtful",
                "color",
                score,
                self.name,
                f"The caption says {' and '.join(missing)}, which the picture hardly shows.",
            )
        return Verdict("passed", "color", score, self.name)

    def _measured(self, color: NamedColor, picture: Image.Image) -> Verdict:
        small = _small(picture)
        product = _product(small)
        if product is not None:
            difference = color_difference(small, product, color)
            if difference <= SAME_COLOR_DELTA_E:
                return Verdict("passed", "color", 1 - difference / 100, self.name)
        share = _share(small, color, _VALUE_WINDOW, product)
        least = _PICTURE_SHARE if product is None else _PRODUCT_SHARE
        score = min(1.0, share / _PRODUCT_SHARE)
        if share >= least:
            return Verdict("passed", "color", score, self.name)
        where = "picture" if product is None else "product"
        return Verdict(
            "failed",
            "color",
            score,
            self.name,
            f"It should be {color.label}, but {share:.0%} of the {where} shows that color.",
        )


class DiagramCheck:
    """Does the diagram's graph, drawn again, give this picture and these words?"""

    name = "diagram check"

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def load(self) -> None:
        """Do nothing: there is no model."""

    def check(self, record: KBRecord, picture: Image.Image) -> Verdict | None:
        """Return the verdict, None for pictures that are no diagrams of ours."""
        if record.provenance.get("kind") != "diagram":
            return None
        stored = self._gallery.get(record.image_id)
        try:
            drawing = _drawn_again(stored)
        except (AgentToolsError, ValueError) as error:
            return self._verdict(
                "doubtful", f"Its graph cannot be drawn again ({type(error).__name__})."
            )
        written = [clean(line) for line in drawing.long_description.split("\n")]
        if stored.long_description.split("\n") != written or stored.alt != clean(drawing.alt, 250):
            return self._verdict("failed", "Its description says something else than its graph.")
        if drawing.renderer != stored.recipe.get("renderer"):
            return self._verdict("passed")  # another version draws other pixels of the same graph
        if stored.recipe["arguments"].get("illustrate", "none") != "none":
            return self._verdict("passed")  # icons and backdrop say nothing that the words do
        pixels = np.asarray(picture.convert("RGB"))
        if not np.array_equal(pixels, np.asarray(drawing.image.convert("RGB"))):
            return self._verdict("failed", "The picture is not what its graph draws.")
        return self._verdict("passed")

    def _verdict(self, outcome: Any, reason: str = "") -> Verdict:
        return Verdict(outcome, "graph", float(outcome == "passed"), self.name, reason)


def named_colors(text: str) -> list[NamedColor]:
    """Return the colors that a caption gives to what it shows, each once.

    Backgrounds, light and what is denied ("not red", "instead of red") do not count.
    """
    text = _NOT_THE_PICTURE.sub(" ", text.lower())
    pattern = "|".join(sorted(_COLOR_WORDS, key=len, reverse=True))
    found = dict.fromkeys(re.findall(rf"\b(?:{pattern})\b", text))
    return [parse_color(name) for name in found]


def _drawn_again(stored: ImageRecord) -> Any:
    from agent_tools.diagrams.graph import to_mermaid
    from agent_tools.diagrams.worker import draw
    from agent_tools.tools.draw_diagram import DrawDiagramArguments

    asked = DrawDiagramArguments.model_validate(stored.recipe.get("arguments"))
    text = to_mermaid(asked.graph) if asked.graph is not None else str(asked.source)
    return draw(text, title=asked.title, aspect=asked.aspect, theme=asked.theme, scale=asked.scale)


def _small(picture: Image.Image) -> Image.Image:
    """Return a small copy, "RGBA" where parts are transparent and "RGB" elsewhere."""
    transparent = picture.has_transparency_data
    small = picture.convert("RGBA" if transparent else "RGB")
    small.thumbnail((_WORK_SIDE, _WORK_SIDE), Image.Resampling.BOX)
    return small


def _product(picture: Image.Image) -> Image.Image | None:
    """Return the product's mask where it can be told from the background."""
    try:
        return segment(picture).mask
    except Refused:
        return None


def _share(
    picture: Image.Image,
    color: NamedColor,
    window: tuple[float, float],
    product: Image.Image | None = None,
) -> float:
    """Return the share of the product's pixels, or the picture's, that show a color, 0 to 1."""
    pixels = np.asarray(picture.convert("RGBA"))
    counted = pixels[..., 3] > 127
    if product is not None:
        counted = counted & (np.asarray(product) > 127)
    chosen = pixels[..., :3][counted]
    return float(_shows(chosen, color, window).mean()) if len(chosen) else 0.0


def _shows(
    pixels: npt.NDArray[np.uint8], color: NamedColor, window: tuple[float, float]
) -> npt.NDArray[np.bool_]:
    """Tell which pixels, shape (n, 3), show a color in light and shade."""
    hue_window, lightness_window = window
    lab = oklab_from_linear(linear_from_srgb(pixels))
    own = oklab_from_linear(linear_from_srgb(np.array([color.rgb], np.uint8)))[0]
    chroma, own_chroma = np.hypot(lab[:, 1], lab[:, 2]), float(np.hypot(own[1], own[2]))
    near = np.abs(lab[:, 0] - own[0]) < lightness_window
    if own_chroma < 0.04:
        gray: npt.NDArray[np.bool_] = near & (chroma < 0.06)
        return gray
    angle = np.arctan2(lab[:, 2], lab[:, 1]) - np.arctan2(own[2], own[1])
    turned = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
    colorful = chroma > max(_LEAST_CHROMA, 0.3 * own_chroma)
    shown: npt.NDArray[np.bool_] = near & (turned < hue_window) & colorful
    return shown
