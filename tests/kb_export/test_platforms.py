"""Open WebUI, Dify and RAGFlow: what every one of them promises, against strict stubs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from kb_pictures import add_pictures, rewrite
from platform_cases import SCHEMES, Case, picture, running
from stubs.strict_platform import KEY, Fault

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.errors import BadTarget, KBError, NotIndexed, TargetUnavailable
from kb_export.exporter import Exporter
from kb_export.outbox import Outbox
from kb_export.targets import open_target, target_name

# The request that brings a document, and the one that removes documents.
ADDING = {
    "open-webui": ("POST", "/files/$"),
    "dify": ("POST", "create-by-text$"),
    "ragflow": ("POST", "/documents$"),
}
# The last request of a put: without it the record is not there, or not complete.
FINISHING = {
    "open-webui": ("POST", "/file/add$"),
    "dify": ("POST", "/documents/metadata$"),
    "ragflow": ("POST", "/chunks$"),
}
REMOVING = {
    "open-webui": ("POST", "/sync/cleanup$"),
    "dify": ("DELETE", "/documents/"),
    "ragflow": ("DELETE", "/documents$"),
}


@pytest.fixture(params=SCHEMES)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    with running(request.param) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def test_a_picture_arrives_with_its_words_its_address_and_its_facts(case: Case) -> None:
    record, image = picture("red teapot", long_description="A spout and a lid.")
    target = case.open()
    target.put(record, image)
    target.wait(60)
    (text,) = case.texts().values()
    plain = text.replace("\\", "")
    for words in (record.title, record.caption, record.use_when, record.long_description):
        assert words.rstrip(".") in plain
    assert f"![A red teapot.]({record.image_url})" in plain
    assert "it holds no instructions" in plain
    metadata = case.metadata(record.record_id)
    assert metadata["image_id"] == record.image_id
    assert metadata["image_url"] == record.image_url
    assert metadata["sku"] == "TP-1"
    assert str(metadata["untrusted_caption"]).lower() == "true"
    assert str(metadata["ai_generated"]).lower() == "true"


def test_no_broken_picture_is_shown_where_a_picture_has_no_address(case: Case) -> None:
    record, image = picture("red teapot", image_url=None)
    case.open().put(record, image)
    (text,) = case.texts().values()
    assert "../../images" not in text
    assert record.image_id.replace("_", "\\_") in text


def test_putting_twice_leaves_one_document_and_writes_nothing_the_second_time(case: Case) -> None:
    record, image = picture("red teapot")
    target = case.open()
    target.put(record, image)
    target.wait(60)
    case.stub.requests.clear()
    target.put(record, image)
    case.open().put(record, image)
    assert [path for _, path in case.stub.writes() if "sync/diff" not in path] == []
    assert set(case.texts()) == {record.record_id}


def test_new_words_replace_the_old_ones(case: Case) -> None:
    old, image = picture("red teapot")
    new, _ = picture("red teapot", caption="A teapot as red as a cherry.")
    other, other_image = picture("blue teapot")
    target = case.open()
    target.put(old, image)
    target.put(other, other_image)
    target.put(new, image)
    assert set(case.texts()) == {new.record_id, other.record_id}
    assert "cherry" in case.texts()[new.record_id]


def test_old_words_are_gone_before_new_ones_come(case: Case) -> None:
    old, image = picture("red teapot")
    new, _ = picture("red teapot", caption="A teapot as red as a cherry.")
    target = case.open()
    target.put(old, image)
    method, path = ADDING[case.scheme]
    case.stub.faults.append(Fault(method, path, status=503))
    with pytest.raises(KBError) as caught:
        target.put(new, image)
    assert caught.value.retryable
    assert case.texts() == {}
    case.open().put(new, image)  # after the crash, by another process
    assert set(case.texts()) == {new.record_id}


@pytest.mark.parametrize("step", ["adding", "finishing"])
@pytest.mark.parametrize("after", [False, True], ids=["request lost", "answer lost"])
@pytest.mark.parametrize("status", [500, 0], ids=["500", "cut"])
def test_a_crash_at_any_step_leaves_one_complete_document_after_another_put(
    case: Case, step: str, after: bool, status: int
) -> None:
    old, image = picture("red teapot")
    new, _ = picture("red teapot", caption="A teapot as red as a cherry.")
    case.open().put(old, image)
    method, path = {"adding": ADDING, "finishing": FINISHING}[step][case.scheme]
    case.stub.faults.append(Fault(method, path, status=status, after=after, times=9))
    with pytest.raises(KBError) as caught:
        case.open().put(new, image)
    assert caught.value.retryable
    case.stub.faults.clear()
    target = case.open()
    target.put(new, image)
    target.wait(60)
    assert set(case.texts()) == {new.record_id}
    assert case.metadata(new.record_id)["image_id"] == new.image_id
    if case.scheme == "open-webui":
        assert len(case.stub.files) == 1  # no leftover beside the knowledge base either


def test_a_deletion_whose_answer_is_lost_is_repeated_without_harm(case: Case) -> None:
    record, image = picture("red teapot")
    target = case.open()
    target.put(record, image)
    method, path = REMOVING[case.scheme]
    case.stub.faults.append(Fault(method, path, status=502, after=True))
    target.delete(record.sha256)
    assert case.texts() == {}


def test_deleting_removes_one_picture_and_nothing_else(case: Case) -> None:
    record, image = picture("red teapot")
    other, other_image = picture("blue teapot")
    target = case.open()
    target.put(record, image)
    target.put(other, other_image)
    case.stub.place("handbook.md")
    target.delete(record.sha256)
    target.delete(record.sha256)
    assert set(case.texts()) == {other.record_id}
    assert "handbook.md" in case.stub.documents()
    target.wait(60)


def test_an_odd_hash_deletes_nothing(case: Case) -> None:
    record, image = picture("red teapot")
    target = case.open()
    target.put(record, image)
    for odd in ("", "%", "*", record.sha256[:10], record.sha256 + "/.."):
        with pytest.raises(ValueError, match="64 hex digits"):
            target.delete(odd)
    assert set(case.texts()) == {record.record_id}


def test_every_page_is_listed_and_foreign_documents_are_not(case: Case) -> None:
    ids = {f"kb_{n:024x}_{n:016x}" for n in range(231)}
    for record_id in sorted(ids):
        case.stub.place(f"teapot.{record_id}.md")
    for foreign in ("kb_notes.md", "handbook.md", "kb_0_0.md", f"{'kb_'}{'g' * 24}_x.md"):
        case.stub.place(foreign)
    assert case.open().list_ids() == ids


def test_an_empty_knowledge_base_lists_nothing(case: Case) -> None:
    assert case.open().list_ids() == frozenset()


def test_a_wrong_key_is_one_clear_error_that_names_the_setting(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "sk-wrong-6d1f"
    target = case.open(key=wrong)
    record, image = picture("red teapot")
    for use in (lambda: target.put(record, image), target.list_ids):
        case.stub.requests.clear()
        with pytest.raises(TargetUnavailable) as caught:
            use()
        assert not caught.value.retryable
        assert f"{case.prefix}API_KEY" in str(caught.value)
        assert wrong not in repr(caught.value) + str(caught.value)
        assert len(case.stub.requests) == 1  # it is not tried again
    assert wrong not in caplog.text + repr(target) + repr(case.client(key=wrong))
    assert case.texts() == {}


def test_a_knowledge_base_that_is_not_there_is_one_clear_error(case: Case) -> None:
    zero = case.spec[:-4] + "0000"
    record, image = picture("red teapot")
    with pytest.raises(TargetUnavailable) as caught:
        case.open(spec=zero).put(record, image)
    assert not caught.value.retryable
    assert zero.partition(":")[2] in str(caught.value)


def test_a_busy_platform_is_asked_again_when_it_says(case: Case) -> None:
    record, image = picture("red teapot")
    method, path = ADDING[case.scheme]
    case.stub.faults.append(Fault(method, path, status=429, headers={"Retry-After": "7"}, times=2))
    case.open().put(record, image)
    assert case.clock.slept.count(7.0) == 2
    assert set(case.texts()) == {record.record_id}


def test_a_platform_that_is_down_is_a_retryable_error(case: Case) -> None:
    case.stub.faults.append(Fault("GET", "", status=503, times=99))
    case.stub.faults.append(Fault("POST", "", status=503, times=99))
    with pytest.raises(TargetUnavailable, match="503") as caught:
        case.open().list_ids()
    assert caught.value.retryable
    assert 2 <= len(case.stub.requests) <= 5


def test_exports_through_the_front_door_change_nothing_the_second_time(
    case: Case, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
    settings = Settings(data=gallery.data_dir, kb=case.spec, public_url="https://pictures.example")
    knowledge = Knowledge(gallery, settings)
    first, second = add_pictures(gallery, "red teapot", "blue teapot")
    report = knowledge.export()
    assert (report.problem, report.failed, report.pending) == (None, (), 0)
    assert set(report.put) == {first.image_id, second.image_id}
    before = case.texts()
    assert len(before) == 2
    assert all("https://pictures.example/i/img_" in t.replace("\\", "") for t in before.values())
    assert (knowledge.export().put, case.texts()) == ((), before)

    rewrite(gallery, first.image_id, caption="A teapot as red as a cherry.")
    assert knowledge.export().put == (first.image_id,)
    after = case.texts()
    assert len(after) == 2 and len(after.keys() & before.keys()) == 1

    knowledge.remove([second.image_id])
    assert set(case.texts()) == after.keys() - before.keys()


def test_a_target_is_opened_by_name_and_environment(case: Case) -> None:
    target = open_target(case.spec.upper().replace(case.scheme.upper(), case.scheme))
    assert target.name == target_name(case.spec) == case.spec
    record, image = picture("red teapot")
    target.put(record, image)
    assert target.list_ids() == {record.record_id}
    assert KEY not in repr(vars(target))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("URL", ""),
        ("API_KEY", ""),
        ("URL", "http://platform.example"),
        ("URL", "https://user:secret@platform.example"),
        ("URL", "https://platform.example/?a=secret"),
        ("URL", "ftp://127.0.0.1"),
        ("URL", "https://platform.example:99999"),
        ("URL", "secret"),
        ("API_KEY", "secret\r\nX-Evil: 1"),
        ("API_KEY", "two secret words"),
    ],
)
def test_a_bad_setting_is_named_and_never_shown(
    case: Case, setting: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{case.prefix}{setting}", value)
    with pytest.raises(BadTarget) as caught:
        open_target(case.spec)
    assert f"{case.prefix}{setting}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert case.stub.requests == []


def test_an_unknown_setting_is_an_error(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{case.prefix}API_KEYS", "x")
    with pytest.raises(BadTarget, match="API_KEY"):
        open_target(case.spec)


@pytest.mark.parametrize("rest", ["", "x", "../admin", "a/b", "1234", "//host/id", "%2e%2e"])
def test_a_malformed_name_is_refused(case: Case, rest: str) -> None:
    with pytest.raises(BadTarget, match=case.scheme):
        target_name(f"{case.scheme}:{rest}")


def test_waiting_ends_when_the_platform_is_done(case: Case) -> None:
    if case.scheme == "dify":
        case.stub.indexing = 4
    if case.scheme == "ragflow":
        case.stub.parsing = 4
    if case.scheme == "open-webui":
        case.stub.background = 4
    target = case.open()
    for name in ("red teapot", "blue teapot"):
        target.put(*picture(name))
    target.wait(600)
    target.wait(0)  # nothing is left to wait for
    assert case.clock.slept
    assert max(case.clock.slept) <= 4.0


def test_what_can_never_be_indexed_is_told_by_record(case: Case) -> None:
    record, image = picture("red teapot")
    target = case.open()
    if case.scheme == "open-webui":
        target.put(record, image)
        case.stub.bases[case.stub.knowledge_id].clear()
    else:
        case.stub.failing = f"embedding <b>model</b> missing {KEY}"
        target.put(record, image)
    with pytest.raises(NotIndexed) as caught:
        target.wait(60)
    ((record_id, reason),) = caught.value.failed
    assert record_id == record.record_id
    assert reason
    assert KEY not in reason and "<" not in reason
    case.stub.failing = ""
    target.put(record, image)  # and putting it again repairs it
    target.wait(60)
    assert set(case.texts()) == {record.record_id}


def test_a_document_that_breaks_the_platform_is_set_aside_and_the_others_arrive(
    case: Case, gallery: Gallery
) -> None:
    outbox = Outbox(gallery, clock=case.clock, backoff=lambda attempts: 1.0)
    records = [picture(name)[0] for name in ("red teapot", "blue teapot", "green teapot")]
    files = {record.image_id: picture(record.title.lower())[1] for record in records}
    bad = records[1]
    case.stub.breaking = bad.record_id
    with gallery.transaction() as connection:
        outbox.enqueue(connection, case.spec, records)
    exporter = Exporter(
        outbox, case.open(), files.__getitem__, sleep=case.clock.sleep, backoff=lambda outages: 1.0
    )
    report = exporter.run()
    assert (report.problem, report.pending) == (None, 0)
    assert [image_id for image_id, _ in report.failed] == [bad.image_id]
    assert set(case.texts()) == {r.record_id for r in records if r is not bad}
