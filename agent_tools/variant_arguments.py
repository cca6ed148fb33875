"""What create_product_variants takes and returns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from agent_tools.color import parse_color
from agent_tools.errors import InvalidArguments
from agent_tools.painting import MAX_SEED
from agent_tools.region_arguments import (
    BoxArgument,
    FromColor,
    MaskId,
    PointArgument,
    RegionArguments,
    check_region,
)
from agent_tools.repeats import Fresh
from agent_tools.results import ImageInfo, Measurements
from agent_tools.tools.base import Arguments
from agent_tools.variant_wishes import Wish, cleaned_facts, color_wishes

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
ColorText = Annotated[str, StringConstraints(min_length=1, max_length=60)]
# Published as text, for hosts that take one type only; numbers and yes or no are taken as well.
FactValue = Annotated[
    Annotated[str, StringConstraints(max_length=300)]
    | int
    | Annotated[float, Field(allow_inf_nan=False)]  # JSON, and with it the database, has no others
    | bool,
    WithJsonSchema({"type": "string", "maxLength": 300}),
]


class VariantArguments(BaseModel):
    """One look of the product."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    color: ColorText | None = Field(default=None, description="A name or hex value.")
    colors: list[ColorText] = Field(
        default_factory=list, max_length=4, description="One color for each region, in its order."
    )
    material: Words | None = Field(default=None, description="'walnut', 'brushed steel'.")
    scene: Words | None = Field(default=None, description="'on a wooden table'.")
    style: Words | None = Field(default=None, description="'watercolor', 'studio photo'.")
    sku: Words | None = Field(default=None, description="The shop's number of this variant.")
    facts: dict[str, FactValue] = Field(
        default_factory=dict,
        max_length=6,
        description="Facts for the knowledge base, such as {'price': '12.90 EUR'}.",
    )


class CreateProductVariantsArguments(Arguments):
    """A product in words or as a picture, and the looks wanted."""

    product: Words | None = Field(
        default=None,
        description="The product in words, without a color: 'ceramic teapot'. Give this or "
        "image_id; with image_id only where something is painted.",
    )
    image_id: str | None = Field(
        default=None,
        description="A picture of the product, from an earlier result or an upload: it is "
        "recolored exactly.",
    )
    colors: list[ColorText] = Field(
        default_factory=list,
        max_length=8,
        description="Short for variants of one color each: names ('sage', 'navy', 'dusty rose') "
        "or hex values ('#9CAF88').",
    )
    variants: list[VariantArguments] = Field(
        default_factory=list,
        max_length=8,
        description="Looks that are more than a color: {'material': 'walnut'}, {'color': 'sage', "
        "'scene': 'on a beach', 'sku': 'M-7'}.",
    )
    mask_id: MaskId = None
    point: PointArgument = None
    box: BoxArgument = None
    from_color: FromColor = None
    regions: list[RegionArguments] = Field(
        default_factory=list,
        max_length=4,
        description="With image_id: several parts of the product (sole, upper), each told as "
        "above; every variant then gives one color for each.",
    )
    keep_prints: bool = Field(
        default=True,
        description="With image_id: leave prints, logos and labels of another color as they are.",
    )
    anchor: Literal["perceived", "albedo"] = Field(
        default="perceived",
        description="With image_id: where the color is met: 'perceived' in the product's mid-tone, "
        "'albedo' in full light, like a sample of the material.",
    )
    mode: Literal["exact", "generate"] | None = Field(
        default=None,
        description="With image_id: 'exact' recolors by computation (default for colors), "
        "'generate' lets the model repaint the product, then corrects its color.",
    )
    scene: Words | None = Field(
        default=None, description="Where all variants stand, e.g. 'white background'."
    )
    material: Words | None = Field(
        default=None, description="What all variants are made of, e.g. 'glossy'."
    )
    style: Words | None = Field(default=None, description="How all variants are pictured.")
    count: int = Field(
        default=1,
        ge=1,
        le=4,
        description="How many pictures of each painted variant; picture k has seed + k.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="All painted variants share it, so shape and view stay the same. Random, and "
        "reported, if left out.",
    )
    steps: int | None = Field(
        default=None, ge=1, le=150, description="Denoising steps of what is painted."
    )
    format: Literal["png", "webp", "jpeg"] = Field(
        default="png", description="File format; jpeg is smaller but no longer exact to the byte."
    )
    fresh: Fresh = False

    @property
    def one_region(self) -> RegionArguments:
        """The region that the short form tells."""
        return RegionArguments(
            mask_id=self.mask_id, point=self.point, box=self.box, from_color=self.from_color
        )

    @property
    def all_regions(self) -> list[RegionArguments]:
        """The regions in either form; empty means "find the product"."""
        one = self.one_region
        return [one] if one.given else list(self.regions)


class ProductVariant(BaseModel):
    """One look of the product."""

    name: str = Field(description="The look in a few words.")
    color: str = Field(description="The color in words; empty if none was asked for.")
    color_hex: str
    sku: str | None = None
    image: ImageInfo
    measurements: Measurements | None = Field(
        description="Of the color, of the first region if there are several; null if none was "
        "asked for or the painted product could not be told from its background."
    )
    region_measurements: list[Measurements] = Field(
        default_factory=list, description="Of each region, if there are several."
    )
    alike: float | None = Field(
        default=None,
        description="Measured: how much of its edges it shares with the first variant, or with "
        "the source picture, 0 to 1.",
    )
    outline_overlap: float | None = Field(
        default=None,
        description="Measured on painted products that stand out: overlap of its outline with the "
        "first variant's, 0 to 1.",
    )


