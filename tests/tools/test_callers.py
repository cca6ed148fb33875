"""Several callers of one studio: what each may see and do, and what painting costs them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kb_pictures import new_picture
from painting_helpers import QUICK

from agent_tools.budget import Budget
from agent_tools.callers import Forbidden, acting_as, current_caller, require_scope
from agent_tools.errors import AgentToolsError, NotFound, Overloaded
from agent_tools.gallery import Gallery
from agent_tools.image_record import ImageRecord
from agent_tools.persona_design import pictures_of
from agent_tools.personas import Persona, PersonaStore, persona_id_for
from agent_tools.studio import Studio
from engine.request import Done, ImageEvent, ImageRequest

pytestmark = pytest.mark.anyio


def add(gallery: Gallery, number: int = 1) -> ImageRecord:
    return gallery.add([new_picture(f"mug {number}")])[0]


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery(tmp_path / "data")


def test_the_same_picture_of_two_callers_is_two_records_and_one_file(gallery: Gallery) -> None:
    with acting_as("ann"):
        first, again = add(gallery), add(gallery)
    with acting_as("ben"):
        other = add(gallery)
    assert first.image_id == again.image_id != other.image_id
    assert first.path == other.path and first.sha256 == other.sha256
    # Whoever has the file still cannot tell the id that somebody else has for it.
    assert first.sha256[:24] not in first.image_id
    with acting_as("ann"):
        assert [record.image_id for record in gallery.list()] == [first.image_id]
        for read in (gallery.get, gallery.read_bytes, gallery.open_image, gallery.thumbnail):
            with pytest.raises(NotFound):
                read(other.image_id)


def test_the_local_user_and_admins_see_all_and_a_shared_gallery_is_everybodys(
    gallery: Gallery, tmp_path: Path
) -> None:
    mine = add(gallery, 1)
    with acting_as("ann"):
        hers = add(gallery, 2)
        with pytest.raises(NotFound):
            gallery.get(mine.image_id)
    assert {record.image_id for record in gallery.list()} == {mine.image_id, hers.image_id}
    with acting_as("ops", ["admin"]):
        assert len(gallery.list()) == 2 and gallery.get(hers.image_id).caller == "ann"
    gallery.close()
    team = Gallery(tmp_path / "data", shared=True)
    with acting_as("ben"):
        assert len(team.list()) == 2
        assert add(team, 3).caller is None
    team.close()


def test_ids_under_another_key_are_other_ids(tmp_path: Path) -> None:
    ids = set()
    for name in ("one", "two"):
        own = Gallery(tmp_path / name)
        with acting_as("ann"):
            ids.add(add(own).image_id)
        own.close()
        again = Gallery(tmp_path / name)  # the key outlives the process
        with acting_as("ann"):
            ids.add(add(again).image_id)
        again.close()
    assert len(ids) == 2


@pytest.mark.parametrize(("version", "age"), [(1, "older"), (99, "newer")])
def test_a_directory_of_another_version_is_refused_and_left_as_it_is(
    tmp_path: Path, version: int, age: str
) -> None:
    gallery = Gallery(tmp_path / "data")
    old = add(gallery)
    gallery.connection.execute(f"PRAGMA user_version = {version}")
    gallery.close()
    with pytest.raises(AgentToolsError, match=f"written by an? {age} agent-tools") as refused:
        Gallery(tmp_path / "data")
    assert refused.value.code == "data_directory" and refused.value.hint
    assert old.path.exists()


def test_personas_of_two_callers_never_meet(gallery: Gallery) -> None:
    store = PersonaStore(gallery)

    def design(seed: int) -> str:
        found = persona_id_for("Mina", "short black hair")
        store.save(
            Persona(
                persona_id=found,
                name="Mina",
                description="short black hair",
                appearance="x",
                seed=seed,
                model="starter",
            )
        )
        return found

    with acting_as("ann"):
        hers = design(1)
    with acting_as("ben"):
        assert store.list() == []
        with pytest.raises(NotFound) as caught:
            store.get(hers)
        assert hers not in caught.value.hint
        his = design(2)
        assert his != hers and [persona.seed for persona in store.list()] == [2]
    with acting_as("ops", ["admin"]):
        assert {persona.seed for persona in store.list()} == {1, 2}
        store.save(store.get(hers).model_copy(update={"seed": 3}))  # still ann's
    with acting_as("ann"):
        assert store.get(hers).seed == 3


async def test_what_is_exported_is_published_without_its_recipe_until_it_is_removed(
    studio: Studio,
) -> None:
    with acting_as("ann", ["export", "read"]):
        hers, kept = add(studio.gallery, 1), add(studio.gallery, 2)
        await studio.call("export_to_kb", {"image_ids": [hers.image_id]})
    with acting_as("ben", ["read"]):
        shown = studio.gallery.get(hers.image_id)
        assert shown.caption == hers.caption and shown.recipe == {}
        assert studio.gallery.read_bytes(hers.image_id)
        found = await studio.call("search_kb", {"question": hers.title, "min_score": 0})
        assert [image.info.image_id for image in found.images] == [hers.image_id]
        assert (await studio.call("get_image", {"image_id": hers.image_id})).data.recipe == {}
        with pytest.raises(NotFound):
            studio.gallery.get(kept.image_id)
        assert studio.gallery.list() == []
    with acting_as("ann"):
        assert studio.gallery.get(hers.image_id).recipe == hers.recipe
    studio.knowledge.remove_everywhere([hers.image_id])
    with acting_as("ben"), pytest.raises(NotFound):
        studio.gallery.get(hers.image_id)


async def test_exporting_everything_means_everything_of_ones_own(studio: Studio) -> None:
    with acting_as("ann", ["export"]):
        hers = add(studio.gallery, 1)
    with acting_as("ben", ["export"]):
        his = add(studio.gallery, 2)
        outcome = (await studio.call("export_to_kb", {})).data
        assert outcome.exported == [his.image_id] and outcome.pending_count == 0
        with pytest.raises(NotFound):
            await studio.call("export_to_kb", {"image_ids": [hers.image_id]})


async def test_the_same_call_of_another_caller_paints_its_own_picture(studio: Studio) -> None:
    asked = {"prompt": "a mug", "seed": 5, **QUICK}
    ids = []
    for caller in ("ann", "ben", "ann"):
        with acting_as(caller, ["generate"]):
            result = await studio.call("generate_image", asked)
            [image] = result.images
            assert studio.gallery.get(image.info.image_id).caller == caller
            ids.append(image.info.image_id)
    assert ids[0] == ids[2] != ids[1]


async def test_a_scope_that_is_missing_is_named_and_nothing_runs(studio: Studio) -> None:
    for tool, arguments, scope in (
        ("generate_image", {"prompt": "a mug"}, "generate"),
        ("export_to_kb", {}, "export"),
        ("search_kb", {"question": "a mug"}, "read"),
    ):
        with acting_as("bot", {"read", "generate", "export"} - {scope}):
            with pytest.raises(Forbidden, match=f"'{scope}'") as caught:
                await studio.call(tool, arguments)
            assert caught.value.data["scope"] == scope
    with acting_as("ops", ["admin"]):
        require_scope("export")
    require_scope("admin")  # the local user


async def test_a_caller_lasts_as_long_as_the_call_also_in_its_threads_and_tasks() -> None:
    async def later() -> str | None:
        await asyncio.sleep(0)
        return await asyncio.to_thread(current_caller)

    with acting_as("ann"):
        task = asyncio.create_task(later())
        with acting_as(None):
            assert current_caller() is None
        assert current_caller() == "ann"
    assert current_caller() is None
    assert await task == "ann"


async def test_the_engine_hears_who_asks_and_the_budget_what_it_cost(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str | None] = []
    spent: list[float] = []
    real = studio.engine.submit

    async def note(request: ImageRequest) -> AsyncIterator[ImageEvent]:
        heard.append(request.caller)
        async for event in real(request):
            if isinstance(event, Done):
                times = event.result.timings_s
                spent.append(times["total"] - times["queued"])
            yield event

    monkeypatch.setattr(studio.engine, "submit", note)
    studio.budget = Budget(1e-6)
    with acting_as("ann", ["generate"]):
        await studio.call("generate_image", {"prompt": "a mug", **QUICK})
        with pytest.raises(Overloaded) as caught:
            await studio.call("generate_image", {"prompt": "a cup", **QUICK})
        assert caught.value.code == "budget_spent"
        assert 0 < caught.value.data["retry_after_s"] <= 3600
    with acting_as("ben", ["generate"]):
        await studio.call("generate_image", {"prompt": "a cup", **QUICK})
    assert heard == ["ann", "ben"]
    booked: Any = studio.budget._spent
    assert [booked[name][0][1] for name in ("ann", "ben")] == spent


async def test_a_cancelled_painting_is_paid_for_as_far_as_it_went(studio: Studio) -> None:
    studio.budget = Budget(1e9)
    begun = asyncio.Event()

    async def progress(event: Any) -> None:
        if "step 2" in event.message:
            begun.set()

    with acting_as("ann", ["generate"]):
        slow = {**QUICK, "steps": 50}
        call = asyncio.create_task(
            studio.call("generate_image", {"prompt": "a mug", **slow}, progress)
        )
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert studio.budget._spent["ann"][0][1] > 0
    counts, _ = studio.calls.snapshot()
    assert counts["generate_image", "cancelled"] == 1


def test_two_files_that_share_an_id_are_never_mixed_up(gallery: Gallery) -> None:
    """96 bits of a hash can be made to collide on purpose; the second file is then refused."""
    record = add(gallery)
    gallery.connection.execute("UPDATE images SET sha256 = 'f' || substr(sha256, 2)")
    with pytest.raises(AgentToolsError, match="another picture"):
        add(gallery)
    assert gallery.list() == [gallery.get(record.image_id)]


def test_a_picture_that_fails_to_enter_leaves_no_row(gallery: Gallery) -> None:
    def fail(connection: sqlite3.Connection, records: list[ImageRecord]) -> None:
        raise RuntimeError

    with acting_as("ann"), pytest.raises(RuntimeError):
        gallery.add([new_picture("mug")], fail)
    assert gallery.list() == []


def test_a_picture_that_another_caller_put_into_a_personas_group_breaks_nothing(
    gallery: Gallery,
) -> None:
    with acting_as("ann"):
        own = gallery.add([replace(new_picture("her face"), group="per_ann_0123456789")])[0]
    with acting_as("ben"):
        gallery.add([replace(new_picture("his copy"), group="per_ann_0123456789")])
    with acting_as("ann"):
        found = pictures_of(gallery, "per_ann_0123456789")
    assert [record.image_id for record in found] == [own.image_id]
    assert len(pictures_of(gallery, "per_ann_0123456789")) == 2  # the operator's view


def test_a_persona_is_never_replaced_by_another_callers(gallery: Gallery) -> None:
    store = PersonaStore(gallery)
    with acting_as("ann"):
        hers = Persona(
            persona_id="per_mina_0123456789", name="Ann's own", description="short black hair",
            appearance="x", seed=1, model="starter",
        )  # fmt: skip
        store.save(hers)
    with acting_as("ben"), pytest.raises(NotFound, match="somebody else"):
        store.save(hers.model_copy(update={"name": "Ben"}))
    with acting_as("ann"):
        assert store.get(hers.persona_id).name == "Ann's own"


def test_a_callers_own_record_is_found_before_anothers_published_one(gallery: Gallery) -> None:
    with acting_as("ann"):
        hers = add(gallery)
    with gallery.transaction() as connection:
        gallery.publish(connection, [hers.image_id])
    with acting_as("ben"):
        his = add(gallery)
        found = gallery.find(his.path.read_bytes())
    assert found is not None and found.image_id == his.image_id
