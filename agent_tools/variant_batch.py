"""What one call for product variants made: its pictures, their words, and the sheet of all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agent_tools.color import asked_words
from agent_tools.contact_sheet import SheetCell, contact_sheet
from agent_tools.painting import RECIPE_VERSION, Input, marked_image
from agent_tools.provenance import recipe_sha256
from agent_tools.variant_wishes import VARIANTS_TOOL, made_of
from agent_tools.wording import Wording, lower_first, shorten, wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image

    from agent_tools.image_record import ImageRecord, NewImage
    from agent_tools.results import Measurements
    from agent_tools.segmentation import Source
    from agent_tools.variant_wishes import Wish


@dataclass(frozen=True, slots=True)
class FoundMask:
    """A mask that was used.

    Attributes:
        image_id: its picture in the gallery; None for the transparency of the source.
        source: where it came from.
        area: share of the picture, 0 to 1.
        used: what recipes name it by; None for the transparency of the source.
    """

    image_id: str | None
    source: Source
    area: float
    used: Input | None


@dataclass(frozen=True, slots=True)
class MadeVariant:
    """One finished picture.

    Attributes:
        wish: what was asked for.
        image: its pixels.
        new: ready for the gallery.
        measurements: of each region's color; empty if none was asked for or measured.
        notes: what to know about it.
        alike: structure shared with the first variant (painted from words) or with the source
            picture, 0 to 1; see `agent_tools.shape_likeness`.
    """

    wish: Wish
    image: Image.Image
    new: NewImage
    measurements: tuple[Measurements, ...] = ()
    notes: tuple[str, ...] = ()
    alike: float | None = None
    outline_overlap: float | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What was made, before the gallery, in the order asked for.

    Attributes:
        group: all of its pictures share it.
        seconds: time the engine, or the recoloring, took.
        seed: of the first painted variant; None if nothing was painted.
        source: the picture they were made from.
        masks: where its product is, one for each region.
    """

    group: str
    model: str
    seconds: float
    variants: tuple[MadeVariant, ...]
    seed: int | None = None
    source: Image.Image | None = None
    masks: tuple[FoundMask, ...] = ()
    warnings: tuple[str, ...] = ()


def sheet_of(batch: Batch, arguments: Mapping[str, Any]) -> NewImage:
    """Draw all variants, and the source first, on one picture; `arguments` make them again."""
    cells = [
        SheetCell(made.image, _swatches(made.wish), made.wish.name, _detail(made))
        for made in batch.variants
    ]
    if batch.source is not None:
        cells.insert(0, SheetCell(batch.source, (), "Source", "as it was"))
    subject = arguments.get("product") or batch.variants[0].new.title.partition(", recolored")[0]
    names = ", ".join(dict.fromkeys(lower_first(made.wish.name) for made in batch.variants))
    seed = {} if batch.seed is None else {"seed": batch.seed}
    recipe = {
        "version": RECIPE_VERSION,
        "tool": VARIANTS_TOOL,
        "arguments": {**arguments, **seed},
        "model": batch.model,
    }
    return marked_image(
        contact_sheet(cells),
        recipe,
        words=wording(f"{subject} in {names}"),
        kind="sheet",
        source_type="algorithmic" if batch.seed is None else "generated",
        seed=batch.seed,
        group=batch.group,
    )


def words_of_product(product: str, wish: Wish) -> Wording:
    """Say what a variant painted from words shows."""
    thing = made_of(wish.material, product)
    asked = ", ".join(part for part in (thing, wish.scene, wish.style) if part)
    words = wording(f"{wish.color_names} {asked}".strip(), extra_tags=_tags(wish))
    return replace(words, use_when=_use_when(thing, wish))


def words_of_picture(source: ImageRecord, wish: Wish) -> Wording:
    """Say what a variant made from a picture shows."""
    what = source.title.strip(" .") or "Product"
    colors = " and ".join(color.label for _, color in wish.colors)
    done = [f"recolored to {colors}"] if colors else []
    done += [part for part in (wish.material, wish.scene, wish.style) if part]
    words = wording(f"{what}, {', '.join(done)}", extra_tags=_tags(wish))
    return replace(words, use_when=_use_when(lower_first(what), wish))


def group_of_product(facts: Mapping[str, Any]) -> str:
    """Return the group that all variants of a product share."""
    return f"grp_{recipe_sha256({'tool': VARIANTS_TOOL, **facts})[:12]}"


def _tags(wish: Wish) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for _, color in wish.colors for word in asked_words(color)))


def _use_when(thing: str, wish: Wish) -> str:
    details = [" or ".join(asked_words(color)) for _, color in wish.colors]
    details += [part for part in (wish.scene, wish.style) if part]
    more = f" in {' and '.join(details)}" if details else ""
    return f"Someone asks to see {shorten(thing, 160)}{more}."


def _swatches(wish: Wish) -> tuple[tuple[int, int, int], ...]:
    return tuple(color.rgb for _, color in wish.colors)


def _detail(made: MadeVariant) -> str:
    hexes = " ".join(color.hex for _, color in made.wish.colors)
    if made.measurements:
        reached = max(found.achieved_delta_e for found in made.measurements)
        hexes += f"   \u0394E {reached:.1f}"
    return "   ".join(part for part in (hexes, made.wish.sku) if part)
