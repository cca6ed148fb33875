"""create_persona_avatar, painted by a real engine: the same person again and again."""

from __future__ import annotations

import pytest
from painting_helpers import records

from agent_tools.settings import Settings
from agent_tools.studio import Studio

pytestmark = pytest.mark.anyio


async def test_a_persona_is_the_same_after_the_studio_was_closed_and_opened_again(
    settings: Settings,
) -> None:
    first = Studio.open(settings)
    created = await first.call(
        "create_persona_avatar", {"name": "Mina", "description": "red hair, glasses"}
    )
    sad = await first.call(
        "create_persona_avatar",
        {"persona_id": created.data.persona.persona_id, "expression": "sad"},
    )
    await first.close()
    second = Studio.open(settings)
    try:
        persona_id = created.data.model_dump()["persona"]["persona_id"]
        neutral_again = await second.call("create_persona_avatar", {"persona_id": persona_id})
        sad_again = await second.call(
            "create_persona_avatar", {"persona_id": persona_id, "expression": "sad"}
        )
    finally:
        await second.close()

    assert created.data.model_dump()["created"] is True
    assert sad_again.data.model_dump()["created"] is False
    assert neutral_again.images[0].info.image_id == created.images[0].info.image_id
    assert sad_again.images[0].info.image_id == sad.images[0].info.image_id
    assert sad.images[0].info.image_id != created.images[0].info.image_id


async def test_a_persona_created_twice_is_one_persona(studio: Studio) -> None:
    words = {"name": "Mina", "description": "red hair"}
    first = await studio.call("create_persona_avatar", words)
    second = await studio.call("create_persona_avatar", words)
    other = await studio.call("create_persona_avatar", {**words, "description": "black hair"})

    assert second.data.model_dump()["created"] is False
    assert second.images[0].info.image_id == first.images[0].info.image_id
    assert len(studio.personas.list()) == 2
    assert (
        other.data.model_dump()["persona"]["persona_id"]
        != (first.data.model_dump()["persona"]["persona_id"])
    )


async def test_a_persona_asked_for_with_a_mood_still_gets_its_neutral_picture(
    studio: Studio,
) -> None:
    result = await studio.call(
        "create_persona_avatar",
        {"name": "Mina", "description": "red hair", "expression": "smiling", "count": 2},
    )

    data = result.data.model_dump()
    canonical = studio.gallery.get(data["persona"]["canonical_image_id"])
    assert canonical.metadata["expression"] == "neutral"
    assert [record.metadata["expression"] for record in records(studio, result)] == ["smiling"] * 2
    assert len(studio.gallery.list()) == 3
    assert len({record.group for record in studio.gallery.list()}) == 1


async def test_similarity_is_one_for_the_neutral_picture_and_less_for_others(
    studio: Studio,
) -> None:
    created = await studio.call(
        "create_persona_avatar", {"name": "Mina", "description": "red hair", "count": 2}
    )

    first, second = created.data.model_dump()["similarity"]
    assert first == 1
    assert 0 <= second < 1
    assert f"{second:.2f}" in created.text


async def test_another_index_is_another_picture_of_the_same_look(studio: Studio) -> None:
    created = await studio.call("create_persona_avatar", {"name": "M", "description": "red hair"})
    persona_id = created.data.model_dump()["persona"]["persona_id"]
    pair = await studio.call(
        "create_persona_avatar", {"persona_id": persona_id, "index": 1, "count": 2}
    )
    alone = await studio.call("create_persona_avatar", {"persona_id": persona_id, "index": 2})

    assert alone.images[0].info.image_id == pair.images[1].info.image_id
    prompts = {record.recipe["prompt"] for record in studio.gallery.list()}
    assert len(prompts) == 1


async def test_a_persona_of_another_model_is_drawn_with_a_warning(studio: Studio) -> None:
    created = await studio.call("create_persona_avatar", {"name": "M", "description": "red hair"})
    persona = studio.personas.get(created.data.model_dump()["persona"]["persona_id"])
    studio.personas.save(persona.model_copy(update={"model": "another-model"}))

    result = await studio.call("create_persona_avatar", {"persona_id": persona.persona_id})

    assert "another-model" in result.data.model_dump()["warnings"][0]
    assert "another-model" in result.text
