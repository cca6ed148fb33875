"""The durable record manager of the LangChain target."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from langchain_core.indexing import index
from vector_stores import WordEmbeddings

from kb_export.targets.langchain_records import SQLiteRecordManager


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
