"""One or more real calls of every tool, for tests that must leave no tool out."""

from __future__ import annotations

from typing import Any

from painting_helpers import QUICK, gradient, square_mask, upload

from agent_tools.studio import Studio

# Tools that make no picture and so have no recipe.
WITHOUT_PICTURES = frozenset(
    {"get_image", "search_kb", "export_to_kb", "find_images", "list_personas"}
)


async def calls_of_every_tool(studio: Studio) -> dict[str, list[dict[str, Any]]]:
    """Return the calls by tool, after making what they need; without those about jobs."""
    source = upload(studio, gradient())
    mask = upload(studio, square_mask(), "mask")
    await studio.call("create_persona_avatar", {"name": "Otto", "description": "gray beard"})
    (persona,) = studio.personas.list()
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
        "list_personas": [{}],
        "find_images": [{"query": "a mug"}],
        "get_image": [{"image_id": source}],
        "search_kb": [{"question": "Do you have a red teapot?"}],
        "export_to_kb": [{}],
    }
