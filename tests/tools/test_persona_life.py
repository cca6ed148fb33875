"""A persona's life: designed, chosen, locked, derived, renamed, moved, deleted with everything."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from painting_helpers import gradient, records, square_mask, upload
from PIL import Image

from agent_tools.errors import AgentToolsError, InvalidArguments, NotFound, Refused
from agent_tools.kb_records import Records
from agent_tools.knowledge import Knowledge
from agent_tools.painting import marked_image, open_input
from agent_tools.persona_design import edited, locked, pictures_of
from agent_tools.persona_files import export_persona, import_persona
from agent_tools.removal import remove_persona
from agent_tools.replay import replay
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import ProgressEvent
from agent_tools.wording import wording
from engine.starter.render.avatars import draw_avatar

pytestmark = pytest.mark.anyio
CONSENT = "Anna Weber agreed in writing on 2026-11-03 to an avatar in our help chat"
WORDS = {"name": "Mina", "description": "red hair, glasses"}


async def draw(studio: Studio, **arguments: Any) -> Any:
    return await studio.call("create_persona_avatar", arguments)


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


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ({"name": "Tim", "description": "a child with red hair"}, "persona-minor"),
        ({"name": "Tim", "description": "a 9 year old boy"}, "persona-minor"),
        ({"name": "Tim", "description": "a ten-year-old boy"}, "persona-minor"),
        ({"name": "Kim", "description": "a girl aged sixteen"}, "persona-minor"),
        ({"name": "Eva", "description": "wearing lingerie"}, "persona-sexual"),
        ({"name": "Eva", "description": "se\u200bxy, red hair"}, "persona-sexual"),
        ({"name": "Tom Cruise", "description": "brown hair"}, "real-person"),
        ({"name": "Max", "description": "based on a photo of my boss"}, "persona-real-person"),
    ],
)
async def test_the_gate_refuses_and_says_what_would_do(
    studio: Studio, words: dict[str, str], rule: str
) -> None:
    with pytest.raises(Refused) as refusal:
        await draw(studio, **words)
    assert refusal.value.data["rule"] == rule
    assert refusal.value.hint
    assert studio.personas.list() == [] and studio.gallery.list() == []


@pytest.mark.parametrize("change", ["outfit", "background", "pose"])
async def test_what_changes_later_passes_the_same_gate(studio: Studio, change: str) -> None:
    made = await draw(studio, **WORDS)
    with pytest.raises(Refused):
        await draw(studio, persona_id=made.data.persona.persona_id, **{change: "naked"})


@pytest.mark.parametrize(
    "description",
    ["advisor of a kids' shop, baby blue sweater", "red hair, nude shade lipstick", "cheerful"],
)
async def test_harmless_words_pass_the_gate(studio: Studio, description: str) -> None:
    assert (await draw(studio, name="Mina", description=description)).data.created


async def test_consent_lifts_the_rule_for_real_people_and_is_stored(studio: Studio) -> None:
    words = {"name": "Anna", "description": "our founder, short gray hair"}
    with pytest.raises(Refused):
        await draw(studio, **words)
    with pytest.raises(InvalidArguments):
        await draw(studio, **words, consent="yes")
    made = await draw(studio, **words, consent=CONSENT)

    persona = studio.personas.get(made.data.persona.persona_id)
    assert persona.consent == CONSENT and not persona.fictional
    record = records(studio, made)[0]
    assert record.metadata["fictional"] is False and record.metadata["consented"] is True
    assert "a real person, shown with consent" in record.caption
    assert CONSENT not in json.dumps(record.metadata)
    assert "real, with consent" in made.text


async def test_a_consent_note_is_stored_or_refused_never_dropped(studio: Studio) -> None:
    persona_id = (await draw(studio, **WORDS)).data.persona.persona_id
    for outfit in ({}, {"outfit": "the look-alike of my boss"}):
        with pytest.raises(InvalidArguments, match="without a consent note") as refused:
            await draw(studio, **WORDS, consent=CONSENT, **outfit)
        assert "persona edit" in (refused.value.hint or "")
    edited(studio, persona_id, name=None, consent=CONSENT)
    assert (await draw(studio, **WORDS, consent=CONSENT)).data.persona.consent == CONSENT


@pytest.mark.parametrize("words", ["naked", "a child"])
async def test_consent_lifts_nothing_else(studio: Studio, words: str) -> None:
    with pytest.raises(Refused):
        await draw(studio, name="Anna", description=words, consent=CONSENT)


async def test_an_uploaded_face_needs_consent_also_by_way_of_an_edit(studio: Studio) -> None:
    face = upload(studio, draw_avatar({}).resize((64, 64)))
    edit = await studio.call(
        "edit_image", {"image_id": face, "prompt": "a portrait", "steps": 2, "seed": 1}
    )
    for image_id in (face, edit.data.images[0].image_id):
        with pytest.raises(Refused) as refusal:
            await draw(studio, **WORDS, from_image_id=image_id)
        assert refusal.value.data["rule"] == "persona-uploaded-face"
    made = await draw(studio, **WORDS, from_image_id=face, consent=CONSENT)
    smiling = await draw(studio, persona_id=made.data.persona.persona_id, expression="smiling")
    assert made.data.images[0].image_id == face
    assert made.data.persona.locked and not made.data.persona.fictional
    assert records(studio, smiling)[0].parent_id == face


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


async def test_an_exported_persona_lives_on_elsewhere(studio: Studio) -> None:
    made = await draw(studio, **WORDS, count=2)
    persona_id = made.data.persona.persona_id
    smiling = await draw(studio, persona_id=persona_id, expression="smiling")
    data = export_persona(studio, persona_id)
    assert export_persona(studio, persona_id) == data
    persona = studio.personas.get(persona_id)
    with pytest.raises(InvalidArguments, match="here already"):
        import_persona(studio, data)
    remove_persona(studio, persona_id)

    assert import_persona(studio, data) == persona
    again = await draw(studio, persona_id=persona_id, expression="smiling")
    assert again.data.images[0].image_id == smiling.data.images[0].image_id
    assert len(pictures_of(studio.gallery, persona_id)) == 3


def rewritten(data: bytes, **changes: Any) -> bytes:
    """Return an export whose record was tampered with."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "persona.json":
                body = json.loads(content)
                body["persona"] |= changes.get("persona", {})
                for picture in body["pictures"]:
                    picture |= changes.get("picture", {})
                body |= changes.get("body", {})
                content = json.dumps(body).encode()
            elif "bytes" in changes:
                content = changes["bytes"]
            new.writestr(name, content)
    return buffer.getvalue()


