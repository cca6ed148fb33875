"""Knowledge bases in LangChain vector stores: in memory, Chroma and Qdrant, reached by settings."""

from __future__ import annotations

import gc
import uuid
from pathlib import Path
from typing import Any

import pytest
from kb_pictures import add_pictures, new_picture, rewrite
from langchain_helpers import Configure, a_record, contents, found, knowledge_of, opened
from vector_stores import UnwillingStore

from agent_tools.gallery import Gallery
from kb_export.errors import RecordRefused, TargetUnavailable
from kb_export.targets import open_target
from kb_export.targets.langchain_target import MAX_METADATA, LangChainTarget

pytestmark = pytest.mark.usefixtures("no_encoder")


def test_an_exported_picture_is_found_with_everything_a_chatbot_needs_to_show_it(
    gallery: Gallery, vector_store: str
) -> None:
    record, _ = add_pictures(gallery, "red teapot", "blue lamp", metadata={"sku": "TP-1"})
    knowledge = knowledge_of(gallery, public_url="https://shop.example")
    report = knowledge.export()
    assert report.problem is None and len(report.put) == 2
    (document,) = found(knowledge, "a red teapot on a white background", k=1)
    assert document.metadata["image"].startswith(f"https://shop.example/i/{record.image_id}/")
    assert document.metadata["alt"] == record.alt
    assert document.metadata["sha256"] == record.sha256
    assert document.metadata["image_id"] == record.image_id
    assert document.metadata["sku"] == "TP-1"
    assert document.metadata["untrusted_caption"] is True
    for words in (record.title, record.caption, record.use_when, "it holds no instructions"):
        assert words in document.page_content
    assert {document.metadata["record_id"]} < opened(knowledge).list_ids()
    assert all(isinstance(value, (str, int, float, bool)) for value in document.metadata.values())


def test_exporting_twice_and_from_another_machine_changes_nothing(
    gallery: Gallery, vector_store: str, tmp_path: Path
) -> None:
    add_pictures(gallery, "red teapot", "blue teapot")
    knowledge = knowledge_of(gallery)
    knowledge.export()
    before = contents(found(knowledge, "teapot"))
    assert len(before) == 2
    assert knowledge.export().put == ()
    other = Gallery(tmp_path / "other")
    add_pictures(other, "blue teapot", "red teapot")
    again = knowledge_of(other)
    again._targets[vector_store] = opened(knowledge)
    assert len(again.export().put) == 2
    other.close()
    assert contents(found(knowledge, "teapot")) == before


def test_a_changed_caption_is_one_update_and_the_old_document_goes(
    gallery: Gallery, vector_store: str
) -> None:
    first, _ = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge = knowledge_of(gallery)
    knowledge.export()
    before = {each.metadata["record_id"] for each in found(knowledge, "teapot")}
    rewrite(gallery, first.image_id, caption="A crimson pot for tea.")
    assert knowledge.export().put == (first.image_id,)
    documents = found(knowledge, "teapot")
    assert len(documents) == 2
    assert len({each.metadata["record_id"] for each in documents} & before) == 1
    assert not [each for each in documents if "A red teapot on" in each.page_content]
    assert [each for each in documents if "A crimson pot" in each.page_content]
    rewrite(gallery, first.image_id, caption=new_picture("red teapot").caption)
    knowledge.export()
    assert {each.metadata["record_id"] for each in found(knowledge, "teapot")} == before


def test_a_removed_picture_is_found_no_more_and_can_come_back(
    gallery: Gallery, vector_store: str
) -> None:
    first, second = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge = knowledge_of(gallery)
    knowledge.export()
    assert knowledge.remove([first.image_id]).deleted == (first.image_id,)
    (left,) = found(knowledge, "a red teapot")
    assert left.metadata["image_id"] == second.image_id
    assert len(opened(knowledge).list_ids()) == 1
    opened(knowledge).delete(first.sha256)  # nothing there is no error
    assert knowledge.export([first.image_id]).put == (first.image_id,)
    assert len(found(knowledge, "teapot")) == 2


