"""A studio whose engine paints with a tiny random-weight model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.personas import PersonaStore
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from engine import LocalEngine


@pytest.fixture
def settings(tmp_path: Path, tiny_stable_diffusion: Path) -> Settings:
    return Settings(data=tmp_path / "data", model=str(tiny_stable_diffusion), threads=1)


@pytest.fixture(scope="module")
def engine(tiny_stable_diffusion: Path) -> Iterator[LocalEngine]:
    """Load the model once: an engine may serve several event loops."""
    shared = LocalEngine(str(tiny_stable_diffusion), threads=1)
    yield shared
    asyncio.run(shared.close())


@pytest.fixture
def studio(settings: Settings, engine: LocalEngine) -> Iterator[Studio]:
    gallery = Gallery(settings.data)
    knowledge = Knowledge(gallery, settings)
    yield Studio(settings, engine, gallery, PersonaStore(gallery), knowledge)
    knowledge.close()
    gallery.close()
