"""`agent-tools demo`: the main job, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.commands.session import AsJson, Model, flags_of
from server.console import Output


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Folder for the page and the report.")] = Path(
        "demo-out"
    ),
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Do the main job: an agent asks, pictures are painted, the knowledge base shows them.

    Starts the server as a subprocess and drives it through a real MCP client, then writes
    index.html and report.json. Ends with exit code 1 if a question gets the wrong picture.
    """
    from server.demo import run_demo

    output = Output(as_json=as_json)
    report = run_demo(flags_of(context).settings(model=model), out, output)
    output.emit(report)
    if not report["ok"]:
        raise typer.Exit(1)