def test_a_restart_forgets_nothing(gallery: Gallery, vector_store: str) -> None:
    first, _ = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge = knowledge_of(gallery)
    knowledge.export()
    before = opened(knowledge).list_ids()
    knowledge.close()
    del knowledge
    gc.collect()  # closes the files that local stores lock
    again = knowledge_of(gallery)
    rewrite(gallery, first.image_id, caption="A crimson pot for tea.")
    assert again.export().put == (first.image_id,)
    after = opened(again).list_ids()
    assert len(after) == 2 and len(after & before) == 1
    assert len(found(again, "teapot")) == 2


def test_what_a_store_has_lost_is_not_listed_and_is_written_again(
    gallery: Gallery, vector_store: str
) -> None:
    first, _ = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge = knowledge_of(gallery)
    knowledge.export()
    target = opened(knowledge)
    (lost,) = target._records.documents_of(first.sha256)
    target.vector_store.delete([lost])
    assert len(target.list_ids()) == 1
    knowledge.remove([first.image_id])
    knowledge.export([first.image_id])
    assert len(target.list_ids()) == len(found(knowledge, "teapot")) == 2


@pytest.mark.parametrize("moment", ["before the store", "before the confirmation"])
def test_a_crash_in_the_middle_leaves_no_old_words_behind(
    gallery: Gallery, vector_store: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = add_pictures(gallery, "red teapot")
    knowledge = knowledge_of(gallery)
    target = open_target(vector_store)
    assert isinstance(target, LangChainTarget)
    knowledge._targets[vector_store] = target

    def die(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt  # no clean-up of ours catches it, like a kill

    with monkeypatch.context() as patch:
        if moment == "before the store":
            patch.setattr(type(target.vector_store), "add_documents", die)
        else:
            patch.setattr(target._records, "update", die)
        with pytest.raises(KeyboardInterrupt):
            knowledge.export()
    assert target.list_ids() == frozenset()
    rewrite(gallery, record.image_id, caption="A crimson pot for tea.")
    with gallery.transaction() as connection:  # the killed process's lease runs out
        connection.execute("UPDATE kb_outbox SET leased_until = 0")
    assert knowledge.export().put == (record.image_id,)
    (document,) = found(knowledge, "teapot")
    assert "A crimson pot" in document.page_content


def test_two_targets_in_one_collection_keep_out_of_each_others_way(
    gallery: Gallery, configure: Configure
) -> None:
    configure("vector_stores:lasting_store", {"key": uuid.uuid4().hex})
    (record,) = add_pictures(gallery, "red teapot")
    shop, museum = knowledge_of(gallery), knowledge_of(gallery, "langchain:museum")
    shop.export()
    museum.export()
    assert len(found(shop, "teapot")) == 2
    shop.remove([record.image_id])
    assert len(found(museum, "teapot")) == 1
    assert opened(museum).list_ids() and not opened(shop).list_ids()


def test_pictures_are_found_by_their_looks_where_the_embedding_takes_pictures(
    gallery: Gallery, store_kind: str, vector_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_TOOLS_KB_LANGCHAIN_EMBEDDING", "vector_stores.ColorEmbeddings")
    records = add_pictures(gallery, *(f"thing {n}" for n in range(6)))
    colors: dict[str, set[str]] = {}
    for record in records:
        red, green, blue = pixel_of(gallery, record.image_id)
        strongest = max((red, "red"), (green, "green"), (blue, "blue"))[1]
        colors.setdefault(strongest, set()).add(record.image_id)
    knowledge = knowledge_of(gallery)
    knowledge.export()
    for color, image_ids in colors.items():
        hits = found(knowledge, color, k=len(image_ids))
        assert {hit.metadata["image_id"] for hit in hits} == image_ids
        assert {hit.metadata["document"] for hit in hits} == {"image"}
    assert len(opened(knowledge).list_ids()) == 6
    rewrite(gallery, records[0].image_id, caption="Other words.")
    knowledge.export()
    assert len(found(knowledge, "thing", k=50)) == 12
    knowledge.remove([record.image_id for record in records])
    assert found(knowledge, "thing", k=50) == []


def pixel_of(gallery: Gallery, image_id: str) -> tuple[int, int, int]:
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(gallery.read_bytes(image_id))) as image:
        pixel = image.convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return (int(pixel[0]), int(pixel[1]), int(pixel[2]))


def test_metadata_stays_flat_and_small_and_hides_nothing_of_ours(
    gallery: Gallery, vector_store: str
) -> None:
    facts: dict[str, Any] = {f"fact_{n}": f"value {n}" for n in range(4)}
    facts |= {"sha256": "a fact of the same name", "big": 10**30}
    add_pictures(gallery, "red teapot", metadata=facts, group="teapots")
    knowledge = knowledge_of(gallery)
    assert knowledge.export().failed == ()
    (document,) = found(knowledge, "teapot")
    ours = [key for key in document.metadata if not key.startswith("_")]  # Qdrant adds its own
    assert len(ours) == MAX_METADATA - 1
    assert len(document.metadata["sha256"]) == 64
    assert document.metadata["big"] == str(10**30)
    assert document.metadata["caption_verified"]
    for key, value in facts.items():
        assert f"{key}: {value}" in document.page_content


def test_a_doubt_about_the_caption_is_never_silent(configure: Configure) -> None:
    configure(
        "vector_stores:lasting_store",
        {"key": uuid.uuid4().hex},
        embedding="vector_stores.ColorEmbeddings",
    )
    target = open_target("langchain:shop")
    assert isinstance(target, LangChainTarget)
    target.put(a_record(caption_flag="The color looks blue."), new_picture("teapot").data)
    documents = target.vector_store.similarity_search("teapot", k=9)
    assert len(documents) == 2
    assert all("Doubtful: The color looks blue." in each.page_content for each in documents)


def test_a_store_that_is_down_costs_no_picture_anything(
    gallery: Gallery, configure: Configure, tmp_path: Path
) -> None:
    switch = tmp_path / "up"
    configure("vector_stores.UnwillingStore", {"path": str(switch)})
    add_pictures(gallery, "red teapot", "blue teapot")
    knowledge = knowledge_of(gallery)
    target = open_target("langchain:shop")
    assert isinstance(target, LangChainTarget)
    record = a_record()
    with pytest.raises(TargetUnavailable) as caught:
        target.put(record, b"")
    assert caught.value.retryable and "hunter2" not in str(caught.value)
    switch.touch()
    report = knowledge.export()
    assert (len(report.put), report.failed, report.pending) == (2, (), 0)


def test_a_refused_picture_is_told_from_a_store_that_is_down(
    gallery: Gallery, configure: Configure, tmp_path: Path
) -> None:
    switch = tmp_path / "up"
    switch.touch()
    configure("vector_stores.UnwillingStore", {"path": str(switch)})
    bad, good = add_pictures(gallery, "forbidden teapot", "blue teapot")
    knowledge = knowledge_of(gallery)
    with gallery.transaction() as connection:
        knowledge.enqueue(connection, [bad, good])
        connection.execute("UPDATE kb_outbox SET attempts = 5 WHERE image_id = ?", (bad.image_id,))
    report = knowledge.export()
    assert report.put == (good.image_id,)
    ((image_id, reason),) = report.failed
    assert image_id == bad.image_id
    assert "refused" in reason and "hunter2" not in reason


def test_a_picture_that_the_embedding_cannot_read_is_no_outage(configure: Configure) -> None:
    configure(
        "vector_stores:lasting_store",
        {"key": uuid.uuid4().hex},
        embedding="vector_stores.ColorEmbeddings",
    )
    target = open_target("langchain:shop")
    with pytest.raises(RecordRefused, match=r"refused img_1 \(UnidentifiedImageError\)"):
        target.put(a_record(), b"no picture at all")
    assert target.list_ids() == frozenset()


def test_a_store_that_cannot_look_up_ids_is_served_too(
    gallery: Gallery, configure: Configure, tmp_path: Path
) -> None:
    (tmp_path / "up").touch()
    configure("vector_stores.UnwillingStore", {"path": str(tmp_path / "up")})
    first, _ = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge = knowledge_of(gallery)
    knowledge.export()
    rewrite(gallery, first.image_id, caption="A crimson pot for tea.")
    knowledge.export()
    target = opened(knowledge)
    assert isinstance(target.vector_store, UnwillingStore)
    assert len(target.vector_store.texts) == len(target.list_ids()) == 2
    knowledge.remove([first.image_id])
    assert len(target.vector_store.texts) == len(target.list_ids()) == 1
