"""MCP's own conformance suite finds nothing missing; `make conformance` fetches it and runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.conformance
@pytest.mark.skipif(
    not (ROOT / ".conformance/node_modules").is_dir(), reason="make conformance fetches the suite"
)
def test_every_scenario_of_both_revisions_passes_and_every_schema_is_portable() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/conformance", "run"], cwd=ROOT, capture_output=True, text=True
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2025-11-25: 33/33" in done.stdout
    assert "2026-07-28: 50/50" in done.stdout
