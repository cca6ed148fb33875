"""A server process with small tools, for tests that send it signals: argument 1 is its data."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from small_tools import PaintSquare, small_studio

import server.app
from agent_tools.results import ToolResult
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import Progress


class Unhurried(PaintSquare):
    """Begin, say so on stdout, and paint once another signal file is there."""

    name = "unhurried"

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        print("begun", flush=True)
        while not (studio.settings.data / "go-on").exists():
            await asyncio.sleep(0.02)
        return await super().run(studio, arguments, progress)


class Peer(Studio):
    """Opens as a small studio."""

    @classmethod
    def open(cls, settings: Settings) -> Studio:
        studio = small_studio(settings)
        studio.tools["unhurried"] = Unhurried()
        return studio


if __name__ == "__main__":
    server.app.Studio = Peer  # type: ignore[attr-defined]
    server.app.GRACE_S = int(sys.argv[2])
    server.app.serve_http(Settings(data=Path(sys.argv[1])), "127.0.0.1", 0)
