"""Fixtures that every area shares."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio: the MCP server and the engine's event loop are asyncio's."""
    return "asyncio"


@pytest.fixture(scope="session")
def tiny_stable_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random-weight Stable Diffusion model: real classes, 64x64, milliseconds."""
    from tiny_models import build_tiny_stable_diffusion

    return build_tiny_stable_diffusion(tmp_path_factory.mktemp("models") / "tiny-stable-diffusion")
