"""OpenAI vector stores: waiting until everything is searchable."""

from __future__ import annotations

import pytest
from kb_pictures import add_pictures
from openai_helpers import a_record, opened
from stubs.openai_server import OpenAIServer

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from kb_export.errors import NotIndexed, TargetUnavailable

pytestmark = pytest.mark.usefixtures("openai_environment")


def test_an_export_waits_until_the_platform_has_indexed_and_names_what_it_could_not(
    gallery: Gallery, knowledge: Knowledge, server: OpenAIServer
) -> None:
    server.polls_until_done = 1
    server.fails = lambda content: "unlucky" in content
    good, bad = add_pictures(gallery, "red teapot", "unlucky teapot")
    report = knowledge.export()
    assert report.put == (good.image_id,)
    assert report.failed == ((bad.image_id, "invalid_file: No text in it."),)
    server.fails = lambda content: False
    assert knowledge.export([bad.image_id]).put == (bad.image_id,)
    assert len(server.attached) == len(server.files) == 2


def test_waiting_ends_when_everything_is_searchable(server: OpenAIServer) -> None:
    server.polls_until_done = 3
    target = opened()
    target.wait(0)  # nothing put, nothing to wait for
    target.put(a_record(), b"")
    target.put(a_record(sha256="cd" * 32), b"")
    assert target.capabilities.asynchronous
    target.wait(60)
    assert {file["status"] for file in server.attached.values()} == {"completed"}


def test_many_files_are_waited_for_by_listing(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kb_export.targets.openai_target._RETRIEVE_EACH", 3)
    target = opened()
    server.polls_until_done = 1
    for n in range(12):
        target.put(a_record(sha256=f"{n:064x}"), b"")
    gone = next(iter(server.attached))
    del server.attached[gone]
    with pytest.raises(NotIndexed) as caught:
        target.wait(60)
    assert [reason for _, reason in caught.value.failed] == ["somebody has removed it"]
    assert server.count("GET /v1/vector_stores/.*/files/.*") < 5


def test_waiting_gives_up_in_time_and_can_go_on(server: OpenAIServer) -> None:
    server.polls_until_done = 2
    target = opened()
    target.put(a_record(), b"")
    with pytest.raises(TargetUnavailable, match="still indexing 1") as caught:
        target.wait(0)
    assert caught.value.retryable
    target.wait(60)


def test_a_file_that_cannot_be_indexed_is_named_and_replaced_by_the_next_export(
    server: OpenAIServer,
) -> None:
    server.fails = lambda content: "unlucky" in content
    target = opened()
    good, bad = a_record(), a_record("An unlucky teapot.", sha256="cd" * 32)
    target.put(good, b"")
    target.put(bad, b"")
    with pytest.raises(NotIndexed) as caught:
        target.wait(60)
    assert caught.value.failed == ((bad.record_id, "invalid_file: No text in it."),)
    target.wait(0)  # told once
    assert target.list_ids() == {good.record_id}
    server.fails = lambda content: False
    target.put(bad, b"")
    target.wait(60)
    assert target.list_ids() == {good.record_id, bad.record_id}
    assert len(server.files) == 2
