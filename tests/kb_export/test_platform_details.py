"""What is special about Open WebUI, Dify and RAGFlow; and that their stubs are strict."""

from __future__ import annotations

import json
from typing import Any

import pytest
from platform_cases import SCHEMES, Case, Clock, picture, running
from stubs.strict_platform import Fault

from kb_export.errors import NotIndexed, RecordRefused, TargetUnavailable
from kb_export.targets.platform import Indexing, file_name, record_id_of

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
