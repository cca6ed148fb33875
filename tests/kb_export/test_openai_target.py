"""OpenAI vector stores: the real client against a strict server on loopback."""

from __future__ import annotations

from typing import Any

import pytest
from kb_pictures import add_pictures, rewrite
from openai_helpers import PUBLIC, TARGET, a_record, opened
from stubs.openai_server import KEY, STORE, OpenAIServer

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.errors import BadTarget
from kb_export.targets import KBTarget, open_target, target_name

pytestmark = pytest.mark.usefixtures("openai_environment")


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
