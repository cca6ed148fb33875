"""OpenAI vector stores: the real client against a strict server on loopback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from kb_pictures import add_pictures, rewrite
from stubs.openai_server import KEY, STORE, Fault, OpenAIServer

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.errors import BadTarget, NotIndexed, TargetUnavailable
from kb_export.record import KBRecord
from kb_export.targets import KBTarget, open_target, target_name

OpenAITarget = pytest.importorskip("kb_export.targets.openai_target").OpenAITarget
TARGET = f"openai:{STORE}"
PUBLIC = "https://shop.example"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    serving = OpenAIServer()
    monkeypatch.setenv("AGENT_TOOLS_KB_OPENAI_URL", serving.address)
    monkeypatch.setenv("AGENT_TOOLS_KB_OPENAI_API_KEY", KEY)
    yield serving
    serving.close()
    assert serving.violations == []


@pytest.fixture
def knowledge(gallery: Gallery, server: OpenAIServer) -> Knowledge:
    return Knowledge(gallery, Settings(data=gallery.data_dir, kb=TARGET, public_url=PUBLIC))


def opened() -> OpenAITarget:
    target = open_target(TARGET)
    assert isinstance(target, OpenAITarget)
    target._sleep = lambda seconds: None
    return target


def a_record(caption: str = "A teapot.", **values: Any) -> KBRecord:
    return KBRecord.make(
        **{
            "image_id": "img_1",
            "sha256": "ab" * 32,
            "media_type": "image/png",
            "width": 1,
            "height": 1,
            "title": "Teapot",
            "caption": caption,
            "alt": "A teapot.",
            "image_url": f"{PUBLIC}/images/img_1",
            **values,
        }
    )


def test_a_document_with_the_pictures_address_and_its_attributes_arrive(
    gallery: Gallery, knowledge: Knowledge, server: OpenAIServer
) -> None:
    record = add_pictures(gallery, "red teapot", metadata={"sku": "TP-1"}, group="teapots")[0]
    report = knowledge.export()
    assert report.problem is None and report.put == (record.image_id,)
    ((file_id, attached),) = server.attached.items()
    attributes = attached["attributes"]
    assert attributes["image_url"].startswith(f"{PUBLIC}/i/{record.image_id}/")
    assert attributes["alt"] == record.alt
    assert attributes["sha256"] == record.sha256
    assert (attributes["sku"], attributes["group"]) == ("TP-1", "teapots")
    assert attributes["untrusted_caption"] is True and attributes["ai_generated"] is True
    (document,) = server.documents()
    assert f"]({attributes['image_url']})" in document
    plain = document.replace("\\", "")
    assert record.alt in plain and record.caption in plain and record.use_when in plain
    assert server.files[file_id]["filename"] == f"{STORE}.{attributes['record_id']}.md"
    assert opened().list_ids() == {attributes["record_id"]}


def test_a_picture_without_a_public_address_gets_no_dead_link(
    gallery: Gallery, server: OpenAIServer
) -> None:
    record = add_pictures(gallery, "red teapot")[0]
    Knowledge(gallery, Settings(data=gallery.data_dir, kb=TARGET)).export()
    (document,) = server.documents()
    assert "](" not in document
    assert record.image_id in document.replace("\\", "")
    assert "image_url" not in next(iter(server.attached.values()))["attributes"]


def test_exporting_twice_and_from_another_machine_sends_nothing_new(
    gallery: Gallery, server: OpenAIServer, tmp_path: Any
) -> None:
    # Signed addresses are each machine's own.
    shared = {"kb": TARGET, "public_url": PUBLIC, "signed_links": False}
    knowledge = Knowledge(gallery, Settings(data=gallery.data_dir, **shared))
    add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export()
    before = dict(server.files)
    assert knowledge.export().put == ()
    other = Gallery(tmp_path / "other")
    add_pictures(other, "blue teapot", "red teapot")
    settings = Settings(data=other.data_dir, **shared)
    assert len(Knowledge(other, settings).export().put) == 2
    other.close()
    assert server.files == before
    assert server.count("POST /v1/files") == 2


def test_a_changed_caption_is_one_update_and_the_old_file_goes(
    gallery: Gallery, knowledge: Knowledge, server: OpenAIServer
) -> None:
    first, _ = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export()
    before = set(server.files)
    rewrite(gallery, first.image_id, caption="A crimson pot for tea.")
    assert knowledge.export().put == (first.image_id,)
    assert len(server.attached) == len(server.files) == 2
    assert len(set(server.files) & before) == 1
    assert not [text for text in server.documents() if "A red teapot on" in text]
    assert [text for text in server.documents() if "crimson" in text]


def test_a_removed_picture_takes_its_file_along_and_can_come_back(
    gallery: Gallery, knowledge: Knowledge, server: OpenAIServer
) -> None:
    first, _ = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export()
    assert knowledge.remove([first.image_id]).deleted == (first.image_id,)
    assert len(server.attached) == len(server.files) == 1
    opened().delete(first.sha256)  # nothing there is no error
    assert knowledge.export([first.image_id]).put == (first.image_id,)
    assert len(server.attached) == 2


@pytest.mark.parametrize("ignores_cursor", [False, True])
def test_listing_follows_pages_and_ends(
    gallery: Gallery, knowledge: Knowledge, server: OpenAIServer, ignores_cursor: bool
) -> None:
    server.page = 3
    add_pictures(gallery, *(f"teapot {n}" for n in range(8)))
    knowledge.export()
    server.ignores_cursor = ignores_cursor
    assert len(opened().list_ids()) == (3 if ignores_cursor else 8)


def test_files_of_strangers_are_neither_listed_nor_touched(
    gallery: Gallery, knowledge: Knowledge, server: OpenAIServer
) -> None:
    server.age_s = 10_000
    record_id = a_record().record_id
    strangers = [
        server.upload("manual.md", "A manual."),
        server.upload(f"vs_another.{record_id}.md", "Of another vector store."),
        server.upload("odd.md", "Odd attributes."),
        server.upload("liar.md", "Attributes of another picture."),
        server.upload("number.md", "A number for an id."),
    ]
    server.attach(strangers[0], {})
    server.attach(strangers[2], {"record_id": "../../etc", "sha256": "ab" * 32})
    server.attach(strangers[3], {"record_id": record_id, "sha256": "cd" * 32})
    server.attach(strangers[4], {"record_id": 7, "sha256": True})
    add_pictures(gallery, "red teapot")
    knowledge.export()
    target = opened()
    assert len(target.list_ids()) == 1
    target.delete("ab" * 32)
    target.delete("cd" * 32)
    assert set(strangers) < set(server.files)


def test_metadata_of_any_size_becomes_attributes_that_are_allowed(
    gallery: Gallery, knowledge: Knowledge, server: OpenAIServer
) -> None:
    facts: dict[str, Any] = {"long": "x" * 100, "short": "y", "ratio": 0.5, "yes": True}
    facts |= {"big": 10**30, "sha256": "another"}
    add_pictures(gallery, "red teapot", metadata=facts, group="g" * 300, tags=("t" * 60,) * 20)
    assert knowledge.export().failed == ()
    attributes = next(iter(server.attached.values()))["attributes"]
    assert len(attributes["sha256"]) == 64
    assert attributes["big"] == str(10**30)
    assert {key: attributes[key] for key in ("long", "short", "ratio", "yes")} == {
        key: facts[key] for key in ("long", "short", "ratio", "yes")
    }


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


def test_two_exporters_with_old_lists_leave_the_newest_words(server: OpenAIServer) -> None:
    one, other = opened(), opened()
    one.put(a_record("First words.", sha256="cd" * 32), b"")
    other.put(a_record("Old words."), b"")
    for file in server.attached.values():
        file["created_at"] -= 100
    one.put(a_record("New words."), b"")  # its list does not hold the other's file
    assert len(server.attached) == 3
    other.flush()
    assert len(server.attached) == len(server.files) == 2
    assert not [text for text in server.documents() if "Old words" in text]


def test_a_pictures_record_is_left_as_it_is_when_put_again(server: OpenAIServer) -> None:
    target = opened()
    target.put(a_record(), b"")
    target.put(a_record(), b"")
    target.flush()
    target.put(a_record(), b"")
    assert server.count("POST .*") == 2


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


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("API_KEY", "", "AGENT_TOOLS_KB_OPENAI_API_KEY is not set"),
        ("URL", "file:///etc/passwd", "no plain http(s) address"),
        ("URL", "https://user:hunter2@host/v1", "no plain http(s) address"),
        ("URL", "https://host/v1?key=hunter2", "no plain http(s) address"),
        ("API_KYE", "hunter2", "Did you mean AGENT_TOOLS_KB_OPENAI_API_KEY"),
    ],
)
def test_a_malformed_setting_is_one_clear_error_that_repeats_no_value(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"AGENT_TOOLS_KB_OPENAI_{name}", value)
    with pytest.raises(BadTarget) as caught:
        open_target(TARGET)
    assert says in str(caught.value) and "hunter2" not in str(caught.value)


def test_callers_choose_an_id_and_nothing_else() -> None:
    assert target_name("openai:vs_1-2") == "openai:vs_1-2"
    for rest in ("", "../x", "vs/1", "vs 1", "vs_1?x", "a" * 200, "-x", "vs\n1", "https://x"):
        with pytest.raises(BadTarget):
            target_name(f"openai:{rest}")


def test_opening_sends_nothing(server: OpenAIServer) -> None:
    target: KBTarget = opened()
    target.flush()
    assert (target.name, server.requests) == (TARGET, [])


def test_the_server_of_these_tests_refuses_what_the_service_would() -> None:
    from openai import BadRequestError, OpenAI

    serving = OpenAIServer()
    client = OpenAI(api_key=KEY, base_url=serving.address, max_retries=0)
    good = serving.upload("good.md", "Words.")
    serving.attach(good, {})
    static = {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 500}
    calls: list[dict[str, Any]] = [
        {"attributes": {f"key_{n}": 1 for n in range(17)}},
        {"attributes": {"k" * 65: 1}},
        {"attributes": {"key": "v" * 513}},
        {"attributes": {"key": ["list"]}},
        {"attributes": {"key": 2**60}},
        {"chunking_strategy": {"type": "static", "static": static}},
        {"extra_body": {"surprise": 1}},
    ]
    for arguments in calls:
        with pytest.raises(BadRequestError):
            client.vector_stores.files.create(STORE, file_id=good, **arguments)
    for name, content, kind, purpose in [
        ("x.md", b"Words.", "text/markdown", "user_data"),
        ("x.exe", b"Words.", "text/markdown", "assistants"),
        ("x.md", b"Words.", "image/png", "assistants"),
        ("x.md", b" ", "text/markdown", "assistants"),
    ]:
        with pytest.raises(BadRequestError):
            client.files.create(file=(name, content, kind), purpose=purpose)  # type: ignore[arg-type]
    with pytest.raises(BadRequestError):
        client.files.delete(good)
    with pytest.raises(BadRequestError):
        client.vector_stores.files.list(STORE, limit=101)
    serving.close()
    assert len(serving.violations) == len(calls) + 6
