"""`agent-tools persona`, continued: who there is, changing and moving and deleting them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_tools.errors import AgentToolsError, InvalidArguments
from agent_tools.studio import Studio
from server.commands.session import AsJson, flags_of, read_file, record_object, run_in_studio
from server.console import Bars, Output, counted, readable

if TYPE_CHECKING:
    from agent_tools.removal import Removed

app = typer.Typer()
_MAX_IMPORT_BYTES = 200_000_000
PersonaId = Annotated[str, typer.Argument(help="From persona list.")]


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the stored personas."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        personas = studio.personas.list()
        output.emit({"personas": [persona.model_dump(mode="json") for persona in personas]})
        for persona in personas:
            state = "locked" if persona.locked else "not locked"
            output.say(f"{persona.persona_id}  {persona.name} ({state}): {persona.description}")
        if not personas:
            output.note("No personas yet. Create one: agent-tools persona create NAME DESCRIPTION")

    run_in_studio(flags_of(context).settings(), output, work)


@app.command()
def show(context: typer.Context, persona_id: PersonaId, as_json: AsJson = False) -> None:
    """Show one persona and its pictures."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        from agent_tools.persona_design import pictures_of

        persona = studio.personas.get(persona_id).model_dump(mode="json")
        records = pictures_of(studio.gallery, persona_id)
        images = [record_object(record) | {"metadata": record.metadata} for record in records]
        output.emit({"persona": persona, "images": images})
        for line in readable(persona):
            output.say(line)
        for record in records:
            output.say(f"{record.image_id}  {record.title}")

    run_in_studio(flags_of(context).settings(), output, work)


@app.command()
def edit(
    context: typer.Context,
    persona_id: PersonaId,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    consent: Annotated[
        str | None, typer.Option(help="A real person is shown: who consented to what, and when.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a persona's name or consent note; its look and face stay.

    Pictures that are there keep the words they have; new ones get the new words.
    """
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        from agent_tools.persona_design import edited

        persona = edited(studio, persona_id, name=name, consent=consent)
        output.emit({"persona": persona.model_dump(mode="json")})
        output.say(f"{persona.persona_id}  {persona.name}")

    run_in_studio(flags_of(context).settings(), output, work)


@app.command()
def export(
    context: typer.Context,
    persona_id: PersonaId,
    file: Annotated[Path, typer.Argument(help="The zip to write.")],
    as_json: AsJson = False,
) -> None:
    """Write a persona with all its pictures into one zip (JSON and pictures)."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        from agent_tools.persona_files import export_persona

        data = await asyncio.to_thread(export_persona, studio, persona_id)
        try:
            file.write_bytes(data)
        except OSError as error:
            raise AgentToolsError(
                f"Cannot write {file}: {error.strerror or error}.", code="unavailable"
            ) from error
        output.emit({"persona_id": persona_id, "path": str(file.absolute()), "bytes": len(data)})
        output.say(str(file.absolute()))

    run_in_studio(flags_of(context).settings(), output, work)


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A zip that persona export wrote.")],
    as_json: AsJson = False,
) -> None:
    """Take in an exported persona with its pictures."""
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        from agent_tools.persona_files import import_persona

        data = read_file(file, _MAX_IMPORT_BYTES)
        if len(data) > _MAX_IMPORT_BYTES:
            raise InvalidArguments(f"{file} is larger than {_MAX_IMPORT_BYTES // 10**6} MB.")
        persona = await asyncio.to_thread(import_persona, studio, data)
        output.emit({"persona": persona.model_dump(mode="json")})
        output.say(f"{persona.persona_id}  {persona.name}")

    run_in_studio(flags_of(context).settings(), output, work)


@app.command()
def delete(
    context: typer.Context,
    persona_id: PersonaId,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a persona and everything made from it, also in knowledge bases.

    A knowledge base that cannot be reached now gets its removals with the next export.
    """
    output = Output(as_json=as_json)

    async def work(studio: Studio, bars: Bars) -> None:
        from agent_tools.removal import derived_pictures, remove_persona

        count = len(derived_pictures(studio, persona_id))
        pictures = counted(count, "picture")
        if not yes and not output.confirms(f"Delete {persona_id}, {pictures}?"):
            raise InvalidArguments(
                "Nothing was deleted.", hint="Give --yes to delete without being asked."
            )
        removed = await asyncio.to_thread(remove_persona, studio, persona_id)
        report = _report(removed)
        output.emit({"persona_id": persona_id} | report)
        output.say(
            f"Deleted {persona_id}: {pictures}, {counted(removed.packs, 'pack')}, "
            f"{counted(report['taken_back'], 'export')} taken back, "
            f"{report['waiting']} still to take back."
        )

    run_in_studio(flags_of(context).settings(), output, work)


def _report(removed: Removed) -> dict[str, Any]:
    return {
        "image_ids": list(removed.image_ids),
        "packs": removed.packs,
        "taken_back": sum(len(report.deleted) for report in removed.exports),
        "waiting": sum(report.pending for report in removed.exports),
        "failed": [list(pair) for report in removed.exports for pair in report.failed],
    }
