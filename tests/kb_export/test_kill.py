"""kill -9 in the middle of exports: after a restart everything is there, once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kb_pictures import new_picture, rewrite

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.bundle import document, document_key, image_key, sidecar, sidecar_key
from kb_export.outbox import Outbox
from kb_export.record import KBRecord
from kb_export.targets import KBTarget, open_target

CHILD = Path(__file__).with_name("exporter_process.py")
ROOT = Path(__file__).resolve().parents[2]


def start(data: Path, spec: str, endpoint: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(data), spec, endpoint],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


def kill_after(process: subprocess.Popen[str], lines: int, delay: float) -> bool:
    """Kill after so many printed lines and a moment more; False if it had finished before."""
    assert process.stdout is not None
    for _ in range(lines):
        line = process.stdout.readline()
        if not line or line.startswith("finished"):
            break
    try:
        process.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.stdout.read()
    process.stdout.close()
    return process.wait() == -signal.SIGKILL


def run_to_the_end(data: Path, spec: str, endpoint: str) -> None:
    process = start(data, spec, endpoint)
    output, _ = process.communicate()
    assert output.splitlines()[-1] == "finished 0 None ()"


def acknowledged(data: Path, target: str) -> dict[str, KBRecord]:
    """Return what the outbox says is at the target, read by a connection of its own."""
    gallery = Gallery(data)
    try:
        rows = gallery.connection.execute(
            "SELECT record_id, record FROM kb_exported WHERE target = ?", (target,)
        ).fetchall()
        return {row[0]: KBRecord.from_json(row[1]) for row in rows}
    finally:
        gallery.close()


def owed(data: Path, target: str) -> dict[str, KBRecord | None]:
    """Return what the outbox still owes, by picture: the record to put, or None to remove it."""
    gallery = Gallery(data)
    try:
        rows = gallery.connection.execute(
            "SELECT image_id, operation, record FROM kb_outbox WHERE target = ?", (target,)
        ).fetchall()
        return {row[0]: KBRecord.from_json(row[2]) if row[1] == "put" else None for row in rows}
    finally:
        gallery.close()


def lost_from_folder(folder: Path, data: Path, target: str) -> list[str]:
    """Return the missing files of acknowledged records that nothing newer explains.

    A kill may hit between the target's change and its acknowledgment. Then the picture is still
    owed: one being removed may be gone, one with newer words must be there with the newer ones.
    """
    owes = owed(data, target)
    lost = []
    for record_id, record in acknowledged(data, target).items():
        missing = missing_from_folder(folder, {record_id: record})
        if missing and record.image_id in owes:
            newer = owes[record.image_id]
            missing = missing_from_folder(folder, {newer.record_id: newer}) if newer else []
        lost += missing
    return lost


def missing_from_folder(folder: Path, records: dict[str, KBRecord]) -> list[str]:
    """Return the files of `records` that are absent or not whole."""
    missing = []
    for record in records.values():
        expected = {
            document_key(record.record_id): document(record),
            sidecar_key(record.record_id): sidecar(record, image_key(record)),
            f"records/{record.record_id[3:5]}/{record.record_id}.json": record.to_json().encode(),
        }
        for key, data in expected.items():
            path = folder / key
            if not path.is_file() or path.read_bytes() != data:
                missing.append(key)
        if not (folder / image_key(record)).is_file():
            missing.append(image_key(record))
    return missing


def prepare(data: Path, spec: str, endpoint: str, count: int) -> set[str]:
    """Export half, then owe the rest, some changed captions and some removals.

    Returns:
        The ids of the records that must be there at the end.
    """
    gallery = Gallery(data)
    settings = Settings(data=data, kb=spec, s3_endpoint=endpoint or None)
    knowledge = Knowledge(gallery, settings)
    names = [f"teapot {n}" for n in range(count)]
    first = gallery.add([new_picture(name) for name in names[: count // 2]])
    knowledge.export()
    for record in first[: count // 6]:
        rewrite(gallery, record.image_id, caption=f"Newer words about {record.image_id}.")
    gallery.add([new_picture(name) for name in names[count // 2 :]])
    gone = [record.image_id for record in first[-count // 6 :]]
    outbox = Outbox(gallery)
    target = knowledge.default_target
    kept = [r for r in gallery.list(limit=-1) if r.image_id not in gone]
    records = [knowledge._records.of(record) for record in kept]
    with gallery.transaction() as connection:
        outbox.enqueue(connection, target, records)
        outbox.withdraw(connection, target, gone)
    gallery.close()
    return {record.record_id for record in records}


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)


def test_killed_folder_exports_lose_nothing_acknowledged_and_end_whole(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "kb"
    spec = f"folder:{folder}"
    expected = prepare(data, spec, "", 60)
    dice = random.Random(20)
    kills = 0
    for _ in range(8):
        kills += kill_after(start(data, spec, ""), dice.randint(1, 8), dice.uniform(0, 0.03))
        assert lost_from_folder(folder, data, spec) == []
    assert kills >= 4
    run_to_the_end(data, spec, "")
    there = acknowledged(data, spec)
    assert set(there) == expected == open_target(spec).list_ids()
    assert missing_from_folder(folder, there) == []
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["record_id"] for line in lines) == sorted(expected)
    assert not list(folder.rglob(".writing-*"))
    assert len(list((folder / "images").rglob("*.png"))) == len(expected)
    assert len(list((folder / "docs").rglob("*.md"))) == len(expected)


def test_the_checker_of_lost_records_notices_one(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "kb"
    spec = f"folder:{folder}"
    prepare(data, spec, "", 12)
    run_to_the_end(data, spec, "")
    there = acknowledged(data, spec)
    victim = next(iter(there.values()))
    (folder / document_key(victim.record_id)).write_bytes(b"torn")
    assert missing_from_folder(folder, there) == [document_key(victim.record_id)]
    assert lost_from_folder(folder, data, spec) == [document_key(victim.record_id)]


def test_killed_s3_exports_lose_nothing_acknowledged_and_end_whole(
    tmp_path: Path, s3_endpoint: str, s3_client: object, bucket: str
) -> None:
    data, spec = tmp_path / "data", f"s3://{bucket}/kb"
    expected = prepare(data, spec, s3_endpoint, 24)
    target: KBTarget = open_target(spec, {"endpoint": s3_endpoint})
    dice = random.Random(21)
    kills = 0
    for _ in range(3):
        kills += kill_after(
            start(data, spec, s3_endpoint), dice.randint(1, 6), dice.uniform(0, 0.05)
        )
        owes, there = owed(data, spec), acknowledged(data, spec)
        settled = {key for key, record in there.items() if record.image_id not in owes}
        assert settled <= target.list_ids()
    assert kills >= 2
    run_to_the_end(data, spec, s3_endpoint)
    assert target.list_ids() == expected == acknowledged(data, spec).keys()
