"""`agent-tools gallery`: the pictures that were made, and how."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from agent_tools.studio import Studio
from server.commands.session import (
    AsJson,
    Model,
    OutDir,
    flags_of,
    record_object,
    run_in_studio,
    take_in,
)
from server.console import Bars, Output, readable

app = typer.Typer(help="The pictures that were made, and how.", no_args_is_help=True)


class UploadKind(StrEnum):
    """What a file is taken in as."""

    UPLOAD = "upload"
    MASK = "mask"


@app.command("list")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
    kind: Annotated[
        str | None, typer.Option(help="product, persona, diagram, picture, sheet, upload, mask.")
    ] = None,
    tool: Annotated[str | None, typer.Option(help="Only pictures that this tool made.")] = None,
    as_json: AsJson = False,
) -> None:
    """List pictures, newest first."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        started = time.monotonic()
        records = studio.gallery.list(limit, kind=kind, tool=tool)
        images = [
            record_object(record) | {"kind": record.kind, "tool": record.tool} for record in records
        ]
        output.emit({"images": images, "seconds": round(time.monotonic() - started, 3)})
        for record in records:
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created_at))
            output.say(f"{record.image_id}  {made}  {record.kind:<8} {record.caption}")
        if not records:
            output.note("No pictures yet. Make one: agent-tools generate PROMPT")

    run_in_studio(flags_of(context).settings(), output, work)


@app.command()
def show(
    context: typer.Context,
    image_id: Annotated[str, typer.Argument(help="The picture.")],
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one picture's caption, alternative text and recipe."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        record = studio.gallery.get(image_id)
        image = record_object(record, out)
        more: dict[str, Any] = {
            "kind": record.kind,
            "tool": record.tool,
            "title": record.title,
            "long_description": record.long_description,
            "use_when": record.use_when,
            "tags": list(record.tags),
            "group": record.group,
            "parent_id": record.parent_id,
            "made_from_it": [one.image_id for one in studio.gallery.list(parent=image_id)],
            "metadata": record.metadata,
            "notes": list(record.notes),
            "recipe": record.recipe,
            "created_at": record.created_at,
        }
        output.emit({"images": [image | more]})
        for line in readable(image | more):
            output.say(line)

    run_in_studio(flags_of(context).settings(), output, work)


@app.command("replay")
def replay_(
    context: typer.Context,
    image_id: Annotated[str, typer.Argument(help="The picture to make again.")],
    model: Model = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a picture again from its recipe and say whether the bytes are the same.

    Ends with exit code 1 if they are not, after saying precisely what differs.
    """
    output = Output(as_json=as_json)
    outcome: list[bool] = []

    async def work(studio: Studio, bars: Bars) -> None:
        from agent_tools.replay import replay

        started = time.monotonic()
        found = await replay(studio, image_id, bars.reporter("Replaying"))
        bars.finish()
        outcome.append(found.same_bytes)
        output.emit(
            {
                "images": [record_object(found.made, out)],
                "replay_of": found.original.image_id,
                "same_bytes": found.same_bytes,
                "same_pixels": found.same_pixels,
                "max_change": found.max_change,
                "reasons": list(found.reasons),
                "seconds": round(time.monotonic() - started, 3),
            }
        )
        if found.same_bytes:
            output.say(f"Same bytes: {found.made.path}")
        else:
            output.say(f"Not the same bytes: {found.made.path}")
            for reason in found.reasons:
                output.say(f"  {reason}")

    run_in_studio(flags_of(context).settings(model=model), output, work)
    if not all(outcome):
        raise typer.Exit(1)


@app.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A PNG, JPEG or WebP picture.")],
    kind: Annotated[
        UploadKind, typer.Option(help="Whether it is a picture or a mask.")
    ] = UploadKind.UPLOAD,
    title: Annotated[str, typer.Option(help="What it shows; becomes its caption.")] = "",
    as_json: AsJson = False,
) -> None:
    """Take a picture in, stripped of its metadata, and print the image_id that tools take.

    Example: agent-tools gallery add mug.jpg --title "Our mug"
    """
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        image_id = take_in(studio, str(file), kind=kind.value, title=title)
        record = studio.gallery.get(image_id)
        output.emit({"images": [record_object(record)]})
        output.say(image_id)

    run_in_studio(flags_of(context).settings(), output, work)
