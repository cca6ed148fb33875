"""`agent-tools variants`: the same product in other looks, one by one or as a price list."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from agent_tools.results import ToolResult
from agent_tools.studio import Studio
from server.commands.session import (
    AsJson,
    GlobalFlags,
    Model,
    OutDir,
    Seed,
    Steps,
    call_tool,
    flags_of,
    is_picture_argument,
    run_in_studio,
    take_in,
)
from server.console import EXIT_FAILED, Bars, Output


def variants(
    context: typer.Context,
    product: Annotated[
        str | None,
        typer.Argument(help="The product in words, or its photo: a file or an image_id."),
    ] = None,
    color: Annotated[
        list[str] | None,
        typer.Option("--color", help="A name or #rrggbb; repeat for more colors."),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(help="White where the product is: a file or an image_id. For photos."),
    ] = None,
    point: Annotated[
        tuple[int, int] | None, typer.Option(help="X Y in pixels on the product. For photos.")
    ] = None,
    box: Annotated[
        tuple[int, int, int, int] | None,
        typer.Option(help="LEFT TOP RIGHT BOTTOM in pixels around it. For photos."),
    ] = None,
    from_color: Annotated[
        str | None, typer.Option(help="The color that it has now. For photos.")
    ] = None,
    all_prints: Annotated[
        bool, typer.Option("--all-prints", help="Color prints and labels, too. For photos.")
    ] = False,
    anchor: Annotated[
        str | None, typer.Option(help="perceived (mid-tone) or albedo (full light).")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="exact or generate. For photos.")] = None,
    title: Annotated[
        str | None, typer.Option(help="What the photo shows, for captions. For photo files.")
    ] = None,
    scene: Annotated[str | None, typer.Option(help="Where it stands.")] = None,
    material: Annotated[str | None, typer.Option(help="What it is made of.")] = None,
    style: Annotated[str | None, typer.Option(help="How it is pictured.")] = None,
    count: Annotated[
        int | None, typer.Option(help="Pictures of each painted variant, 1 to 4.")
    ] = None,
    format: Annotated[str | None, typer.Option(help="png, webp or jpeg.")] = None,
    seed: Seed = None,
    steps: Steps = None,
    catalog: Annotated[
        Path | None,
        typer.Option("--csv", help="A price list: one row, one picture. Goes on after a kill."),
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option(help="With --csv: where results go; NAME-result.csv beside it if left out."),
    ] = None,
    model: Model = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Paint a product in several looks, or recolor its photo exactly.

    From a photo every pixel outside the product stays byte for byte, and the result says how close
    each color came. A price list has the columns picture (a file or image_id) or product (words),
    then color, material, scene, style, sku, mask, point, box, from_color and so on; any other
    column, such as price, becomes a fact of the picture.

    Examples: agent-tools variants "ceramic mug" --color sage --color navy
    agent-tools variants mug.jpg --point 250 230 --color "#9caf88" --out variants
    agent-tools variants --csv catalog.csv --out pictures
    """
    output = Output(as_json=as_json)
    looks = (anchor, mode, title, scene, material, style)
    one = (product, color, mask, point, box, from_color, *looks)
    if catalog is not None:
        if any(one) or all_prints or count or format or seed is not None or steps:
            raise typer.BadParameter("--csv says everything in its columns; leave the others out.")
        _whole_catalog(flags_of(context), output, catalog, result, model, out)
        return
    if result is not None:
        raise typer.BadParameter("--result needs --csv.")
    if product is None:
        raise typer.BadParameter("Give PRODUCT in words or as a picture, or --csv.")

    def arguments(studio: Studio) -> dict[str, Any]:
        shared: dict[str, Any] = {
            "colors": color or None,
            "point": point,
            "box": box,
            "from_color": from_color,
            "keep_prints": False if all_prints else None,
            "anchor": anchor,
            "mode": mode,
            "scene": scene,
            "material": material,
            "style": style,
            "count": count,
            "format": format,
            "seed": seed,
            "steps": steps,
        }
        if is_picture_argument(product):
            mask_id = take_in(studio, mask, kind="mask") if mask else None
            image_id = take_in(studio, product, title=title or "")
            return shared | {"image_id": image_id, "mask_id": mask_id}
        if mask or title:
            which = "--mask" if mask else "--title"
            raise typer.BadParameter(f"{which} needs a photo as PRODUCT, not words.")
        return shared | {"product": product}

    call_tool(
        flags_of(context).settings(model=model),
        output,
        "create_product_variants",
        arguments,
        label="Making variants",
        out=out,
        shape=_with_measurements,
        proof=_proofs,
    )


def _whole_catalog(
    flags: GlobalFlags,
    output: Output,
    catalog: Path,
    result: Path | None,
    model: str | None,
    out: Path | None,
) -> None:
    from server.catalog import mistaken_columns, read_catalog, run_catalog

    rows = read_catalog(catalog)
    for mistake in mistaken_columns(rows):
        output.note(f"Note: {mistake}")
    target = result or catalog.with_name(f"{catalog.stem}-result.csv")
    failures: list[int] = []

    async def work(studio: Studio, bars: Bars) -> None:
        started = time.monotonic()
        bars.start(f"{len(rows)} rows")
        found = await run_catalog(
            studio,
            rows,
            catalog.parent,
            target,
            out,
            lambda done, line: bars.show(done, len(rows), line),
        )
        bars.finish()
        failures.extend(number for number, _ in found.failed)
        output.emit(
            {
                "rows": len(rows),
                "done": found.done,
                "kept": found.kept,
                "failed": [{"row": number, "error": error} for number, error in found.failed],
                "warned": [{"row": number, "warning": said} for number, said in found.warned],
                "result": str(target),
                "seconds": round(time.monotonic() - started, 3),
            }
        )
        warned = f"{len(found.warned)} with warnings, " if found.warned else ""
        output.say(
            f"{found.done} made, {warned}{found.kept} kept from before, "
            f"{len(found.failed)} failed: {target}"
        )
        for number, warning in found.warned:
            output.note(f"  Row {number}: {warning}")
        for number, error in found.failed:
            output.note(f"  Row {number}: {error}")

    run_in_studio(flags.settings(model=model), output, work)
    if failures:
        raise typer.Exit(EXIT_FAILED)


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
    return {"masks": data.get("masks", []), "warnings": data.get("warnings", [])}


def _proofs(result: ToolResult) -> Mapping[str, str]:
    """Say of each variant, by image_id, how close its color came and what stayed."""
    data: Any = result.data
    found = {}
    for variant in data.variants:
        measured = variant.region_measurements or [
            each for each in (variant.measurements,) if each is not None
        ]
        if not measured:
            continue
        said = [f"delta E {m.achieved_delta_e:.2f} to {m.target}" for m in measured]
        if (change := measured[0].outside_max_change) is not None:
            said.append(
                "no byte outside the product changed"
                if change == 0
                else f"largest change outside the product {change}"
            )
        found[variant.image.image_id] = "; ".join(said)
    return found
