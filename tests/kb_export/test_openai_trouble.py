"""OpenAI vector stores: lost answers, crashes, refusals, and what they leave."""

from __future__ import annotations

import logging

import pytest
from kb_pictures import add_pictures
from openai_helpers import TARGET, a_record, opened
from stubs.openai_server import STORE, Fault, OpenAIServer

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.errors import TargetUnavailable
from kb_export.targets import open_target

pytestmark = pytest.mark.usefixtures("openai_environment")


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST /v1/files", 429, headers={"Retry-After": "0.02"}),
        Fault("POST /v1/files", 500),
        Fault("POST /v1/files", 0),
        Fault("GET .*/files", 503),
        Fault("POST /v1/vector_stores/.*", 429, headers={"retry-after-ms": "15"}),
        Fault("POST /v1/vector_stores/.*", 0),
        Fault("POST /v1/vector_stores/.*", 502, after=True),
        Fault("POST /v1/files", 504, after=True),
    ],
)
def test_a_hiccup_is_ridden_out_and_leaves_one_document(
    gallery: Gallery,
    knowledge: Knowledge,
    server: OpenAIServer,
    fault: Fault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.faults.append(fault)
    add_pictures(gallery, "red teapot")
    with caplog.at_level(logging.INFO, logger="openai"):
        report = knowledge.export()
    assert (len(report.put), report.problem, report.failed) == (1, None, ())
    assert len(server.attached) == 1
    assert "1" in server.retries
    waits = {"Retry-After": "0.020000", "retry-after-ms": "0.015000"}
    for header in fault.headers:
        assert f"Retrying request in {waits[header]} seconds" in caplog.text


def test_what_a_lost_answer_uploaded_twice_is_swept_up_later(
    gallery: Gallery, knowledge: Knowledge, server: OpenAIServer
) -> None:
    server.age_s = 7200
    server.faults.append(Fault("POST /v1/files", 504, after=True))
    add_pictures(gallery, "red teapot")
    knowledge.export()
    assert len(server.attached) == len(server.files) == 1


def test_an_upload_that_somebody_may_be_about_to_attach_is_left_alone(
    gallery: Gallery, knowledge: Knowledge, server: OpenAIServer
) -> None:
    fresh = server.upload(f"{STORE}.{a_record().record_id}.md", "Of an exporter at work.")
    add_pictures(gallery, "red teapot")
    knowledge.export()
    assert fresh in server.files


@pytest.mark.parametrize(
    ("request_pattern", "after"),
    [
        ("POST /v1/files", True),
        ("POST /v1/vector_stores/.*", False),
        ("POST /v1/vector_stores/.*", True),
        ("DELETE /v1/vector_stores/.*", False),
        ("DELETE /v1/vector_stores/.*", True),
        ("DELETE /v1/files/.*", False),
    ],
)
def test_an_export_that_dies_anywhere_ends_whole_when_run_again(
    server: OpenAIServer, request_pattern: str, after: bool
) -> None:
    server.age_s = 7200
    opened().put(a_record("Old words."), b"")
    dying = opened()
    dying._client.max_retries = 0
    server.faults.append(Fault(request_pattern, 0, after=after))
    with pytest.raises(TargetUnavailable):
        dying.put(a_record("New words."), b"")
    again = opened()
    again.put(a_record("New words."), b"")
    again.flush()
    (document,) = server.documents()
    assert "New words" in document
    assert len(server.files) == 1
    assert again.list_ids() == {a_record("New words.").record_id}
    assert server.count("POST /v1/files") == 2


@pytest.mark.parametrize(
    ("fault", "says", "retryable"),
    [
        (Fault("GET .*", 403, "{}"), "OPENAI_API_KEY", False),
        (Fault("GET .*", 404, "{}"), "vector store's id", False),
        (Fault("GET .*", 307, "{}", {"Location": "http://127.0.0.1:1/"}), "OPENAI_URL", False),
        (
            Fault("GET .*", 429, '{"error": {"code": "insufficient_quota", "message": "no"}}'),
            "billing",
            False,
        ),
        (Fault("GET .*", 503), "HTTP 503, overloaded", True),
        (Fault("GET .*", 0), "cannot be reached", True),
        (Fault("GET .*", 200, "<html>Sign in</html>"), "another shape", True),
        (Fault("GET .*", 200, "[]"), "another shape", True),
        (Fault("GET .*", 200, "{not json"), "another shape", True),
    ],
)
def test_a_service_in_trouble_blames_no_picture(
    gallery: Gallery, server: OpenAIServer, fault: Fault, says: str, retryable: bool
) -> None:
    target = opened()
    target._client.max_retries = 0
    server.faults.append(fault)
    with pytest.raises(TargetUnavailable) as caught:
        target.put(a_record(), b"")
    assert says in str(caught.value)
    assert caught.value.retryable is retryable
    target.put(a_record(), b"")  # the next attempt starts afresh
    assert len(server.attached) == 1


def test_an_expired_vector_store_says_so(server: OpenAIServer) -> None:
    server.status = "expired"
    with pytest.raises(TargetUnavailable, match="has expired") as caught:
        opened().put(a_record(), b"")
    assert not caught.value.retryable


def test_an_unknown_vector_store_says_so(server: OpenAIServer) -> None:
    with pytest.raises(TargetUnavailable, match="Check the vector store's id") as caught:
        open_target("openai:vs_unknown").put(a_record(), b"")
    assert not caught.value.retryable


@pytest.mark.parametrize("request_pattern", ["POST /v1/files", "POST /v1/vector_stores/.*"])
def test_a_refused_file_is_set_aside_and_the_others_arrive(
    gallery: Gallery, knowledge: Knowledge, server: OpenAIServer, request_pattern: str
) -> None:
    server.faults.append(
        Fault(request_pattern, 400, '{"error": {"code": "invalid_file", "message": "no"}}')
    )
    records = add_pictures(gallery, "red teapot", "blue teapot")
    report = knowledge.export()
    assert len(report.put) == 1
    ((image_id, reason),) = report.failed
    assert image_id in {record.image_id for record in records}
    assert "HTTP 400, invalid_file" in reason
    assert len(server.attached) == len(server.files) == 1


def test_the_key_is_in_no_error_and_no_log(
    gallery: Gallery,
    server: OpenAIServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "sk-secret-hunter2"
    monkeypatch.setenv("AGENT_TOOLS_KB_OPENAI_API_KEY", secret)
    add_pictures(gallery, "red teapot")
    with caplog.at_level(logging.DEBUG):
        settings = Settings(data=gallery.data_dir, kb=TARGET)
        knowledge = Knowledge(gallery, settings)
        report = knowledge.export()
        try:
            opened().put(a_record(), b"")
        except TargetUnavailable:
            logging.getLogger("test").exception("the whole traceback")
    assert report.problem is not None and "HTTP 401, invalid_api_key" in str(report.problem)
    assert report.failed == () and report.pending == 1
    assert "whole traceback" in caplog.text
    for shown in (caplog.text, repr(report), repr(knowledge), repr(opened()), opened().label):
        assert secret not in shown
