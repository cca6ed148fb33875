"""What of the gallery bots get to show: facts that fit, chosen faces, nothing known to be wrong."""

from __future__ import annotations

import io

import pytest
from kb_pictures import new_picture
from PIL import Image

from agent_tools.appearance import STARTER
from agent_tools.image_record import ImageRecord
from agent_tools.studio import Studio
from kb_export.record import MAX_FACTS

pytestmark = pytest.mark.anyio
WORDS = {"name": "Mina", "description": "red hair, glasses"}


def painted(studio: Studio, title: str, prompt: str, model: str = STARTER) -> ImageRecord:
    """Store a picture as if a model had painted it from a prompt."""
    new = new_picture(title)
    fields = {name: getattr(new, name) for name in new.__dataclass_fields__}
    recipe = {"tool": "generate_image", "prompt": prompt}
    return studio.gallery.add([type(new)(**{**fields, "model": model, "recipe": recipe})])[0]


async def test_a_persona_with_everything_changed_still_fits_a_knowledge_base(
    studio: Studio,
) -> None:
    made = await studio.call("create_persona_avatar", WORDS)
    changed = await studio.call(
        "create_persona_avatar",
        {
            "persona_id": made.data.persona.persona_id,
            "expression": "celebrating",
            "background": "mint",
            "outfit": "blue suit",
        },
    )
    asked = {"image_ids": [image.image_id for image in changed.data.images]}
    exported = await studio.call("export_to_kb", asked)
    assert exported.data.exported == asked["image_ids"]
    assert not exported.data.failed
    (record,) = studio.knowledge._records.of_each(
        [studio.gallery.get(image_id) for image_id in asked["image_ids"]]
    )[0]
    assert len(record.facts) <= MAX_FACTS
    assert record.facts["persona"] == "Mina" and record.facts["expression"] == "celebrating"


async def test_candidates_that_were_not_chosen_stay_at_home(studio: Studio) -> None:
    made = await studio.call("create_persona_avatar", {**WORDS, "count": 3})
    ids = [image.image_id for image in made.data.images]
    chosen = {"persona_id": made.data.persona.persona_id, "lock_image_id": ids[1]}
    await studio.call("create_persona_avatar", chosen)
    exported = await studio.call("export_to_kb", {})
    assert ids[1] in exported.data.exported
    assert not {ids[0], ids[2]} & set(exported.data.exported)
    # Whoever names one gets it.
    named = await studio.call("export_to_kb", {"image_ids": [ids[0]]})
    assert named.data.exported == [ids[0]]


async def test_with_auto_export_a_face_is_owed_once_it_is_chosen(studio: Studio) -> None:
    studio.settings = studio.settings.model_copy(update={"auto_export": True})
    made = await studio.call("create_persona_avatar", {**WORDS, "count": 3})
    ids = [image.image_id for image in made.data.images]
    assert studio.knowledge.status().targets[0].pending == 0
    chosen = {"persona_id": made.data.persona.persona_id, "lock_image_id": ids[1]}
    drawn = await studio.call("create_persona_avatar", {**chosen, "expression": "smiling"})
    assert studio.knowledge.status().targets[0].pending == 2
    smiling = drawn.data.images[0].image_id
    exported = await studio.call("export_to_kb", {})
    assert set(exported.data.exported) == {ids[1], smiling}


async def test_all_candidates_are_there_until_one_is_chosen(studio: Studio) -> None:
    made = await studio.call("create_persona_avatar", {**WORDS, "count": 3})
    exported = await studio.call("export_to_kb", {})
    assert {image.image_id for image in made.data.images} <= set(exported.data.exported)


async def test_what_the_model_never_learned_is_set_aside_until_a_person_approves(
    studio: Studio,
) -> None:
    wrong = painted(studio, "golden retriever", "a golden retriever on the moon")
    right = painted(studio, "glossy teapot", "a glossy teapot")
    beach = painted(studio, "leather backpack", "a backpack on a beach")
    other = painted(studio, "golden retriever two", "a golden retriever", model="FLUX.2-klein-4B")
    exported = await studio.call("export_to_kb", {})
    assert {right.image_id, beach.image_id, other.image_id} <= set(exported.data.exported)
    (failed,) = exported.data.failed
    assert failed.image_id == wrong.image_id and "knows no such thing" in failed.reason
    doubts = {each.image_id: each.reason for each in exported.data.doubtful}
    assert "beach" in doubts[beach.image_id]
    assert right.image_id not in doubts

    studio.knowledge.approve([wrong.image_id])
    again = await studio.call("export_to_kb", {"image_ids": [wrong.image_id]})
    assert again.data.exported == [wrong.image_id]


async def test_a_title_that_is_said_later_holds(studio: Studio) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), "olive").save(buffer, "PNG")
    first = studio.gallery.add_upload(buffer.getvalue())
    named = studio.gallery.add_upload(buffer.getvalue(), title="Olive bowl")
    assert named.image_id == first.image_id
    assert (named.title, named.caption, named.alt) == ("Olive bowl", "Olive bowl.", "Olive bowl.")
    renamed = studio.gallery.add_upload(buffer.getvalue(), title="Small olive bowl")
    assert renamed.title == "Small olive bowl"
    # Nothing said changes nothing.
    assert studio.gallery.add_upload(buffer.getvalue()).title == "Small olive bowl"
