"""Whose likeness a persona may be: the gate, consent notes, and ways around them."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from painting_helpers import gradient, records, square_mask, upload
from persona_helpers import CONSENT, WORDS, draw

from agent_tools.errors import InvalidArguments, Refused
from agent_tools.painting import marked_image, open_input
from agent_tools.persona_design import edited
from agent_tools.studio import Studio
from agent_tools.wording import wording
from engine.starter.render.avatars import draw_avatar

pytestmark = pytest.mark.anyio


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