class MaskInfo(BaseModel):
    """Where a region was."""

    mask_id: str | None = Field(description="Its picture; null for the source's transparency.")
    source: str = Field(description="'mask', 'alpha', 'point', 'box', 'color' or 'automatic'.")
    area: float = Field(description="Share of the picture, 0 to 1.")


class CreateProductVariantsOutput(BaseModel):
    """The variants, in the order asked for."""

    variants: list[ProductVariant]
    sheet: ImageInfo = Field(description="All variants on one picture, with their colors.")
    group: str = Field(description="All variants of this product share it.")
    source_image_id: str | None
    mask: str | None = Field(
        description="With image_id: where the first region came from, as in masks."
    )
    masks: list[MaskInfo] = Field(default_factory=list, description="With image_id: the regions.")
    seed: int | None
    model: str
    seconds: float = Field(description="Time the engine or the recoloring took.")
    warnings: list[str]


def wishes_of(asked: CreateProductVariantsArguments) -> tuple[list[Wish], list[str]]:
    """Return every look asked for, with what holds for all of them, and warnings.

    Raises:
        InvalidArguments: an unknown color, no look at all, or one that says nothing.
    """
    wishes, warnings = color_wishes(asked.colors)
    for number, variant in enumerate(asked.variants, start=1):
        if variant.color is not None and variant.colors:
            raise InvalidArguments(
                f"Variant {number} has both color and colors.",
                hint="Give color for one region, colors for several.",
            )
        texts = [variant.color] if variant.color is not None else variant.colors
        wishes.append(
            Wish(
                tuple((text, parse_color(text)) for text in texts),
                variant.material or "",
                variant.scene or "",
                variant.style or "",
                variant.sku or "",
                cleaned_facts(variant.facts),
            )
        )
    if not wishes and (asked.scene or asked.material or asked.style):
        wishes = [Wish()]
    shared = [
        Wish(
            wish.colors,
            wish.material or asked.material or "",
            wish.scene or asked.scene or "",
            wish.style or asked.style or "",
            wish.sku,
            wish.facts,
        )
        for wish in wishes
    ]
    if not shared:
        raise InvalidArguments(
            "No variant is asked for.", hint="Give colors, or variants with a material or scene."
        )
    for number, wish in enumerate(shared, start=1):
        if not wish.colors and not wish.paints:
            raise InvalidArguments(
                f"Variant {number} says nothing about its look.",
                hint="Give it a color, material, scene or style.",
            )
    return shared, warnings


def check_combination(asked: CreateProductVariantsArguments, wishes: list[Wish]) -> None:
    """Refuse arguments that contradict each other rather than ignore one of them.

    Raises:
        InvalidArguments: saying which.
    """
    if asked.product is None and asked.image_id is None:
        raise InvalidArguments(
            "Give either product (words) or image_id (a picture).",
            hint="Use product to paint it from words, image_id to change a picture of it.",
        )
    if asked.image_id is None:
        _check_words(asked, wishes)
    else:
        _check_picture(asked, wishes)


def _check_words(asked: CreateProductVariantsArguments, wishes: list[Wish]) -> None:
    wrong = [name for name in ("mask_id", "point", "box", "from_color") if getattr(asked, name)]
    wrong += ["regions"] if asked.regions else []
    wrong += ["mode"] if asked.mode == "exact" else []
    wrong += [name for name in ("keep_prints", "anchor") if name in asked.model_fields_set]
    if wrong:
        raise InvalidArguments(
            f"{' and '.join(wrong)} needs image_id: a product from words has no picture yet.",
            hint="Leave it out, or give image_id instead of product.",
        )
    if any(len(wish.colors) > 1 for wish in wishes):
        raise InvalidArguments(
            "Several colors of one variant need image_id and regions.",
            hint="From words, describe the second color in product: 'sneaker with a white sole'.",
        )


def _check_picture(asked: CreateProductVariantsArguments, wishes: list[Wish]) -> None:
    paints = asked.mode == "generate" or any(wish.paints for wish in wishes)
    if asked.mode == "exact" and any(wish.paints for wish in wishes):
        raise InvalidArguments(
            "Material, scene and style cannot be made exactly: a model paints them.",
            hint="Leave mode out, or ask for colors only.",
        )
    if not paints:
        if asked.product is not None:
            raise InvalidArguments(
                "product and image_id do not go together: the picture is recolored as it is.",
                hint="Use product to paint it from words, image_id to recolor a picture of it.",
            )
        wrong = [name for name in ("seed", "steps") if getattr(asked, name) is not None]
        wrong += ["count"] if asked.count > 1 else []
        if wrong:
            raise InvalidArguments(
                f"{' and '.join(wrong)} cannot be used with image_id where nothing is painted: a "
                "recolor has one outcome.",
                hint="Leave it out, or set mode to 'generate'.",
            )
    regions = asked.all_regions
    if asked.regions and asked.one_region.given:
        raise InvalidArguments(
            "regions does not go together with mask_id, point, box or from_color.",
            hint="Put the first region into the list, too.",
        )
    for region in regions:
        check_region(region)
        if asked.regions and not region.given:
            raise InvalidArguments(
                "A region says nothing.", hint="Give it mask_id, point, box or from_color."
            )
    for wish in wishes:
        if wish.colors and len(wish.colors) != max(1, len(regions)):
            raise InvalidArguments(
                f"'{wish.name}' has {len(wish.colors)} colors for {max(1, len(regions))} "
                f"region{'s' if len(regions) > 1 else ''}.",
                hint="Give one color for each region, in the order of regions.",
            )
