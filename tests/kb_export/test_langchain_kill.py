"""kill -9 in the middle of exports to a vector store on disk: everything is there, once."""

from __future__ import annotations

import gc
import json
import random
from pathlib import Path

import pytest
from test_kill import kill_after, prepare, run_to_the_end, start

from kb_export.targets import open_target
from kb_export.targets.langchain_target import LangChainTarget

pytest.importorskip("langchain_qdrant")


@pytest.mark.slow
def test_killed_exports_to_a_vector_store_end_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"collection_name": "{name}", "client_options": {"path": str(tmp_path / "store")}}
    for name, value in {
        "STORE": "langchain_qdrant:QdrantVectorStore.construct_instance",
        "ARGUMENTS": json.dumps(arguments),
        "EMBEDDING": "vector_stores.ColorEmbeddings",
        "RECORDS": str(tmp_path / "records.sqlite3"),
    }.items():
        monkeypatch.setenv(f"AGENT_TOOLS_KB_LANGCHAIN_{name}", value)
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
    data, spec = tmp_path / "data", "langchain:shop"
    expected = prepare(data, spec, "", 30)
    gc.collect()  # gives back the store's lock
    dice = random.Random(7)
    kills = sum(
        kill_after(start(data, spec, ""), 2 + 6 * round_, dice.uniform(0, 0.02))
        for round_ in range(2)
    )
    assert kills >= 1
    run_to_the_end(data, spec, "")
    target = open_target(spec)
    assert isinstance(target, LangChainTarget)
    assert target.list_ids() == expected
    found = target.vector_store.similarity_search("teapot", k=1000)
    there = sorted((each.metadata["record_id"], each.metadata["document"]) for each in found)
    assert there == sorted((each, role) for each in expected for role in ("text", "image"))
    del target
    gc.collect()
