"""One picture of the gallery: what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["product", "persona", "diagram", "picture", "sheet", "upload", "mask"]


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
