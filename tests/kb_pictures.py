"""Small real pictures in a real gallery, for tests about knowledge bases."""

from __future__ import annotations

import hashlib
from typing import Any

from PIL import Image

from agent_tools.gallery import Gallery
from agent_tools.image_record import ImageRecord, NewImage
from agent_tools.pictures import encode_png


def new_picture(name: str, **words: Any) -> NewImage:
    """Return a 16x12 picture whose color follows from its name."""
    red, green, blue = hashlib.sha256(name.encode()).digest()[:3]
    image = Image.new("RGB", (16, 12), (red, green, blue))
    values: dict[str, Any] = {
        "model": "another",  # whose words nobody here knows
        "tool": "generate_image",
        "kind": "product",
        "title": name.capitalize(),
        "caption": f"A {name} on a white background.",
        "alt": f"A {name}.",
        "use_when": f"Someone asks to see a {name}.",
        "seed": 7,
        "recipe": {"tool": "generate_image", "prompt": name},
    }
    return NewImage(
        data=encode_png(image), media_type="image/png", width=16, height=12, **{**values, **words}
    )


def add_pictures(gallery: Gallery, *names: str, **words: Any) -> list[ImageRecord]:
    """Store one picture for each name."""
    return gallery.add([new_picture(name, **words) for name in names])


def rewrite(gallery: Gallery, image_id: str, **words: str) -> None:
    """Change a stored picture's words, as a person editing its caption does."""
    gallery.rewrite(image_id, **words)
