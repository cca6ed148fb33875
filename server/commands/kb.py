"""`agent-tools kb`: pictures into the knowledge base, and out of it by question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_tools.results import ToolResult
from agent_tools.studio import Studio
from server.commands.session import AsJson, call_tool, flags_of, run_in_studio
from server.console import EXIT_FAILED, Bars, Output

if TYPE_CHECKING:
    from kb_export.exporter import ExportReport

app = typer.Typer(
    help="Pictures into the knowledge base, and out by question.", no_args_is_help=True
)

Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="Such as folder:PATH, s3://bucket/prefix or dify:ID (docs/kb); else the default.",
    ),
]


@app.command()
def export(
    context: typer.Context,
    image_ids: Annotated[
        list[str] | None, typer.Argument(help="The pictures; all of the gallery if none is named.")
    ] = None,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Push pictures with captions into the knowledge base. Running it twice changes nothing.

    Ends with exit code 1 if some were not taken; the others are there.
    """
    output = Output(as_json=as_json)
    not_taken: list[Any] = []

    def shape(result: ToolResult, images: list[dict[str, Any]]) -> dict[str, Any]:
        data = result.data.model_dump(mode="json")
        not_taken.extend(data["failed"])
        return data

    call_tool(
        flags_of(context).settings(kb=target),
        output,
        "export_to_kb",
        {"image_ids": image_ids or None},
        label="Exporting",
        shape=shape,
        show=lambda result: output.say(result.text),
    )
    if not_taken:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def search(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="What a shopper would ask.")],
    limit: Annotated[int | None, typer.Option(help="At most this many pictures.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Stay silent below this score.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find the pictures that answer a question."""
    output = Output(as_json=as_json)

    def shape(result: ToolResult, images: list[dict[str, Any]]) -> dict[str, Any]:
        data = result.data.model_dump(mode="json")
        paths = {image["image_id"]: image["path"] for image in images}
        for hit in data["hits"]:
            output.say(f"{hit['score']:.2f}  {hit['image_id']}  {hit['caption']}")
            output.say(f"      {paths.get(hit['image_id'], '')}")
        if not data["hits"]:
            output.note("Nothing fits. Export pictures first, or ask with a lower --min-score.")
        return data

    call_tool(
        flags_of(context).settings(),
        output,
        "search_kb",
        {"question": question, "limit": limit, "min_score": min_score},
        label="Searching",
        shape=shape,
        show=lambda result: None,
    )


@app.command()
def status(context: typer.Context, target: Target = None, as_json: AsJson = False) -> None:
    """Show what is exported, what waits and what failed."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        found = studio.knowledge.status()
        output.emit({"status": asdict(found)})
        for target in found.targets:
            output.say(
                f"{target.target}: {target.done} done, {target.pending} pending, "
                f"{len(target.failed)} set aside"
            )
            for image_id, reason in target.failed:
                output.say(f"  set aside: {image_id}: {reason}")
        output.say(f"Local search: {found.indexed} pictures by {found.method}")

    run_in_studio(flags_of(context).settings(kb=target), output, work)


@app.command()
def approve(
    context: typer.Context,
    image_ids: Annotated[list[str], typer.Argument(help="The pictures you have looked at.")],
    as_json: AsJson = False,
) -> None:
    """Say that pictures show what their captions say. The next export puts them unchecked."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        studio.knowledge.approve(image_ids)
        output.emit({"approved": image_ids})
        output.say(f"Approved: {len(image_ids)}. Export again to put them.")

    run_in_studio(flags_of(context).settings(), output, work)


@app.command()
def retry(
    context: typer.Context,
    image_ids: Annotated[
        list[str] | None, typer.Argument(help="The pictures; all that were set aside if none.")
    ] = None,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Give pictures that were set aside another chance."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        bars.start("Exporting")
        knowledge = studio.knowledge
        outcome = await asyncio.to_thread(knowledge.retry, None, image_ids or None, bars.show)
        bars.finish()
        _tell(output, "retried", [outcome])

    run_in_studio(flags_of(context).settings(kb=target), output, work)


@app.command()
def remove(
    context: typer.Context,
    image_ids: Annotated[list[str], typer.Argument(help="The pictures to take out.")],
    target: Annotated[
        str | None,
        typer.Option("--target", help="Only from this knowledge base; else from every one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take pictures out of knowledge bases and the local index. The gallery keeps them."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        bars.start("Removing")
        knowledge = studio.knowledge
        if target is None:
            outcomes = await asyncio.to_thread(knowledge.remove_everywhere, image_ids, bars.show)
        else:
            outcomes = (await asyncio.to_thread(knowledge.remove, image_ids, None, bars.show),)
        bars.finish()
        _tell(output, "removed", outcomes)

    run_in_studio(flags_of(context).settings(kb=target), output, work)


def _tell(output: Output, what: str, outcomes: Sequence[ExportReport]) -> None:
    """Write what was done in each knowledge base.

    Raises:
        TargetUnavailable: if one could not be reached; its rows wait.
    """
    output.emit({what: [asdict(replace(outcome, problem=None)) for outcome in outcomes]})
    for outcome in outcomes:
        output.say(
            f"{outcome.target}: {len(outcome.put)} put, {len(outcome.deleted)} removed, "
            f"{outcome.pending} pending"
        )
        for image_id, reason in outcome.failed:
            output.say(f"  set aside: {image_id}: {reason}")
    if not outcomes:
        output.say("No knowledge base has them.")
    for outcome in outcomes:
        if outcome.problem is not None:
            raise outcome.problem
