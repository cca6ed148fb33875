"""What a product is made of: named parts with their distances.

"main" takes the asked color and finish. "second" does too, but the second color where the product
is two-tone; "second light" is light where it is not two-tone, and so on. The other names are fixed
colors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import Tensor

Parts = dict[str, Tensor]
Builder = Callable[[Tensor, bool], Parts]

SECOND: Final = "second"
PART_COLORS: Final[dict[str, str]] = {
    "light": "#f2f0ea",
    "dark": "#2c2d32",
    "wood": "#a06a3c",
    "metal": "#b9bcc2",
    "leaf": "#3f8f4a",
    "soil": "#4a3628",
    "gold": "#d9b44a",
    "wax": "#f3ead6",
    "flame": "#ffb648",
    "gem": "#cfeaf4",
    "lens": "#25282e",
}


def fixed_color(part: str) -> str | None:
    """Return the color (#rrggbb) of a part that does not take the asked one, else None."""
    return PART_COLORS.get(part.removeprefix(SECOND).strip())
