"""A persona's life: designed, chosen, locked, derived, renamed, moved, deleted with everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from painting_helpers import records, upload
from persona_helpers import CONSENT, WORDS, draw
from PIL import Image

from agent_tools.errors import InvalidArguments, NotFound, Refused
from agent_tools.kb_records import Records
from agent_tools.knowledge import Knowledge
from agent_tools.persona_design import edited, pictures_of
from agent_tools.removal import remove_persona
from agent_tools.replay import replay
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from engine.starter.render.avatars import draw_avatar

pytestmark = pytest.mark.anyio


async def test_four_candidates_differ_in_what_the_words_left_open(studio: Studio) -> None:
    made = await draw(studio, **WORDS, count=4)
    prompts = [record.recipe["prompt"] for record in records(studio, made)]
    assert len(set(prompts)) == 4
    assert all("red hair, glasses" in prompt for prompt in prompts)
    assert made.data.verdicts[0] == "same"
    assert not made.data.persona.locked
    assert made.data.persona.canonical_image_id == made.data.images[0].image_id
    again = await draw(studio, **WORDS, count=4)
    assert [i.image_id for i in again.data.images] == [i.image_id for i in made.data.images]


async def test_a_locked_candidate_is_what_everything_is_derived_from(studio: Studio) -> None:
    made = await draw(studio, **WORDS, count=3)
    persona_id, chosen = made.data.persona.persona_id, made.data.images[2].image_id
    locked = await draw(studio, persona_id=persona_id, lock_image_id=chosen)
    smiling = await draw(studio, persona_id=persona_id, expression="smiling", outfit="blue suit")

    assert locked.data.images[0].image_id == chosen
    persona = studio.personas.get(persona_id)
    assert persona.locked and persona.canonical_image_id == chosen
    assert persona.appearance in studio.gallery.get(chosen).recipe["prompt"]
    record = records(studio, smiling)[0]
    assert record.parent_id == chosen
    assert record.metadata["likeness"] == smiling.data.similarity[0]
    assert "wearing blue suit" in record.recipe["prompt"]
    assert record.metadata["derived_by"] == "image-to-image"


async def test_another_face_cannot_be_locked_afterwards(studio: Studio) -> None:
    made = await draw(studio, **WORDS, count=2)
    persona_id = made.data.persona.persona_id
    await draw(studio, persona_id=persona_id, expression="smiling")
    with pytest.raises(Refused) as refusal:
        await draw(studio, persona_id=persona_id, lock_image_id=made.data.images[1].image_id)
    assert refusal.value.code == "locked"


async def test_only_a_candidate_of_the_persona_can_be_locked(studio: Studio) -> None:
    mina = await draw(studio, **WORDS)
    other = await draw(studio, name="Theo", description="black hair")
    with pytest.raises(InvalidArguments) as error:
        await draw(
            studio,
            persona_id=mina.data.persona.persona_id,
            lock_image_id=other.data.images[0].image_id,
        )
    assert mina.data.images[0].image_id in error.value.hint


async def test_pictures_of_somebody_else_are_no_start(studio: Studio) -> None:
    mina = await draw(studio, **WORDS)
    other = await draw(studio, name="Theo", description="black hair")
    with pytest.raises(InvalidArguments):
        await draw(
            studio,
            persona_id=mina.data.persona.persona_id,
            expression="smiling",
            from_image_id=other.data.images[0].image_id,
        )


async def test_attributes_say_as_much_as_a_description(studio: Studio) -> None:
    look = {"hair_style": "short", "hair_color": "red", "glasses": "yes", "skin": "tan"}
    made = await draw(studio, name="Mina", attributes=look)
    assert made.data.persona.description == "tan skin, short red hair, glasses"
    with pytest.raises(InvalidArguments):
        await draw(studio, name="Mina", attributes={"Hair Color; DROP": "red"})
    with pytest.raises(InvalidArguments):
        await draw(studio, name="Mina", attributes={"skin": " "})


async def test_the_record_says_what_it_was_made_with(studio: Studio) -> None:
    persona = (await draw(studio, **WORDS, style="watercolor")).data.persona
    assert persona.revision == studio.engine.revision
    assert persona.template_version == 2
    assert persona.style == "watercolor"
    assert persona.palette and all(color.startswith("#") for color in persona.palette)
    assert persona.fictional
    prompt = studio.gallery.get(persona.canonical_image_id or "").recipe["prompt"]
    assert prompt.endswith("watercolor")


async def test_every_picture_is_made_again_byte_for_byte(studio: Studio) -> None:
    made = await draw(studio, **WORDS, count=2)
    persona_id = made.data.persona.persona_id
    await draw(studio, persona_id=persona_id, expression="apologetic", background="mint", count=2)
    for record in pictures_of(studio.gallery, persona_id):
        assert (await replay(studio, record.image_id)).same_bytes


async def test_a_new_name_or_note_is_kept_and_the_face_stays(studio: Studio) -> None:
    persona = (await draw(studio, **WORDS)).data.persona
    changed = edited(studio, persona.persona_id, name="Minna", consent=CONSENT)
    assert studio.personas.get(persona.persona_id) == changed
    assert (changed.name, changed.fictional) == ("Minna", False)
    assert changed.canonical_image_id == persona.canonical_image_id
    with pytest.raises(InvalidArguments):
        edited(studio, persona.persona_id, name=None, consent=None)


async def test_personas_are_listed_with_their_faces(studio: Studio) -> None:
    nobody = await studio.call("list_personas", {})
    assert "no personas yet" in nobody.text
    mina = await draw(studio, **WORDS)
    persona_id = mina.data.persona.persona_id
    await draw(studio, persona_id=persona_id, expression="thinking", background="mint")
    await draw(studio, name="Theo", description="black hair")
    everybody = await studio.call("list_personas", {})
    one = await studio.call("list_personas", {"persona_id": persona_id})
    assert {persona.name for persona in everybody.data.personas} == {"Mina", "Theo"}
    assert len(everybody.images) == 2 and len(one.images) == 2
    assert "thinking, mint" in one.text


async def test_deletion_leaves_nothing(studio: Studio, settings: Settings) -> None:
    kept = await draw(studio, name="Theo", description="black hair")
    made = await draw(studio, **WORDS, count=2)
    persona_id = made.data.persona.persona_id
    smiling = await draw(studio, persona_id=persona_id, expression="smiling")
    edit = await studio.call(
        "edit_image",
        {"image_id": smiling.data.images[0].image_id, "prompt": "a blue wall", "seed": 1,
         "steps": 2},
    )  # fmt: skip
    pack = settings.data / "packs" / persona_id / "pack_0.zip"
    pack.parent.mkdir(parents=True)
    pack.write_bytes(b"zip")
    studio.knowledge.export()
    base = Path(studio.knowledge.default_target.partition(":")[2])
    gone = {r.image_id for r in pictures_of(studio.gallery, persona_id)}
    gone.add(edit.data.images[0].image_id)
    exported = gone - {made.data.images[1].image_id}  # a candidate that was not chosen
    hashes = tuple(image_id.removeprefix("img_") for image_id in gone)

    def there() -> list[Path]:
        """Return the files, exported and our own, that belong to what is to go."""
        files = [*settings.data.rglob("*"), *base.rglob("*")]
        return [p for p in files if p.is_file() and p.name.startswith(hashes)]

    assert len([path for path in there() if path.is_relative_to(base)]) >= len(exported)

    removed = remove_persona(studio, persona_id)

    assert set(removed.image_ids) == gone and removed.packs == 1
    assert [sorted(report.deleted) for report in removed.exports] == [sorted(exported)]
    with pytest.raises(NotFound):
        studio.personas.get(persona_id)
    left = kept.data.images[0].image_id
    assert [record.image_id for record in studio.gallery.list()] == [left]
    assert there() == []
    assert not any(persona_id in str(path) for path in settings.data.rglob("*"))
    assert studio.gallery.connection.execute(
        "SELECT count(*) FROM repeats WHERE image_ids LIKE ?",
        (f"%{edit.data.images[0].image_id}%",),
    ).fetchone()[0] == 0  # fmt: skip
    assert not studio.knowledge.search("Mina", min_score=0.0) or all(
        hit.record.image_id == left for hit in studio.knowledge.search("Mina", min_score=0.0)
    )


async def test_removals_that_were_not_delivered_wait_for_the_next_export(
    studio: Studio, settings: Settings
) -> None:
    made = await draw(studio, **WORDS)
    studio.knowledge.export()
    base = Path(studio.knowledge.default_target.partition(":")[2])
    studio.knowledge.close()  # as at the end of the process: nothing more is delivered
    removed = remove_persona(studio, made.data.persona.persona_id)
    assert studio.gallery.list() == []
    assert sum(report.pending for report in removed.exports) == 1
    assert list(base.rglob("*.png"))

    later = Knowledge(studio.gallery, settings)
    assert len(later.export().deleted) == 1
    later.close()
    assert not list(base.rglob("*.png"))


async def test_a_pack_of_an_unclear_picture_is_refused_with_the_next_step(studio: Studio) -> None:
    """What random weights paint has no figure."""
    made = await draw(studio, **WORDS)
    with pytest.raises(Refused) as refusal:
        await studio.call("create_avatar_pack", {"persona_id": made.data.persona.persona_id})
    assert refusal.value.code == "no_outline" and "background" in refusal.value.hint


async def test_a_pack_is_a_zip_and_a_picture_that_deletion_takes_along(studio: Studio) -> None:
    face = upload(studio, draw_avatar({"hair_style": "bun"}))
    made = await draw(studio, **WORDS, from_image_id=face, consent=CONSENT)
    persona_id = made.data.persona.persona_id
    pack = await studio.call("create_avatar_pack", {"persona_id": persona_id})
    assert pack.data.failed == []
    assert pack.data.uri == f"pack://{pack.data.pack_id}"
    assert any("Lanczos" in warning for warning in pack.data.warnings)
    preview = records(studio, pack)[0]
    with Image.open(preview.path) as image:
        assert image.mode == "RGBA" and image.size == (512, 512)
    assert "shown with consent" in preview.alt
    removed = remove_persona(studio, persona_id)
    assert {face, preview.image_id} <= set(removed.image_ids) and removed.packs == 1
    assert studio.gallery.list() == []


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
async def test_a_fact_that_is_no_number_is_refused_and_queries_go_on(
    studio: Studio, value: float
) -> None:
    """Python's JSON writes Infinity, SQLite's reads none: one such row broke every persona."""
    made = await draw(studio, **WORDS)
    asked = {"product": "teapot", "variants": [{"color": "red", "facts": {"price": value}}]}
    with pytest.raises(InvalidArguments, match="price"):
        await studio.call("create_product_variants", asked)
    listed = await studio.call("list_personas", {"persona_id": made.data.persona.persona_id})
    assert len(listed.images) == 1


async def test_every_picture_of_a_persona_reaches_the_knowledge_base(studio: Studio) -> None:
    """With outfit and background there are eight facts, and knowledge bases take six."""
    made = await draw(studio, **WORDS)
    persona_id = made.data.persona.persona_id
    change = {"expression": "smiling", "outfit": "blue suit", "background": "mint"}
    derived = await draw(studio, persona_id=persona_id, **change)
    report = studio.knowledge.export()
    assert report.failed == ()
    assert derived.data.images[0].image_id in report.put
    told = Records(studio.gallery, studio.settings).of(records(studio, derived)[0]).facts
    assert {"persona_id", "persona", "fictional", "expression"} <= told.keys()
    assert studio.gallery.get(derived.data.images[0].image_id).metadata.keys() > told.keys()
