"""Fixtures that every area shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Several workers share the cores: more threads than cores would make each of them wait for all
# others. Set before anything imports torch; processes that tests start inherit it.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _WORKERS > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _WORKERS)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio: the MCP server and the engine's event loop are asyncio's."""
    return "asyncio"


@pytest.fixture(scope="session")
def tiny_stable_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random-weight Stable Diffusion model: real classes, 64x64, milliseconds."""
    from tiny_models import build_tiny_stable_diffusion

    return build_tiny_stable_diffusion(tmp_path_factory.mktemp("models") / "tiny-stable-diffusion")
