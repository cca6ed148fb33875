"""Fixtures that every area shares."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio: the MCP server and the engine's event loop are asyncio's."""
    return "asyncio"
