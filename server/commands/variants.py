"""`agent-tools variants`: the same product in other colors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from agent_tools.results import ToolResult
from agent_tools.studio import Studio
from server.commands.session import (
    AsJson,
    Model,
    OutDir,
    Seed,
    Steps,
    call_tool,
    flags_of,
    is_picture_argument,
    take_in,
)
from server.console import Output


def variants(
    context: typer.Context,
    product: Annotated[
        str, typer.Argument(help="The product in words, or its photo: a file or an image_id.")
    ],
    color: Annotated[
        list[str], typer.Option("--color", help="A name or #rrggbb; repeat for more colors.")
    ],
    mask: Annotated[
        str | None,
        typer.Option(help="White where the product is: a file or an image_id. For photos."),
    ] = None,
    scene: Annotated[str | None, typer.Option(help="Where it stands. For words.")] = None,
    material: Annotated[str | None, typer.Option(help="What it is made of. For words.")] = None,
    seed: Seed = None,
    steps: Steps = None,
    model: Model = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Paint a product in several colors, or recolor its photo exactly.

    From a photo every pixel outside the mask stays byte for byte, and the result says how close
    each color came.

    Examples: agent-tools variants "ceramic mug" --color sage --color navy
    agent-tools variants mug.jpg --mask mug-mask.png --color "#9caf88" --out variants
    """

    def arguments(studio: Studio) -> dict[str, Any]:
        shared: dict[str, Any] = {"colors": color, "scene": scene, "material": material}
        shared |= {"seed": seed, "steps": steps}
        if is_picture_argument(product):
            mask_id = take_in(studio, mask, kind="mask") if mask else None
            return shared | {"image_id": take_in(studio, product), "mask_id": mask_id}
        if mask:
            raise typer.BadParameter("--mask needs a photo as PRODUCT, not words.")
        return shared | {"product": product}

    output = Output(as_json=as_json)
    call_tool(
        flags_of(context).settings(model=model),
        output,
        "create_product_variants",
        arguments,
        label="Making variants",
        out=out,
        shape=_with_measurements,
    )


def _with_measurements(result: ToolResult, images: list[dict[str, Any]]) -> Mapping[str, Any]:
    """Put each variant's measurements into its image object."""
    data = result.data.model_dump(mode="json")
    by_id = {
        variant["image"]["image_id"]: variant.get("measurements")
        for variant in data.get("variants", [])
    }
    for image in images:
        if image["image_id"] in by_id:
            image["measurements"] = by_id[image["image_id"]]
    return {"warnings": data.get("warnings", [])}
