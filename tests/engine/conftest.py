"""Engines on tiny random-weight models, and small ways to watch them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import BUILDERS

from engine import LocalEngine

OpenEngine = Callable[..., Awaitable[LocalEngine]]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny model by family name, built once."""
    built: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in built:
            built[name] = BUILDERS[name](tmp_path_factory.mktemp("family") / f"tiny-{name}")
        return built[name]

    return folder


@pytest.fixture(scope="session")
def cost_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where engines keep measured costs: each model is measured once in a session, not per test."""
    return tmp_path_factory.mktemp("costs") / "costs.json"


@pytest.fixture
async def open_engine(anyio_backend: str, cost_file: Path) -> AsyncIterator[OpenEngine]:
    """Open engines that are closed after the test, and check that no thread of theirs is left."""
    engines: list[LocalEngine] = []

    async def open_one(model: str | Path, **settings: Any) -> LocalEngine:
        settings = {"cost_file": cost_file} | settings
        engine = LocalEngine(str(model), threads=1, device="cpu", **settings)
        engines.append(engine)
        return engine

    yield open_one
    for engine in engines:
        await engine.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("engine-")]
