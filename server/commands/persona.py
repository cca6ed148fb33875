"""`agent-tools persona`: fictional people who look the same every time."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agent_tools.results import ToolResult
from agent_tools.studio import Studio
from server.commands.session import (
    AsJson,
    Model,
    OutDir,
    call_tool,
    flags_of,
    run_in_studio,
)
from server.console import Bars, Output

app = typer.Typer(help="Fictional people who look the same every time.", no_args_is_help=True)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the persona is called.")],
    description: Annotated[str, typer.Argument(help="How the persona looks.")],
    expression: Annotated[str | None, typer.Option(help="neutral, smiling, ...")] = None,
    model: Model = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a persona and paint its first avatar.

    Example: agent-tools persona create Mira "a woman with short black hair and round glasses"
    """
    _draw(
        context,
        {"name": name, "description": description, "expression": expression},
        model=model,
        out=out,
        as_json=as_json,
    )


@app.command()
def draw(
    context: typer.Context,
    persona_id: Annotated[str, typer.Argument(help="From persona create or persona list.")],
    expression: Annotated[str | None, typer.Option(help="neutral, smiling, ...")] = None,
    count: Annotated[int | None, typer.Option(help="How many pictures, 1 to 4.")] = None,
    index: Annotated[int | None, typer.Option(help="Another number is another try.")] = None,
    model: Model = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Paint a stored persona again.

    Example: agent-tools persona draw per_mira_0123456789 --expression smiling
    """
    _draw(
        context,
        {"persona_id": persona_id, "expression": expression, "count": count, "index": index},
        model=model,
        out=out,
        as_json=as_json,
    )


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the stored personas."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        personas = studio.personas.list()
        output.emit({"personas": [persona.model_dump(mode="json") for persona in personas]})
        for persona in personas:
            output.say(f"{persona.persona_id}  {persona.name}: {persona.description}")
        if not personas:
            output.note("No personas yet. Create one: agent-tools persona create NAME DESCRIPTION")

    run_in_studio(flags_of(context).settings(), output, work)


def _draw(
    context: typer.Context,
    arguments: dict[str, Any],
    *,
    model: str | None,
    out: Any,
    as_json: bool,
) -> None:
    output = Output(as_json=as_json)

    def shape(result: ToolResult, images: list[dict[str, Any]]) -> dict[str, Any]:
        data = result.data.model_dump(mode="json")
        persona: dict[str, Any] = data["persona"]
        output.say(f"{persona['persona_id']}  {persona['name']}")
        return {"persona": persona}

    call_tool(
        flags_of(context).settings(model=model),
        output,
        "create_persona_avatar",
        arguments,
        label="Painting the persona",
        out=out,
        shape=shape,
    )
