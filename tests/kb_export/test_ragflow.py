"""What is special about RAGFlow."""

from __future__ import annotations

import pytest
from platform_cases import Case, picture

from kb_export.errors import NotIndexed, RecordRefused, TargetUnavailable
from kb_export.targets.platform import file_name

# RAGFlow


def test_older_releases_are_updated_with_put(ragflow: Case) -> None:
    ragflow.stub.old = True
    target = ragflow.open()
    record, image = picture("red teapot")
    target.put(record, image)
    target.put(*picture("blue teapot"))
    assert ragflow.metadata(record.record_id)["sku"] == "TP-1"
    methods = [method for method, _ in ragflow.stub.requests]
    assert (methods.count("PATCH"), methods.count("PUT")) == (1, 2)  # asked once


def test_older_releases_word_a_wrong_key_as_success(ragflow: Case) -> None:
    ragflow.stub.old = True
    with pytest.raises(TargetUnavailable, match="API_KEY") as caught:
        ragflow.open(key="sk-wrong").list_ids()
    assert not caught.value.retryable


def test_a_second_copy_of_a_document_goes(ragflow: Case) -> None:
    record, image = picture("red teapot")
    ragflow.open().put(record, image)
    (there,) = ragflow.stub.documents_there
    ragflow.stub.place(there["name"].replace(".md", "(1).md"), there["content"])
    assert ragflow.open().list_ids() == {record.record_id}
    ragflow.open().put(record, image)
    assert len(ragflow.stub.documents_there) == 1


def test_a_document_of_an_older_layout_is_replaced(ragflow: Case) -> None:
    record, image = picture("red teapot")
    ragflow.stub.place(file_name(record), b"an older layout")
    ragflow.open().put(record, image)
    assert "older layout" not in ragflow.texts()[record.record_id]


@pytest.mark.parametrize("state", ["FAIL", "CANCEL", "4", "2"])
def test_a_document_that_was_not_parsed_is_put_anew(ragflow: Case, state: str) -> None:
    record, image = picture("red teapot")
    target = ragflow.open()
    target.put(record, image)
    old = ragflow.stub.documents_there[0]
    old["run"] = state
    target.put(record, image)
    target.wait(60)
    (new,) = ragflow.stub.documents_there
    assert (new["id"] != old["id"], new["run"]) == (True, "DONE")


def test_a_deletion_that_fails_is_an_error_and_nothing_is_added(ragflow: Case) -> None:
    old, image = picture("red teapot")
    new, _ = picture("red teapot", caption="Changed.")
    target = ragflow.open()
    target.put(old, image)
    ragflow.stub.locked = True
    with pytest.raises(RecordRefused, match="read-only") as caught:
        target.put(new, image)
    assert caught.value.retryable
    assert set(ragflow.texts()) == {old.record_id}


def test_nothing_is_deleted_by_an_empty_list(ragflow: Case) -> None:
    ragflow.stub.place("handbook.md")
    ragflow.open().delete(picture("red teapot")[0].sha256)
    assert ragflow.stub.writes() == []
    assert "handbook.md" in ragflow.stub.documents()


def test_a_document_without_a_chunk_is_not_called_parsed(ragflow: Case) -> None:
    ragflow.stub.chunks = 0
    target = ragflow.open()
    target.put(*picture("red teapot"))
    with pytest.raises(NotIndexed, match="no chunk"):
        target.wait(60)
