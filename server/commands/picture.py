"""`agent-tools generate` and `edit`: pictures from words, pictures changed by words."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agent_tools.studio import Studio
from server.commands.session import (
    AsJson,
    Model,
    OutDir,
    Seed,
    Steps,
    call_tool,
    flags_of,
    take_in,
)
from server.console import Output


def generate(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What to paint.")],
    count: Annotated[int | None, typer.Option(help="How many pictures, 1 to 4.")] = None,
    seed: Seed = None,
    steps: Steps = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT or one side in pixels.")] = None,
    negative: Annotated[str | None, typer.Option(help="What to keep away from.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How closely to follow words.")] = None,
    model: Model = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Paint pictures from words.

    Example: agent-tools generate "a purple teapot on a white background" --count 2 --out pictures
    """
    width, height = parse_size(size)
    call_tool(
        flags_of(context).settings(model=model),
        Output(as_json=as_json),
        "generate_image",
        {
            "prompt": prompt,
            "negative_prompt": negative,
            "count": count,
            "seed": seed,
            "steps": steps,
            "guidance": guidance,
            "width": width,
            "height": height,
        },
        label="Painting",
        out=out,
    )


def edit(
    context: typer.Context,
    picture: Annotated[str, typer.Argument(help="An image_id or a picture file.")],
    prompt: Annotated[
        str | None, typer.Argument(help="What it shall show; not with --background.")
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            help="White where to repaint, with --background what stays: a file or an image_id."
        ),
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(help="Keep the thing and change this: transparent, a color, or words."),
    ] = None,
    point: Annotated[
        tuple[int, int] | None, typer.Option(help="X Y on what stays. With --background.")
    ] = None,
    box: Annotated[
        tuple[int, int, int, int] | None,
        typer.Option(help="LEFT TOP RIGHT BOTTOM around what stays. With --background."),
    ] = None,
    extend: Annotated[
        tuple[int, int, int, int] | None,
        typer.Option(help="Pixels to paint beyond each edge: LEFT TOP RIGHT BOTTOM."),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="What the picture shows, for captions. For files.")
    ] = None,
    strength: Annotated[float | None, typer.Option(help="How much may change, 0 to 1.")] = None,
    seed: Seed = None,
    steps: Steps = None,
    model: Model = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Repaint a picture or the white part of a mask, extend it, or change its background.

    Examples: agent-tools edit mug.png "a mug with a red stripe" --mask stripe.png
    agent-tools edit mug.png --background transparent
    agent-tools edit mug.png "a mug on a shelf" --extend 64 0 64 0
    """
    sides = ("extend_left", "extend_top", "extend_right", "extend_bottom")

    def arguments(studio: Studio) -> dict[str, Any]:
        return {
            "image_id": take_in(studio, picture, title=title or ""),
            "prompt": prompt,
            "mask_id": take_in(studio, mask, kind="mask") if mask else None,
            "background": background,
            "point": point,
            "box": box,
            **(dict(zip(sides, extend, strict=True)) if extend else {}),
            "strength": strength,
            "seed": seed,
            "steps": steps,
        }

    call_tool(
        flags_of(context).settings(model=model),
        Output(as_json=as_json),
        "edit_image",
        arguments,
        label="Repainting",
        out=out,
        shape=lambda result, images: {
            name: value
            for name, value in result.data.model_dump(mode="json").items()
            if name == "outside_max_change"
        },
    )


def parse_size(size: str | None) -> tuple[int | None, int | None]:
    """Read "512x768" or "512".

    Raises:
        typer.BadParameter: if it is neither.
    """
    if size is None:
        return None, None
    width, _, height = size.lower().partition("x")
    height = height or width
    if not (width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"'{size}' is not a size. Give 512x768 or 512.")
    return int(width), int(height)
