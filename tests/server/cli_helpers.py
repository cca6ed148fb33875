"""The command line in this process, apart from what this machine has set."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def apart_from_this_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a folder without this machine's settings; leave logging as it was."""
    for name in [name for name in os.environ if name.startswith("AGENT_TOOLS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
