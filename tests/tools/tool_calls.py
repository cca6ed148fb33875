"""One or more real calls of every tool, for tests that must leave no tool out."""

from __future__ import annotations

from typing import Any

from painting_helpers import QUICK, gradient, square_mask, upload
from PIL import Image, ImageDraw

from agent_tools.studio import Studio

# Tools that make no picture and so have no recipe.
WITHOUT_PICTURES = frozenset(
    {"get_image", "search_kb", "export_to_kb", "find_images", "list_personas"}
)


async def calls_of_every_tool(studio: Studio) -> dict[str, list[dict[str, Any]]]:
    """Return the calls by tool, after making what they need; without those about jobs."""
    source = upload(studio, gradient())
    mask = upload(studio, square_mask(), "mask")
    face = upload(studio, _face())
    consent = "Otto Muster agreed in writing on 2026-11-03 to an avatar in our chat"
    await studio.call(
        "create_persona_avatar",
        {
            "name": "Otto",
            "description": "gray beard, blue shirt",
            "from_image_id": face,
            "consent": consent,
        },
    )
    (persona,) = studio.personas.list()
    drawn = await studio.call("draw_diagram", {"source": "flowchart LR\n a[Cart] --> b[Pay]"})
    return {
        "generate_image": [
            {"prompt": "a mug", "negative_prompt": "tea", "count": 2, **QUICK},
            {"prompt": "a mug", "upscale": 2, **QUICK},
        ],
        "edit_image": [
            {"image_id": source, "prompt": "a vase", "steps": 3},
            {"image_id": source, "prompt": "a vase", "mask_id": mask, "steps": 2},
            {"image_id": source, "prompt": "a vase", "extend_left": 9, "steps": 2},
        ],
        "upscale_image": [{"image_id": source, "factor": 2, "prompt": "a vase", "steps": 3}],
        "create_product_variants": [
            {"image_id": source, "mask_id": mask, "colors": ["red", "#1f3a5f"]},
            {"product": "teapot", "colors": ["red", "navy"], "steps": 2},
        ],
        "create_persona_avatar": [{"name": "Mina", "description": "red hair", "count": 2}],
        "draw_diagram": [
            {"source": "flowchart LR\n a[Cart] --> b[Pay]", "title": "Checkout"},
            {"graph": {"nodes": [{"id": "a", "label": "Cart"}], "edges": []}},
        ],
        "create_avatar_pack": [{"persona_id": persona.persona_id}],
        "list_personas": [{"persona_id": persona.persona_id}],
        "find_images": [{"query": "a mug"}],
        "edit_diagram": [
            {"diagram_id": drawn.images[0].info.image_id, "title": "How to order"},
        ],
        "get_image": [{"image_id": source}],
        "search_kb": [{"question": "Do you have a red teapot?"}],
        "export_to_kb": [{"image_ids": [face]}],
    }


def _face() -> Image.Image:
    """Draw a head and shoulders on white, as a pack needs them."""
    image = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 170, 196, 330), fill=(40, 80, 150))
    draw.ellipse((84, 50, 172, 176), fill=(180, 120, 90))
    return image
