"""What is special about Open WebUI, Dify and RAGFlow; and that their stubs are strict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from platform_cases import SCHEMES, Case, Clock, picture, running
from stubs.strict_platform import Fault

from kb_export.errors import BadTarget, NotIndexed, RecordRefused, TargetUnavailable
from kb_export.targets import open_target
from kb_export.targets.platform import Indexing, file_name, record_id_of


@pytest.fixture
def open_webui() -> Iterator[Case]:
    with running("open-webui") as made:
        yield made


@pytest.fixture
def dify() -> Iterator[Case]:
    with running("dify") as made:
        yield made


@pytest.fixture
def ragflow() -> Iterator[Case]:
    with running("ragflow") as made:
        yield made


# Names


@pytest.mark.parametrize(
    ("title", "start"),
    [
        ("Red teapot", "red-teapot.kb_"),
        ("Théière «rouge» 1/2", "theiere-rouge-1-2.kb_"),
        ("赤い急須", "kb_"),
        ("../../etc/passwd", "etc-passwd.kb_"),
        ("a" * 120, "a" * 60 + ".kb_"),
    ],
)
def test_a_document_is_named_for_people_and_holds_the_record_id(title: str, start: str) -> None:
    record, _ = picture("red teapot", title=title)
    name = file_name(record)
    assert name.startswith(start) and name.isascii() and len(name) < 120
    assert record_id_of(name) == record_id_of(name.replace(".md", "(2).md")) == record.record_id
    for foreign in (name + "x", f"../{name}", f"a b.{name}", name.upper(), None, 7):
        assert record_id_of(foreign) is None


# Open WebUI


def test_a_document_is_added_only_when_its_processing_has_ended(open_webui: Case) -> None:
    open_webui.stub.background = 3
    record, image = picture("red teapot")
    open_webui.open().put(record, image)
    assert set(open_webui.texts()) == {record.record_id}
    assert len(open_webui.clock.slept) == 2


def test_processing_that_fails_costs_the_row_an_attempt_and_leaves_nothing(
    open_webui: Case,
) -> None:
    open_webui.stub.failing = "Embedding service <b>down</b>"
    record, image = picture("red teapot")
    with pytest.raises(RecordRefused, match="Embedding service down") as caught:
        open_webui.open().put(record, image)
    assert caught.value.retryable
    assert open_webui.stub.files == {}


def test_a_file_that_is_not_added_does_not_stay(open_webui: Case) -> None:
    body = b'{"detail": "Duplicate content detected. Please provide unique content."}'
    open_webui.stub.faults.append(Fault("POST", "/file/add$", status=400, body=body))
    with pytest.raises(RecordRefused, match="Duplicate content") as caught:
        open_webui.open().put(*picture("red teapot"))
    assert caught.value.retryable
    assert open_webui.stub.files == {}


def test_processing_that_never_ends_is_given_up(open_webui: Case) -> None:
    open_webui.stub.background = 10**9
    with pytest.raises(TargetUnavailable, match="still processing"):
        open_webui.open().put(*picture("red teapot"))
    assert 100 < open_webui.clock.now < 200


def test_an_open_webui_that_takes_no_markdown_says_what_to_change(open_webui: Case) -> None:
    open_webui.stub.extensions = ["pdf"]
    with pytest.raises(TargetUnavailable, match="extension md") as caught:
        open_webui.open().put(*picture("red teapot"))
    assert not caught.value.retryable


def test_an_external_knowledge_base_is_refused_at_once(open_webui: Case) -> None:
    open_webui.stub.external = True
    with pytest.raises(TargetUnavailable, match="read-only") as caught:
        open_webui.open().put(*picture("red teapot"))
    assert not caught.value.retryable
    assert open_webui.stub.files == {}


def test_two_knowledge_bases_of_one_open_webui_do_not_touch_each_other(open_webui: Case) -> None:
    stub = open_webui.stub
    first, second = stub.bases
    record, image = picture("red teapot")
    for base in (first, second):
        open_webui.open(spec=f"open-webui:{base}").put(record, image)
    changed, _ = picture("red teapot", caption="Changed.")
    open_webui.open(spec=f"open-webui:{first}").put(changed, image)
    open_webui.open(spec=f"open-webui:{first}").delete(record.sha256)
    assert [len(stub.bases[base]) for base in (first, second)] == [0, 1]
    assert len(stub.files) == 1


def test_a_release_that_cannot_search_files_still_takes_records(open_webui: Case) -> None:
    open_webui.stub.faults.append(Fault("GET", "/files/search", status=500, times=99))
    record, image = picture("red teapot")
    open_webui.open().put(record, image)
    assert set(open_webui.texts()) == {record.record_id}
    assert open_webui.clock.slept == []


def test_a_document_that_was_edited_is_put_again_and_waiting_tells(open_webui: Case) -> None:
    record, image = picture("red teapot")
    target = open_webui.open()
    target.put(record, image)
    (file,) = open_webui.stub.files.values()
    file["meta"]["file_hash"] = "0" * 64
    with pytest.raises(NotIndexed, match="changed"):
        target.wait(1)
    target.put(record, image)
    target.wait(1)
    (text,) = open_webui.texts().values()
    assert "teapot" in text


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


# All of them


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("evil", ["../../admin", "a/b", "", "x" * 200, "a?b=c", "a\n", None, 7])
def test_ids_that_are_no_ids_never_come_into_a_path(scheme: str, evil: object) -> None:
    with running(scheme) as case:
        record, image = picture("red teapot")
        item: dict[str, Any] = {
            "id": evil,
            "name": file_name(record),
            "filename": file_name(record),
        }
        item["meta"] = {"data": {"agent_tools_knowledge": case.spec.partition(":")[2]}}
        listing = {"items": [item], "data": [item], "total": 1, "has_more": False}
        if scheme == "ragflow":
            listing = {"code": 0, "data": {"docs": [item], "total": 1}}
        target = case.open()
        target.list_ids()
        case.stub.faults.append(
            Fault("GET", "files$|documents$", status=200, body=json.dumps(listing).encode())
        )
        search = json.dumps([item]).encode()
        case.stub.faults.append(Fault("GET", "files/search$", status=200, body=search))
        case.stub.requests.clear()
        target.put(record, image)
        paths = [path for _, path in case.stub.requests]
        assert not [p for p in paths if "admin" in p or ".." in p or "a/b" in p or "xxxx" in p]
        assert not [m for m, p in case.stub.requests if m == "DELETE" or "cleanup" in p]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_platform_that_names_no_document_is_not_believed(scheme: str) -> None:
    path = {"open-webui": "/files/$", "dify": "create-by-text$", "ragflow": "/documents$"}
    bodies = (b"{}", b'{"code": 0, "data": [{"id": "../x"}], "id": "../x", "batch": "../x"}')
    for body in bodies:
        with running(scheme) as case:
            case.stub.faults.append(Fault("POST", path[scheme], status=200, body=body))
            with pytest.raises((TargetUnavailable, RecordRefused)):
                case.open().put(*picture("red teapot"))
            assert not [p for _, p in case.stub.requests if ".." in p]


def test_a_long_export_leaves_little_to_wait_for_and_loses_no_failure() -> None:
    clock = Clock()
    asked: list[str] = []

    def outcome(record_id: str, handle: str) -> str | None:
        asked.append(record_id)
        return "broken" if record_id == "kb_7" else ""

    indexing = Indexing("X", outcome, clock.sleep, clock)
    for number in range(1000):
        indexing.start(f"kb_{number}", "")
    before = len(asked)
    with pytest.raises(NotIndexed) as caught:
        indexing.wait(0)
    assert caught.value.failed == (("kb_7", "broken"),)
    assert len(asked) - before < 100
    assert len(set(asked)) == len(asked) == 1000  # nobody is asked about twice
    indexing.wait(0)


def test_a_slow_platform_is_not_asked_about_everything_again_and_again() -> None:
    clock = Clock()
    asked = 0

    def outcome(record_id: str, handle: str) -> str | None:
        nonlocal asked
        asked += 1
        return None

    indexing = Indexing("X", outcome, clock.sleep, clock)
    for number in range(1000):
        indexing.start(f"kb_{number}", "")
    assert asked <= 1000


# The stubs themselves


def wrong_requests(case: Case) -> list[dict[str, Any]]:
    """Return requests that the platform's documents do not show."""
    base = case.spec.partition(":")[2]
    upload = ("a.md", b"x", "text/markdown")
    if case.scheme == "open-webui":
        knowledge = f"/api/v1/knowledge/{base}"
        return [
            {"method": "POST", "path": f"{knowledge}/file/add", "body": {"id": "x"}},
            {"method": "POST", "path": f"{knowledge}/sync/diff", "body": {"manifest": [{"a": 1}]}},
            {"method": "POST", "path": f"{knowledge}/sync/diff", "body": {}},
            {"method": "GET", "path": f"{knowledge}/files", "params": {"q": "x"}},
            {"method": "POST", "path": f"{knowledge}/files/add", "body": {"file_id": "x"}},
            {"method": "POST", "path": "/api/v1/files/", "body": {"file": "x"}},
            {"method": "POST", "path": "/api/v1/files/", "params": {"wait": "1"}, "upload": upload},
        ]
    if case.scheme == "dify":
        dataset = f"/datasets/{base}"
        text = {"name": "a", "text": "b"}
        return [
            {"method": "POST", "path": f"{dataset}/document/create_by_text", "body": text},
            {"method": "POST", "path": f"{dataset}/document/create-by-text", "body": {"name": "a"}},
            {
                "method": "POST",
                "path": f"{dataset}/document/create-by-text",
                "body": {**text, "indexing_technique": "best", "process_rule": {}},
            },
            {
                "method": "POST",
                "path": f"{dataset}/metadata",
                "body": {"type": "bool", "name": "a"},
            },
            {"method": "GET", "path": f"{dataset}/documents", "params": {"page_size": 5}},
            {"method": "POST", "path": f"{dataset}/documents/metadata", "body": {"data": []}},
        ]
    dataset = f"/api/v1/datasets/{base}"
    return [
        {"method": "DELETE", "path": f"{dataset}/documents", "body": {"ids": []}},
        {"method": "DELETE", "path": f"{dataset}/documents", "body": {"document_ids": ["a"]}},
        {"method": "POST", "path": f"{dataset}/chunks", "body": {"ids": ["a"]}},
        {"method": "GET", "path": f"{dataset}/documents", "params": {"limit": 5}},
        {"method": "POST", "path": f"{dataset}/documents", "body": {"file": "x"}},
        {"method": "PATCH", "path": f"{dataset}/documents/{base}", "body": {"metadata": {}}},
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_stub_refuses_requests_of_another_shape(scheme: str) -> None:
    with running(scheme) as case:
        for number, wrong in enumerate(wrong_requests(case), 1):
            known = frozenset({400, 422})
            answer = case.client().request(**wrong, repeatable=False, known=known)
            assert answer.status in known or answer.field("code") == 101
            assert len(case.stub.violations) == number, wrong
        case.stub.violations.clear()
