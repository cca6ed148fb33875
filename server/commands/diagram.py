"""`agent-tools diagram`: an exact picture of a Mermaid text."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_tools.errors import InvalidArguments
from server.commands.session import AsJson, OutDir, call_tool, flags_of, read_file
from server.console import Output

if TYPE_CHECKING:
    from agent_tools.results import ToolResult

_MAX_BYTES = 1_000_000


def diagram(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(help="Mermaid text, or a graph as .json; - reads standard input.")
    ],
    title: Annotated[str | None, typer.Option(help="What it shows, for caption and alt.")] = None,
    aspect: Annotated[str | None, typer.Option(help="auto, wide, tall or square.")] = None,
    theme: Annotated[str | None, typer.Option(help="light or dark.")] = None,
    illustrate: Annotated[
        str | None, typer.Option(help="none, icons (flowcharts), backdrop or both.")
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="How icons look or what the backdrop shows.")
    ] = None,
    scale: Annotated[int | None, typer.Option(help="Pixels per unit, 1 or 2.")] = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Draw a diagram from Mermaid text, with every word legible.

    Example: echo 'flowchart LR; A[Order] --> B[Ship]' | agent-tools diagram - --out .
    """
    if file == "-":
        data = sys.stdin.buffer.read(_MAX_BYTES + 1)
    else:
        data = read_file(Path(file), _MAX_BYTES)
    call_tool(
        flags_of(context).settings(),
        Output(as_json=as_json),
        "draw_diagram",
        {
            **_source(data, as_graph=file.lower().endswith(".json")),
            "title": title,
            "aspect": aspect,
            "theme": theme,
            "illustrate": illustrate,
            "style": style,
            "scale": scale,
            "svg": out is not None,
        },
        label="Drawing",
        out=out,
        shape=lambda result, pictures: _sources(result, pictures, out),
    )


def _sources(
    result: ToolResult, pictures: list[dict[str, Any]], out: Path | None
) -> dict[str, Any]:
    """Write SVG and Mermaid text beside the picture's copy; name both in the JSON object."""
    drawn: Any = result.data
    found: dict[str, Any] = {"kind": drawn.kind, "source": drawn.source}
    if out is not None:
        for suffix, text in ((".svg", drawn.svg), (".mmd", drawn.source)):
            file = Path(pictures[0]["path"]).with_suffix(suffix)
            file.write_text(text, encoding="utf-8")
            found[suffix[1:]] = str(file)
    return found


def _source(data: bytes, *, as_graph: bool) -> dict[str, Any]:
    if len(data) > _MAX_BYTES:
        raise InvalidArguments("The diagram has more than 1 MB.", hint="Draw several smaller ones.")
    try:
        text = data.decode("utf-8")
        return {"graph": json.loads(text)} if as_graph else {"source": text}
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InvalidArguments(
            f"The file is not {'JSON' if as_graph else 'UTF-8 text'}: {error}.",
            hint="Give Mermaid text, or a graph as JSON in a file that ends in .json.",
        ) from None
