"""`agent-tools find`: pictures of the gallery by words, likeness, or what made them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agent_tools.results import ToolResult
from server.commands.session import AsJson, OutDir, call_tool, flags_of
from server.console import Output


def find(
    context: typer.Context,
    query: Annotated[
        str | None, typer.Argument(help="Words, a SKU or an id; the newest if left out.")
    ] = None,
    like: Annotated[str | None, typer.Option(help="Pictures that resemble this image_id.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="product, persona, diagram, picture, sheet, upload, mask.")
    ] = None,
    tool: Annotated[str | None, typer.Option(help="Only pictures that this tool made.")] = None,
    model: Annotated[str | None, typer.Option(help="What painted it, or part of the name.")] = None,
    product: Annotated[str | None, typer.Option(help="Part of its name, or its SKU.")] = None,
    persona: Annotated[str | None, typer.Option(help="Only this persona's pictures.")] = None,
    tag: Annotated[str | None, typer.Option(help="A tag it must have.")] = None,
    since: Annotated[str | None, typer.Option(help="Made on this day or later (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Made on this day or earlier (UTC).")] = None,
    min_score: Annotated[float | None, typer.Option(help="Leave out weaker hits.")] = None,
    limit: Annotated[int | None, typer.Option(help="Hits on one page, up to 20.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Shown at the end of a page.")] = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Find pictures made or added before, and say why each one fits.

    Example: agent-tools find "purple teapot" --kind product
    """
    output = Output(as_json=as_json)

    def shape(result: ToolResult, images: list[dict[str, Any]]) -> dict[str, Any]:
        data: dict[str, Any] = result.data.model_dump(mode="json")
        for hit, image in zip(data["hits"], images, strict=True):
            score = "     " if hit["score"] is None else f"{hit['score']:.2f} "
            output.say(f"{score} {image['image_id']}  {image['caption']}")
            output.say(f"      {hit['why']}; {hit['kind']}, {hit['created_at']}")
            output.say(f"      {image['path']}")
            if hit["variants"]:
                output.say(f"      and {len(hit['variants'])} more of the same call")
        if not data["hits"]:
            output.note(result.text)
        elif data["next_cursor"]:
            output.note(f"{data['matched']} found. More: --cursor {data['next_cursor']}")
        return data

    call_tool(
        flags_of(context).settings(),
        output,
        "find_images",
        {
            "query": query,
            "like": like,
            "kind": kind,
            "tool": tool,
            "model": model,
            "product": product,
            "persona_id": persona,
            "tag": tag,
            "since": since,
            "until": until,
            "min_score": min_score,
            "limit": limit,
            "cursor": cursor,
        },
        label="Searching",
        out=out,
        shape=shape,
        show=lambda result: None,
    )
