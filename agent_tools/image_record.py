"""One picture of the gallery: what is known about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

IMAGE_ID = re.compile(r"img_(?:[0-9a-f]{24}|[0-9a-f]{32})")
Kind = Literal["product", "persona", "diagram", "picture", "sheet", "upload", "mask"]
Fact = str | int | float | bool
# What we note about how a picture was made, least telling first; answers need none of it.
OF_THE_MAKING = (
    "derived_by", "likeness", "candidate", "pack_id", "enlarged_from", "edited_from",
)  # fmt: skip
_IN_ITS_CAPTION = ("pose", "background", "outfit")  # of a persona's picture


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture of the gallery.

    Attributes:
        image_id: "img_" and 24 hex digits of the file's sha256: same picture, same id. What is
            bound to a caller has 32 digits of a keyed hash (see `Gallery`).
        path: the file on this machine; never leaves it except through the command line.
        group: pictures of one call (variants of one product) share it.
        parent_id: the picture this one was made from.
        recipe: everything needed to make it again; empty in what others published.
        metadata: flat facts that travel to knowledge bases (sku, color, persona_id).
        caller: whose it is; None if it belongs to nobody in particular.
    """

    image_id: str
    sha256: str
    path: Path
    media_type: str
    width: int
    height: int
    seed: int | None
    model: str
    tool: str
    kind: Kind
    title: str
    caption: str
    alt: str
    long_description: str
    use_when: str
    tags: tuple[str, ...]
    group: str | None
    parent_id: str | None
    recipe: dict[str, Any]
    metadata: dict[str, str | int | float | bool]
    notes: tuple[str, ...]
    created_at: float
    caller: str | None = None


@dataclass(frozen=True, slots=True)
class NewImage:
    """A picture about to enter the gallery: the encoded file and what is known about it."""

    data: bytes
    media_type: str
    width: int
    height: int
    model: str
    tool: str
    kind: Kind
    title: str
    caption: str
    alt: str
    seed: int | None = None
    long_description: str = ""
    use_when: str = ""
    tags: tuple[str, ...] = ()
    group: str | None = None
    parent_id: str | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str | int | float | bool] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def told_facts(metadata: Mapping[str, Fact], most: int) -> dict[str, Fact]:
    """Return the facts that travel to a knowledge base.

    They are all of them, or as few as needed to keep to `most` without how the picture was made
    and without what a persona's caption says anyway; never without what the caller gave.
    """
    facts = dict(metadata)
    for name in (*OF_THE_MAKING, *(_IN_ITS_CAPTION if "persona_id" in facts else ())):
        if len(facts) <= most:
            break
        facts.pop(name, None)
    return facts
