"""kill -9 while the gallery writes: what it acknowledged is there, whole, and nothing half."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from kb_pictures import new_picture

from agent_tools.gallery import Gallery
from kb_export.outbox import Outbox

CHILD = Path(__file__).with_name("gallery_process.py")
TESTS = Path(__file__).parents[1]
HOUR_S = 3600


def keep_until_killed(data: Path, start: int, calls: int, delay_s: float) -> list[str]:
    """Kill a writing process after so many acknowledged calls and a moment; return their ids."""
    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(data), str(start)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])},
    )
    assert process.stdout is not None
    heard = [process.stdout.readline() for _ in range(calls)]
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=delay_s)
    process.send_signal(signal.SIGKILL)
    heard += process.stdout.read().splitlines(keepends=True)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return [image_id for line in heard if line.endswith("\n") for image_id in line.split()]


def damaged(gallery: Gallery) -> list[str]:
    """Return the listed pictures whose file is absent or not the one that was kept."""
    return [
        record.image_id
        for record in gallery.list(limit=-1)
        if not record.path.is_file()
        or hashlib.sha256(record.path.read_bytes()).hexdigest() != record.sha256
    ]


def test_kills_at_any_moment_lose_nothing_acknowledged(tmp_path: Path) -> None:
    dice = random.Random(3)
    acknowledged: set[str] = set()
    for attempt in range(8):
        acknowledged |= set(
            keep_until_killed(tmp_path, attempt * 10_000, dice.randint(1, 5), dice.uniform(0, 0.05))
        )
        gallery = Gallery(tmp_path)
        there = {record.image_id for record in gallery.list(limit=-1)}
        assert acknowledged <= there
        assert damaged(gallery) == []
        assert len(there) % 2 == 0, "half a call was kept"
        assert Outbox(gallery).pending(f"folder:{tmp_path / 'kb'}") == len(there)
        gallery.close()


def test_what_a_kill_left_half_done_is_removed_once_it_is_old(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    (kept,) = gallery.add([new_picture("teapot")])
    gallery.close()
    half = kept.path.with_name(".writing-abc")
    orphan = kept.path.with_name(f"{'0' * 64}.png")
    for path in (half, orphan):
        path.write_bytes(b"half")
    Gallery(tmp_path).close()
    assert half.exists() and orphan.exists(), "another process may be about to commit them"
    for path in (half, orphan, kept.path):
        age(path)
    gallery = Gallery(tmp_path)
    assert not half.exists() and not orphan.exists()
    assert damaged(gallery) == []
    gallery.close()


def test_a_picture_kept_again_over_an_old_orphan_survives_another_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery(tmp_path)
    (kept,) = gallery.add([new_picture("teapot")])
    with gallery.transaction() as connection:
        connection.execute("DELETE FROM images")
    age(kept.path)
    begin = gallery.transaction

    def begin_after_another_start() -> AbstractContextManager[sqlite3.Connection]:
        Gallery(tmp_path).close()  # the file is there, its row is not yet
        return begin()

    monkeypatch.setattr(gallery, "transaction", begin_after_another_start)
    assert gallery.add([new_picture("teapot")])[0].image_id == kept.image_id
    assert damaged(gallery) == []
    gallery.close()


def test_a_torn_file_would_be_noticed(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    kept = gallery.add([new_picture("teapot"), new_picture("mug")])
    kept[0].path.write_bytes(kept[0].path.read_bytes()[:-1])
    kept[1].path.unlink()
    assert sorted(damaged(gallery)) == sorted(record.image_id for record in kept)
    gallery.close()


def age(path: Path) -> None:
    """Make a file an hour old."""
    then = path.stat().st_mtime - HOUR_S
    os.utime(path, (then, then))
