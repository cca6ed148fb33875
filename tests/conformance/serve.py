"""Our HTTP application with the suite's fixtures, on a free port, until standard input closes.

Prints one line of JSON with its address when it serves. No model is loaded: the suite's tools
paint nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import fixtures
import uvicorn

from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.app import build_app
from server.mcp import build_server
from server.warm_up import WarmUp


class _NoWarmUp(WarmUp):
    def start(self, delay_s: float = 0.0) -> None:
        """Leave the model where it is."""


async def main(data: Path) -> None:
    """Serve."""
    studio = Studio.open(Settings(data=data))
    server = build_server(studio)
    fixtures.mount(server)
    app = build_app(studio, _NoWarmUp(studio), server=server)
    config = uvicorn.Config(
        app, port=0, log_config=None, ws="none", http="h11", loop="asyncio", server_header=False
    )
    web = uvicorn.Server(config)
    serving = asyncio.create_task(web.serve())
    while not web.started and not serving.done():
        await asyncio.sleep(0.05)
    if web.started:
        port = web.servers[0].sockets[0].getsockname()[1]
        print(json.dumps({"url": f"http://127.0.0.1:{port}/mcp"}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        web.should_exit = True
    await serving


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
