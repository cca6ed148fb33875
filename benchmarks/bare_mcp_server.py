"""The least server that the SDK can be: one tool that returns content read from a file.

What our server adds to a call or to a start is measured beside it. Run by `benchmarks.protocol`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult
from pydantic import BaseModel


class Output(BaseModel):
    """Whatever the file says."""

    model_config = {"extra": "allow"}


def build(content: dict[str, Any] | None) -> MCPServer[Any]:
    """Build the server; its tool returns `content`."""
    server: MCPServer[Any] = MCPServer("bare")
    result = None if content is None else CallToolResult.model_validate(content)

    @server.tool()
    async def get_image(image_id: str) -> Annotated[CallToolResult, Output]:
        """Return the picture."""
        assert result is not None
        return result

    return server


def main() -> None:
    """Serve over stdio, or over HTTP on the port that is then printed."""
    if sys.argv[1] == "stdio":
        build(None).run("stdio")
        return
    import socket

    import uvicorn

    app = build(json.loads(Path(sys.argv[2]).read_text())).streamable_http_app()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(listener.getsockname()[1], flush=True)
    # As our server configures it, so that only what is ours differs.
    config = uvicorn.Config(app, log_config=None, access_log=False, http="h11", loop="asyncio")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
