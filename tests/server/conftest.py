"""Fixtures for the tests of the doors."""

from __future__ import annotations

import io
import logging

import pytest

from server import logs


@pytest.fixture
def log_stream(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Capture what the process would write to stderr, and put logging back afterwards."""
    stream = io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    for name in logs.QUIET:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.getLogger(name).level)
    logs.configure_logging("info")
    return stream