async def test_a_tampered_export_is_refused_and_leaves_nothing(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    persona_id = made.data.persona.persona_id
    data = export_persona(studio, persona_id)
    remove_persona(studio, persona_id)
    for bad in (
        b"", b"no zip", data[:200],
        rewritten(data, bytes=b"no picture"),
        rewritten(data, body={"format": "other@9"}),
        rewritten(data, body={"pictures": []}),
        rewritten(data, body={"pictures": "x"}),
        rewritten(data, picture={"file": "../../etc/passwd"}),
        rewritten(data, picture={"title": {"a": 1}}),
        rewritten(data, persona={"description": "a naked woman"}),
        rewritten(data, persona={"fictional": False}),
        rewritten(data, persona={"seed": "x"}),
        rewritten(data, persona={"persona_id": "../../x"}),
        rewritten(data, persona={"created_at": float("nan")}),
        rewritten(data, persona={"attributes": {"clothing": "lingerie"}}),
        rewritten(data, persona={"seed": 10**30}),
        rewritten(data, picture={"kind": "upload"}),
        rewritten(data, picture={"metadata": {"price": float("inf")}}),
        rewritten(data, picture={"title": "\ud800"}),
        rewritten(data, picture={"seed": [1]}),
        rewritten(data, picture={"seed": 10**30}),
        rewritten(data, picture={"parent_id": []}),
        rewritten(data, picture={"recipe": {"inputs": "x"}}),
    ):  # fmt: skip
        with pytest.raises(AgentToolsError):
            import_persona(studio, bad)
        assert studio.personas.list() == [] and studio.gallery.list() == []
    assert import_persona(studio, data).persona_id == persona_id


async def test_words_of_an_import_are_as_clean_as_our_own(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    persona_id, face = made.data.persona.persona_id, made.data.images[0].image_id
    data = export_persona(studio, persona_id)
    own = studio.gallery.get(face)
    remove_persona(studio, persona_id)
    hostile = "See ![x](https://evil.example/?q) <img src=x>\u202e now"
    words = {"caption": hostile, "title": hostile, "alt": hostile, "notes": [hostile]}
    persona = import_persona(studio, rewritten(data, persona={"style": hostile}, picture=words))
    record = studio.gallery.get(persona.canonical_image_id or "")
    shown = [record.caption, record.title, record.alt, *record.notes, persona.style]
    for text in shown:
        assert text and not re.search("evil|<|\\]\\(|\u202e", text)
    remove_persona(studio, persona_id)
    import_persona(studio, data)
    again = studio.gallery.get(face)
    assert (again.caption, again.alt, again.tags) == (own.caption, own.alt, own.tags)


async def test_a_recipe_from_outside_makes_pictures_and_nothing_else(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    data = export_persona(studio, made.data.persona.persona_id)
    remove_persona(studio, made.data.persona.persona_id)
    recipe = {"tool": "export_to_kb", "arguments": {}}
    persona = import_persona(studio, rewritten(data, picture={"recipe": recipe}))
    with pytest.raises(NotFound, match="no tool 'export_to_kb' that makes pictures"):
        await replay(studio, persona.canonical_image_id or "")
    assert not studio.knowledge.holders(persona.canonical_image_id or "")


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


@pytest.mark.parametrize("fact", ["persona_id", "candidate", "fictional", "Consented"])
async def test_a_fact_of_a_product_cannot_make_it_somebodys_face(studio: Studio, fact: str) -> None:
    asked = {"product": "teapot", "variants": [{"color": "red", "facts": {fact: "1"}}]}
    with pytest.raises(InvalidArguments, match="cannot be the name of a fact"):
        await studio.call("create_product_variants", asked)


async def test_what_inherits_a_candidates_facts_is_no_candidate(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    persona_id, candidate = made.data.persona.persona_id, made.data.images[0].image_id
    mask = upload(studio, square_mask((64, 64)), kind="mask")
    recolored = await studio.call(
        "create_product_variants", {"image_id": candidate, "mask_id": mask, "colors": ["red"]}
    )
    copy = recolored.data.variants[0].image.image_id
    assert studio.gallery.get(copy).metadata["candidate"] == 0
    with pytest.raises(InvalidArguments, match="no candidate"):
        await draw(studio, persona_id=persona_id, lock_image_id=copy)
    with pytest.raises(InvalidArguments, match="does not show"):
        await draw(studio, persona_id=persona_id, expression="smiling", from_image_id=copy)


@pytest.mark.parametrize(("role", "real"), [("reference", True), ("sketch", True), ("mask", False)])
async def test_a_face_that_came_along_as_a_reference_needs_consent(
    studio: Studio, role: str, real: bool
) -> None:
    """The tiny model takes no references, so the picture is stored as an edit would store it."""
    start = (await draw(studio, name="Theo", description="black hair")).data.images[0].image_id
    face = upload(studio, draw_avatar({}).resize((64, 64)))
    inputs = [open_input(studio, part, name)[1] for part, name in (("image", start), (role, face))]
    edit = marked_image(
        gradient(64, 64),
        {
            "tool": "edit_image",
            "arguments": {},
            "model": "x",
            "inputs": [asdict(i) for i in inputs],
        },
        words=wording("a portrait"),
        kind="persona",
        source_type="edited",
        inputs=inputs,
    )
    image_id = studio.keep([edit])[0].image_id
    if real:
        with pytest.raises(Refused) as refusal:
            await draw(studio, **WORDS, from_image_id=image_id)
        assert refusal.value.data["rule"] == "persona-uploaded-face"
    else:
        assert (await draw(studio, **WORDS, from_image_id=image_id)).data.persona.fictional


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


def meanwhile(work: Callable[[], Any]) -> Any:
    """Return a progress callback that does something once, when painting has begun."""
    left = [work]

    async def report(event: ProgressEvent) -> None:
        if event.step is not None and left:
            left.pop()()

    return report


async def test_who_is_deleted_while_being_drawn_stays_deleted(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    persona_id = made.data.persona.persona_id
    asked = {"persona_id": persona_id, "expression": "smiling"}
    progress = meanwhile(lambda: remove_persona(studio, persona_id))
    with pytest.raises(NotFound, match="deleted"):
        await studio.call("create_persona_avatar", asked, progress)
    assert studio.gallery.list() == [] and studio.personas.list() == []


async def test_an_edit_of_a_picture_that_goes_meanwhile_is_not_kept(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    persona_id, face = made.data.persona.persona_id, made.data.images[0].image_id
    progress = meanwhile(lambda: remove_persona(studio, persona_id))
    with pytest.raises(NotFound, match="deleted while"):
        await studio.call(
            "edit_image", {"image_id": face, "prompt": "a wall", "steps": 2}, progress
        )
    assert studio.gallery.list() == []


async def test_a_face_locked_while_another_is_derived_stays_locked(studio: Studio) -> None:
    made = await draw(studio, **WORDS, count=2)
    persona_id, chosen = made.data.persona.persona_id, made.data.images[1].image_id
    before = len(studio.gallery.list())
    asked = {"persona_id": persona_id, "expression": "smiling"}

    def lock() -> None:
        persona = studio.personas.get(persona_id)
        studio.personas.save(locked(studio, persona, chosen))

    with pytest.raises(Refused) as refusal:
        await studio.call("create_persona_avatar", asked, meanwhile(lock))
    assert refusal.value.code == "locked" and len(studio.gallery.list()) == before
    assert studio.personas.get(persona_id).canonical_image_id == chosen
    again = await draw(studio, **asked)
    assert studio.gallery.get(again.data.images[0].image_id).parent_id == chosen


async def test_a_name_given_while_drawing_is_kept(studio: Studio) -> None:
    persona_id = (await draw(studio, **WORDS)).data.persona.persona_id
    asked = {"persona_id": persona_id, "expression": "smiling"}
    rename = meanwhile(lambda: edited(studio, persona_id, name="Minna", consent=None))
    await studio.call("create_persona_avatar", asked, rename)
    persona = studio.personas.get(persona_id)
    assert persona.name == "Minna" and persona.locked


async def test_no_pack_stays_of_who_is_deleted_while_it_is_made(
    studio: Studio, settings: Settings
) -> None:
    face = upload(studio, draw_avatar({"hair_style": "bun"}))
    made = await draw(studio, **WORDS, from_image_id=face, consent=CONSENT)
    persona_id = made.data.persona.persona_id

    async def remove(event: ProgressEvent) -> None:
        if event.message == "Making every size":
            remove_persona(studio, persona_id)

    with pytest.raises(NotFound):
        await studio.call("create_avatar_pack", {"persona_id": persona_id}, remove)
    assert studio.gallery.list() == [] and not list(settings.data.glob("packs/*/*"))
