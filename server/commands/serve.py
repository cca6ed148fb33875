"""`agent-tools serve`: the MCP server, over standard input and output or over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from server.commands.session import Model, flags_of, parse_address
from server.quick_start import without_collector


def serve(
    context: typer.Context,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve over HTTP instead of stdin and stdout."),
    ] = None,
    model: Model = None,
) -> None:
    """Serve the tools to agents over MCP.

    Without --http it speaks on stdin and stdout, as desktop agents start it. With --http it binds
    to the loopback address unless a token is set (AGENT_TOOLS_TOKEN).

    Examples: agent-tools serve
    agent-tools serve --http 127.0.0.1:8931
    """
    settings = flags_of(context).settings(model=model)
    if http is None:
        with without_collector():
            from server.mcp import serve_stdio
        serve_stdio(settings)
    else:
        host, port = parse_address(http)
        with without_collector():
            from server.app import serve_http
        serve_http(settings, host, port)
