"""The folder knowledge base: what lies there after exports, changes and removals."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from html.parser import HTMLParser
from pathlib import Path

import pytest
from kb_pictures import add_pictures, new_picture, rewrite

from agent_tools.errors import BadSettings, InvalidArguments, NotFound
from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.errors import BadTarget, TargetUnavailable
from kb_export.targets import open_target, target_name


@pytest.fixture
def knowledge(gallery: Gallery) -> Knowledge:
    return Knowledge(gallery, Settings(data=gallery.data_dir), encoder=None)


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)


def folder_of(gallery: Gallery) -> Path:
    return gallery.data_dir / "kb"


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file's bytes and time of change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def manifest(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_an_exported_picture_comes_back_byte_for_byte_with_its_words(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    record = add_pictures(
        gallery, "red teapot", tags=("teapot",), metadata={"sku": "TP-1", "SKU color": "red"}
    )[0]
    report = knowledge.export()
    assert report.put == (record.image_id,)
    assert report.problem is None
    folder = folder_of(gallery)
    (row,) = manifest(folder)
    assert row["image_id"] == record.image_id
    assert row["caption"] == record.caption
    assert row["facts"] == {"sku": "TP-1", "sku_color": "red"}
    assert (folder / str(row["image"])).read_bytes() == gallery.read_bytes(record.image_id)
    document = (folder / str(row["path"])).read_bytes()
    assert hashlib.sha256(document).hexdigest() == row["checksum"]
    assert len(document) == row["size"]
    assert record.caption.rstrip(".") in document.decode().replace("\\", "")
    link = (folder / str(row["path"])).parent / f"../../{row['image']}"
    assert link.resolve().is_file()
    sidecar = json.loads((folder / f"{row['path']}.metadata.json").read_text())
    assert sidecar["metadataAttributes"]["sku"] == "TP-1"
    assert sidecar["metadataAttributes"]["ai_generated"] is True
    assert sidecar["metadataAttributes"]["untrusted_caption"] is True
    assert len(sidecar["metadataAttributes"]) <= 16


def test_prompts_and_server_paths_stay_at_home(gallery: Gallery, knowledge: Knowledge) -> None:
    add_pictures(gallery, "red teapot", recipe={"prompt": "the-secret-prompt"})
    knowledge.export()
    for data, _ in snapshot(folder_of(gallery)).values():
        assert b"the-secret-prompt" not in data
        assert str(gallery.data_dir).encode() not in data


def test_exporting_twice_changes_no_byte_and_puts_nothing(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export()
    before = snapshot(folder_of(gallery))
    report = knowledge.export()
    assert (report.put, report.unchanged, report.pending) == ((), 2, 0)
    assert snapshot(folder_of(gallery)) == before


def test_a_fresh_data_directory_with_the_same_pictures_writes_the_same_bytes(
    gallery: Gallery, knowledge: Knowledge, tmp_path: Path
) -> None:
    add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export(target=f"folder:{tmp_path / 'shared'}")
    before = snapshot(tmp_path / "shared")
    other = Gallery(tmp_path / "other")
    add_pictures(other, "blue teapot", "red teapot")
    Knowledge(other, Settings(data=other.data_dir)).export(target=f"folder:{tmp_path / 'shared'}")
    other.close()
    assert snapshot(tmp_path / "shared") == before


def test_a_changed_caption_is_one_update_and_the_old_words_are_gone(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    first, _ = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export()
    before = snapshot(folder_of(gallery))
    rewrite(gallery, first.image_id, caption="A crimson pot for tea.")
    report = knowledge.export()
    assert report.put == (first.image_id,)
    assert report.unchanged == 1
    after = snapshot(folder_of(gallery))
    assert len(after) == len(before)
    captions = [row["caption"] for row in manifest(folder_of(gallery))]
    assert sorted(map(str, captions)) == [
        "A blue teapot on a white background.",
        "A crimson pot for tea.",
    ]
    assert not [k for k, (data, _) in after.items() if b"A red teapot on" in data]
    images = [key for key in before if key.startswith("images/")]
    assert all(after[key] == before[key] for key in images)


def test_a_removed_picture_leaves_no_trace_and_can_come_back(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    first, second = add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export()
    report = knowledge.remove([first.image_id])
    assert report.deleted == (first.image_id,)
    assert [row["image_id"] for row in manifest(folder_of(gallery))] == [second.image_id]
    assert not [k for k in snapshot(folder_of(gallery)) if first.sha256[:24] in k]
    assert knowledge.remove([first.image_id]).deleted == ()
    assert knowledge.export([first.image_id]).put == (first.image_id,)
    assert len(manifest(folder_of(gallery))) == 2


def test_the_last_picture_can_be_removed(gallery: Gallery, knowledge: Knowledge) -> None:
    (only,) = add_pictures(gallery, "red teapot")
    knowledge.export()
    knowledge.remove([only.image_id])
    assert manifest(folder_of(gallery)) == []
    assert "Nothing has been exported yet" in (folder_of(gallery) / "index.html").read_text()


def test_removing_before_the_export_cancels_it(gallery: Gallery, knowledge: Knowledge) -> None:
    records = add_pictures(gallery, "red teapot")
    with gallery.transaction() as connection:
        knowledge.enqueue(connection, records)
    assert knowledge.status().targets[0].pending == 1
    knowledge.remove([records[0].image_id])
    assert knowledge.status().targets[0].pending == 0
    assert not list((folder_of(gallery) / "docs").rglob("*.md"))


def test_means_are_not_exported_with_everything_and_masks_never(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    kept = add_pictures(gallery, "red teapot")[0]
    mask = gallery.add([new_picture("mask", kind="mask")])[0]
    photo = gallery.add([new_picture("photo", kind="upload", model="upload")])[0]
    assert knowledge.export().put == (kept.image_id,)
    with pytest.raises(InvalidArguments, match="mask"):
        knowledge.export([mask.image_id])
    assert knowledge.export([photo.image_id]).put == (photo.image_id,)
    rows = {row["image_id"]: row["provenance"] for row in manifest(folder_of(gallery))}
    assert rows[photo.image_id]["ai_generated"] is False  # type: ignore[index]
    assert rows[kept.image_id]["ai_generated"] is True  # type: ignore[index]


def test_an_unknown_id_is_refused_before_anything_is_queued(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    known = add_pictures(gallery, "red teapot")[0]
    with pytest.raises(NotFound):
        knowledge.export([known.image_id, "img_unknown"])
    assert knowledge.status().targets[0].pending == 0


def test_a_damaged_file_is_set_aside_with_its_reason_and_the_others_arrive(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    bad, good, gone = add_pictures(gallery, "red teapot", "blue teapot", "green teapot")
    bad.path.write_bytes(b"not the picture")
    gone.path.unlink()
    report = knowledge.export()
    assert report.put == (good.image_id,)
    assert {image_id for image_id, _ in report.failed} == {bad.image_id, gone.image_id}
    assert all("again from its recipe" in reason for _, reason in report.failed)
    (status,) = knowledge.status().targets
    assert (status.pending, status.done, len(status.failed)) == (0, 1, 2)
    bad.path.write_bytes(new_picture("red teapot").data)
    assert knowledge.export([bad.image_id]).put == (bad.image_id,)
    assert len(knowledge.status().targets[0].failed) == 1


def test_a_picture_kept_with_auto_export_is_queued_in_the_same_transaction(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    def fail_after_enqueue(connection: object, records: object) -> None:
        knowledge.enqueue(connection, records)  # type: ignore[arg-type]
        raise RuntimeError("crash before the commit")

    with pytest.raises(RuntimeError):
        gallery.add([new_picture("red teapot")], fail_after_enqueue)
    assert gallery.list() == []
    assert knowledge.status().targets[0].pending == 0
    gallery.add([new_picture("red teapot")], knowledge.enqueue)
    assert knowledge.status().targets[0].pending == 1


def test_a_picture_painted_again_keeps_its_first_words_in_the_knowledge_base(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    gallery.add([new_picture("red teapot")], knowledge.enqueue)
    knowledge.export()
    gallery.add([new_picture("red teapot", caption="Other words.")], knowledge.enqueue)
    assert knowledge.export().put == ()


def test_strangers_files_in_the_folder_are_left_alone(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    add_pictures(gallery, "red teapot")
    folder = folder_of(gallery)
    knowledge.export()
    (folder / "docs" / "mine.md").write_text("my own notes")
    (folder / "images" / "mine.png").write_bytes(b"mine")
    add_pictures(gallery, "blue teapot")
    knowledge.export()
    assert (folder / "docs" / "mine.md").read_text() == "my own notes"
    assert (folder / "images" / "mine.png").read_bytes() == b"mine"


def test_a_record_somebody_tampered_with_does_not_reach_the_page(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    add_pictures(gallery, "red teapot", "blue teapot")
    knowledge.export()
    victim = next((folder_of(gallery) / "records").rglob("*.json"))
    victim.write_text(victim.read_text().replace("teapot", "<script>x</script>"))
    knowledge.export()
    assert "script>x" not in (folder_of(gallery) / "index.html").read_text()
    assert len(manifest(folder_of(gallery))) == 1


def test_the_page_shows_every_picture_with_its_alternative_text(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    records = add_pictures(gallery, "red teapot", "blue teapot", group="teapots")
    records += add_pictures(gallery, "lamp", notes=("The color is a little off.",))
    knowledge.export()
    page = (folder_of(gallery) / "index.html").read_text()
    shown: list[dict[str, str | None]] = []

    class Images(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "img":
                shown.append(dict(attrs))

    Images().feed(page)
    assert {image["alt"] for image in shown} == {record.alt for record in records}
    assert all((folder_of(gallery) / str(image["src"])).is_file() for image in shown)
    assert "The color is a little off." in page


def test_two_threads_exporting_at_once_deliver_everything_once(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    records = add_pictures(gallery, *(f"teapot {n}" for n in range(12)))
    reports = []
    threads = [
        threading.Thread(target=lambda: reports.append(knowledge.export())) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    put = [image_id for report in reports for image_id in report.put]
    assert sorted(put) == sorted(record.image_id for record in records)
    assert len(manifest(folder_of(gallery))) == 12


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TargetUnavailable, match="cannot be written"):
        open_target(f"folder:{tmp_path / 'kb'}")


def test_a_file_in_the_folders_place_says_so_and_keeps_everything_queued(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    add_pictures(gallery, "red teapot")
    folder_of(gallery).write_text("in the way")
    with pytest.raises(TargetUnavailable) as caught:
        knowledge.export()
    assert str(gallery.data_dir) not in str(caught.value)
    assert knowledge.status().targets[0].pending == 1
    folder_of(gallery).unlink()
    assert len(knowledge.export().put) == 1


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "folder",
        "folder:",
        "folder:\0",
        "/tmp/kb",
        "ftp://x/y",
        "file:///etc",
        "s3:",
        "s3://",
        "s3:/bucket",
        "S3://bucket",
        "s3://UPPER/x",
        "s3://b ucket",
        "s3://bucket/../x",
        "s3://bucket/aws/x",
    ],
)
def test_a_malformed_target_is_refused_with_what_is_allowed(spec: str) -> None:
    with pytest.raises(BadTarget) as caught:
        open_target(spec)
    assert str(caught.value)


def test_one_target_has_one_name(tmp_path: Path) -> None:
    assert target_name("s3://bucket//a//b/") == "s3://bucket/a/b"
    assert target_name("s3://bucket/") == "s3://bucket"
    assert target_name(f"folder:{tmp_path}/") == f"folder:{tmp_path}"


def test_a_malformed_setting_is_an_error_at_the_start(gallery: Gallery) -> None:
    with pytest.raises(BadSettings, match="kb"):
        Knowledge(gallery, Settings(data=gallery.data_dir, kb="gopher://x"))
    with pytest.raises(BadSettings, match="public_url"):
        Knowledge(gallery, Settings(data=gallery.data_dir, public_url="https://x/?token=1"))


def test_a_public_address_is_written_as_stable_link(gallery: Gallery) -> None:
    record = add_pictures(gallery, "red teapot")[0]
    settings = Settings(data=gallery.data_dir, public_url="https://shop.example/pictures/")
    Knowledge(gallery, settings).export()
    (row,) = manifest(folder_of(gallery))
    address = f"https://shop.example/pictures/i/{record.image_id}/[0-9a-f]{{32}}[.]png"
    assert re.fullmatch(address, row["image_url"])
    again = Knowledge(gallery, settings).export()
    assert again.put == (), "the address stays the same"
