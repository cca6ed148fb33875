"""Personas painted by the starter model: one face, other moods, coats and backgrounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent_tools.errors import AgentToolsError, InvalidArguments
from agent_tools.likeness import likeness, verdict
from agent_tools.portrait import outline
from agent_tools.settings import Settings
from agent_tools.starter_portrait import BODY, FACE, behind
from agent_tools.studio import Studio

pytestmark = [pytest.mark.weights, pytest.mark.slow]


class Room:
    """A studio with the real starter model, and one locked persona in it."""

    def __init__(self, data: Path) -> None:
        self.runner = asyncio.Runner()
        self.studio = Studio.open(Settings(data=data, threads=1))
        words = "short red hair, glasses, tan skin, teal hoodie, light blue background"
        self.mina = self.draw(name="Mina", description=words)
        self.persona_id = self.mina.data.persona.persona_id

    def draw(self, **arguments: Any) -> Any:
        return self.runner.run(self.studio.call("create_persona_avatar", arguments))

    def pixels(self, result: Any) -> np.ndarray:
        image_id = result.data.images[0].image_id
        return np.asarray(self.studio.gallery.open_image(image_id).convert("RGB"))

    def close(self) -> None:
        self.runner.run(self.studio.close())
        self.runner.close()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(tmp_path_factory.mktemp("starter"))
    yield room
    room.close()


@pytest.mark.parametrize("expression", ["smiling", "thinking", "apologetic"])
def test_another_mood_changes_the_face_and_not_one_byte_beside_it(
    room: Room, expression: str
) -> None:
    drawn = room.draw(persona_id=room.persona_id, expression=expression)
    before, after = room.pixels(room.mina), room.pixels(drawn)
    inside = np.asarray(FACE.mask((256, 256))) > 0
    assert (before[~inside] == after[~inside]).all()
    assert np.abs(before[inside].astype(int) - after[inside]).max() > 40
    assert drawn.data.verdicts == ["same"]
    assert drawn.data.similarity[0] < 1


def test_celebrating_is_told_from_smiling_by_confetti(room: Room) -> None:
    smiling = room.draw(persona_id=room.persona_id, expression="smiling")
    party = room.draw(persona_id=room.persona_id, expression="celebrating")
    figure = np.asarray(outline(room.studio.gallery.open_image(
        room.mina.data.images[0].image_id)).mask) > 0  # fmt: skip
    assert (room.pixels(smiling)[figure] == room.pixels(party)[figure]).all()
    assert (room.pixels(smiling)[~figure] != room.pixels(party)[~figure]).any()
    assert party.data.verdicts == ["same"]
    assert any("confetti" in warning for warning in party.data.warnings)


def test_another_background_leaves_the_figure_alone(room: Room) -> None:
    drawn = room.draw(persona_id=room.persona_id, background="mint")
    before, after = room.pixels(room.mina), room.pixels(drawn)
    picture = room.studio.gallery.open_image(room.mina.data.images[0].image_id)
    room_behind = np.asarray(behind(outline(picture).mask)) > 0
    assert (before[~room_behind] == after[~room_behind]).all()
    mint = np.array([0xCD, 0xEE, 0xDD])
    assert np.abs(after[:40, :40].reshape(-1, 3).mean(axis=0) - mint).max() < 25
    assert drawn.data.verdicts == ["same"]


def test_another_outfit_keeps_the_head(room: Room) -> None:
    drawn = room.draw(persona_id=room.persona_id, outfit="red suit")
    before, after = room.pixels(room.mina), room.pixels(drawn)
    chest = np.asarray(BODY.mask((256, 256))) > 0
    assert (before[~chest] == after[~chest]).all()
    red = after[225:250, 70:90].reshape(-1, 3).mean(axis=0)
    assert red[0] > red[1] + 60 and red[0] > red[2] + 60
    again = room.draw(
        persona_id=room.persona_id,
        from_image_id=drawn.data.images[0].image_id,
        expression="smiling",
    )
    coat = chest & (np.asarray(FACE.mask((256, 256))) == 0)
    assert (room.pixels(again)[coat] == after[coat]).all()


def test_another_persona_is_flagged(room: Room) -> None:
    """The control: what passes for Mina's own pictures does not pass for somebody else's."""
    theo = room.draw(name="Theo", description="black curly hair, dark skin, white background")
    faces = [
        room.studio.gallery.open_image(result.data.images[0].image_id)
        for result in (room.mina, theo)
    ]
    assert verdict(likeness(*faces)) == "other"


def test_the_starter_says_what_it_cannot_change(room: Room) -> None:
    with pytest.raises(InvalidArguments, match="no other pose"):
        room.draw(persona_id=room.persona_id, pose="waving")
    with pytest.raises(InvalidArguments) as error:
        room.draw(persona_id=room.persona_id, outfit="spacesuit")
    assert "hoodie" in error.value.hint
    partly = room.draw(persona_id=room.persona_id, background="mint with palm trees")
    assert "palm" in partly.data.warnings[0]


def test_a_face_the_starter_did_not_paint_needs_another_model(room: Room) -> None:
    from painting_helpers import upload

    from engine.starter.render.avatars import draw_avatar

    face = upload(room.studio, draw_avatar({}))
    note = "Anna Weber agreed in writing on 2026-11-03 to an avatar"
    anna = room.draw(name="Anna", description="brown hair", from_image_id=face, consent=note)
    with pytest.raises(AgentToolsError) as error:
        room.draw(persona_id=anna.data.persona.persona_id, expression="smiling")
    assert error.value.code == "unsupported_mode"


def test_the_pack_of_a_painted_persona_passes_its_checks(room: Room) -> None:
    pack = room.runner.run(room.studio.call("create_avatar_pack", {"persona_id": room.persona_id}))
    assert pack.data.failed == []
    assert len(pack.data.files) >= 20
