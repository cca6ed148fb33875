"""The examples in docstrings of the plain Python door run as they are printed."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import agent_tools.studio


def test_the_studio_works_as_its_docstring_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(agent_tools.studio, extraglobs={"folder": tmp_path / "data"})
    assert outcome.attempted >= 7
    assert outcome.failed == 0
