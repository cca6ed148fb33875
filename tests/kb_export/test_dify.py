"""What is special about Dify."""

from __future__ import annotations

from typing import Any

import pytest
from platform_cases import Case, picture
from stubs.strict_platform import Fault

from kb_export.errors import BadTarget, NotIndexed, RecordRefused, TargetUnavailable
from kb_export.targets import open_target

# Dify


def test_a_picture_without_an_address_is_uploaded_to_dify(dify: Case) -> None:
    record, image = picture("red teapot", image_url=None)
    dify.open().put(record, image)
    ((file_id, (name, content, kind)),) = dify.stub.uploads.items()
    assert (content, kind) == (image, "image/png")
    assert name == f"{record.image_id}.png"
    (text,) = dify.texts().values()
    assert f"![A red teapot.](/files/{file_id}/file-preview)" in text.replace("\\", "")


def test_a_picture_with_an_address_is_not_uploaded(dify: Case) -> None:
    dify.open().put(*picture("red teapot"))
    assert dify.stub.uploads == {}


@pytest.mark.parametrize("status", [404, 413, 415])
def test_words_arrive_where_a_picture_cannot(dify: Case, status: int) -> None:
    dify.stub.faults.append(Fault("POST", "file-upload", status=status))
    record, image = picture("red teapot", image_url=None)
    dify.open().put(record, image)
    (text,) = dify.texts().values()
    assert "file-preview" not in text and "red teapot" in text


def test_a_picture_that_dify_would_not_attach_is_not_sent(dify: Case) -> None:
    record, image = picture("red teapot", image_url=None)
    dify.open().put(record, image + bytes(2 * 1024 * 1024))
    assert dify.stub.uploads == {}
    assert set(dify.texts()) == {record.record_id}


def test_metadata_fields_are_made_once_and_built_in_names_are_left_alone(dify: Case) -> None:
    target = dify.open()
    record, image = picture("red teapot")
    target.put(record, image)
    target.put(*picture("blue teapot"))
    made = [path for method, path in dify.stub.writes() if path.endswith("/metadata")]
    assert len([p for p in made if "documents" not in p]) == len(dify.stub.fields)
    metadata = dify.metadata(record.record_id)
    assert metadata["fact_source"] == "studio"
    assert metadata["price"] == 19.5
    assert dify.stub.fields["price"]["type"] == "number"
    assert "source" not in dify.stub.fields
    dify.open().put(*picture("green teapot"))  # another process finds them


def test_a_document_is_cut_into_one_chunk(dify: Case) -> None:
    seen: list[Any] = []
    original = dify.stub.place

    def place(name: str, text: str = "") -> dict[str, Any]:
        seen.append(text)
        made: dict[str, Any] = original(name, text)
        return made

    dify.stub.place = place
    long = "A spout, a lid and a handle. " * 60
    dify.open().put(*picture("red teapot", long_description=long))
    (text,) = seen
    assert "\n\n\n\n" not in text  # the separator
    assert len(text) / 3 < 1000  # tokens, at three characters each


@pytest.mark.parametrize(
    ("fact", "value", "words"),
    [
        ("runtime_mode", "rag_pipeline", "pipeline"),
        ("provider", "external", "external"),
        ("doc_form", "hierarchical_model", "chunk structure"),
        ("doc_form", "qa_model", "chunk structure"),
    ],
)
def test_a_dataset_of_another_kind_is_refused_at_once(
    dify: Case, fact: str, value: str, words: str
) -> None:
    dify.stub.facts[fact] = value
    with pytest.raises(TargetUnavailable, match=words) as caught:
        dify.open().put(*picture("red teapot"))
    assert not caught.value.retryable
    assert dify.stub.writes() == []


def test_a_dataset_keeps_its_indexing_technique(
    dify: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in dify.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AGENT_TOOLS_KB_DIFY_INDEXING_TECHNIQUE", "economy")
    open_target(dify.spec).put(*picture("red teapot"))
    assert dify.stub.facts["indexing_technique"] == "economy"
    monkeypatch.delenv("AGENT_TOOLS_KB_DIFY_INDEXING_TECHNIQUE")
    open_target(dify.spec).put(*picture("blue teapot"))
    assert dify.stub.facts["indexing_technique"] == "economy"
    monkeypatch.setenv("AGENT_TOOLS_KB_DIFY_INDEXING_TECHNIQUE", "best")
    with pytest.raises(BadTarget, match="INDEXING_TECHNIQUE must be one of"):
        open_target(dify.spec)


@pytest.mark.parametrize(
    ("words", "retryable"),
    [
        ("Sorry, you have reached the knowledge base request rate limit.", True),
        ("The number of documents has reached the limit of your subscription.", False),
    ],
)
def test_limits_that_dify_words_as_403_are_told_from_a_wrong_key(
    dify: Case, words: str, retryable: bool
) -> None:
    body = f'{{"code": "forbidden", "message": "{words}", "status": 403}}'.encode()
    dify.stub.faults.append(Fault("POST", "create-by-text", status=403, body=body))
    with pytest.raises(TargetUnavailable, match="limit") as caught:
        dify.open().put(*picture("red teapot"))
    assert caught.value.retryable is retryable
    assert "API_KEY" not in str(caught.value)


def test_a_missing_embedding_model_stops_the_export(dify: Case) -> None:
    body = b'{"code": "provider_not_initialize", "message": "No valid model.", "status": 400}'
    dify.stub.faults.append(Fault("POST", "create-by-text", status=400, body=body))
    with pytest.raises(TargetUnavailable, match="embedding model") as caught:
        dify.open().put(*picture("red teapot"))
    assert not caught.value.retryable


def test_a_document_that_dify_is_indexing_is_replaced_later(dify: Case) -> None:
    old, image = picture("red teapot")
    new, _ = picture("red teapot", caption="Changed.")
    target = dify.open()
    target.put(old, image)
    dify.stub.busy = True
    with pytest.raises(RecordRefused, match="during indexing") as caught:
        target.put(new, image)
    assert caught.value.retryable
    assert set(dify.texts()) == {old.record_id}
    dify.stub.busy = False
    target.put(new, image)
    assert set(dify.texts()) == {new.record_id}


def test_an_archived_document_is_for_people_to_decide(dify: Case) -> None:
    record, image = picture("red teapot")
    target = dify.open()
    target.put(record, image)
    dify.stub.documents_there[0]["archived"] = True
    with pytest.raises(RecordRefused, match="archived") as caught:
        target.delete(record.sha256)
    assert not caught.value.retryable


def test_a_document_without_a_chunk_is_not_called_indexed(dify: Case) -> None:
    dify.stub.chunks = 0
    target = dify.open()
    target.put(*picture("red teapot"))
    with pytest.raises(NotIndexed, match="no chunk"):
        target.wait(60)


def test_waiting_ends_at_its_deadline_and_can_go_on(dify: Case) -> None:
    dify.stub.indexing = 30
    target = dify.open()
    target.put(*picture("red teapot"))
    with pytest.raises(TargetUnavailable, match="still indexing 1") as caught:
        target.wait(10)
    assert caught.value.retryable
    assert dify.clock.now <= 10
    target.wait(600)


def test_what_another_process_put_is_waited_for_too(dify: Case) -> None:
    dify.stub.indexing = 6
    record, image = picture("red teapot")
    dify.open().put(record, image)
    target = dify.open()
    target.put(record, image)
    target.wait(600)
    assert dify.stub.documents_there[0]["indexing_status"] == "completed"
