"""Fixtures for the tests of the doors."""

from __future__ import annotations

import ast
import asyncio
import io
import logging
import shutil
from pathlib import Path

import pytest
from gallery_tools import fill, gallery_studio

from agent_tools.settings import Settings
from server import logs

ROOT = Path(__file__).parents[2]
ROOMS = ("server", "agent_tools", "kb_export", "engine")


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


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """Every module of the four rooms, parsed."""
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
    }


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Fill a gallery once; tests copy its folder."""

    async def work() -> dict[str, str]:
        studio = gallery_studio(Settings(data=data))
        records = await fill(studio)
        await studio.close()
        return {name: record.image_id for name, record in records.items()}

    data = tmp_path_factory.mktemp("filled") / "data"
    return data, asyncio.run(work())


@pytest.fixture
def pictures(tmp_path: Path, filled: tuple[Path, dict[str, str]]) -> dict[str, str]:
    """Fill the gallery that `studio` opens and return the ids of its pictures by name."""
    shutil.copytree(filled[0], tmp_path / "data")
    return filled[1]
