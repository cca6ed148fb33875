"""The benchmarks of the export run, and their judgment can say no."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.kb_kill import verdict

ROOT = Path(__file__).resolve().parents[2]


def test_killed_exports_of_the_benchmark_end_with_every_record_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kb_kill", "--records", "200", "--kills", "3", "folder"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "benchmarks/out/kb_kill.json").read_text())["folder"]
    assert (figures["kills"], figures["records"]) == (3, 200)


def test_the_judgment_notices_what_is_lost_doubled_strange_or_not_noted() -> None:
    assert verdict({"a", "b"}, ["a", "b"], {"a", "b"}) == {
        "records": 2,
        "missing": 0,
        "unexpected": 0,
        "twice": 0,
        "acknowledged": True,
    }
    found = verdict({"a", "b"}, ["a", "a", "c"], {"a"})
    assert found == {
        "records": 3,
        "missing": 1,
        "unexpected": 1,
        "twice": 1,
        "acknowledged": False,
    }
