"""Where the product, or a part of it, is: the arguments that select it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agent_tools.errors import InvalidArguments

Pixel = Annotated[int, Field(ge=0, le=100_000)]
MaskId = Annotated[
    str | None,
    Field(description="A picture of the source's size, white where the product is."),
]
PointArgument = Annotated[
    list[Pixel] | None,
    Field(
        min_length=2,
        max_length=2,
        description="[x, y] in pixels on the product: its surface there is selected by color.",
    ),
]
BoxArgument = Annotated[
    list[Pixel] | None,
    Field(
        min_length=4,
        max_length=4,
        description="[left, top, right, bottom] in pixels around the product; with point or "
        "from_color it bounds what they select.",
    ),
]
FromColor = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=60,
        description="The color that the product has now: everything in it is selected.",
    ),
]


class RegionArguments(BaseModel):
    """Where one part of the product is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mask_id: MaskId = None
    point: PointArgument = None
    box: BoxArgument = None
    from_color: FromColor = None

    @property
    def given(self) -> list[str]:
        """The names of what is said."""
        return list(self.model_dump(exclude_none=True))


def check_region(region: RegionArguments) -> None:
    """Refuse a mask together with what would select one.

    Raises:
        InvalidArguments: naming both.
    """
    others = [name for name in region.given if name != "mask_id"]
    if region.mask_id is not None and others:
        raise InvalidArguments(
            f"mask_id and {' and '.join(others)} do not go together.",
            hint="A mask says everything; leave out one of them.",
        )
