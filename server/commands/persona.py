"""`agent-tools persona`: people who look the same every time; painting, choosing, packing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from agent_tools.errors import InvalidArguments
from agent_tools.results import ToolResult
from agent_tools.studio import Studio
from server.commands import persona_keeping
from server.commands.session import (
    AsJson,
    Model,
    OutDir,
    call_tool,
    copy_picture,
    flags_of,
    open_picture,
    run_in_studio,
    take_in,
)
from server.console import Bars, Output

app = typer.Typer(help="Fictional people who look the same every time.", no_args_is_help=True)
app.add_typer(persona_keeping.app)


Expression = Annotated[
    str | None,
    typer.Option(help="neutral, smiling, thinking, apologetic, celebrating, surprised, sad."),
]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the persona is called.")],
    description: Annotated[str | None, typer.Argument(help="How the persona looks.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="Part of the look, e.g. hair_color=red; repeat.")
    ] = None,
    style: Annotated[str | None, typer.Option(help="How it is drawn, e.g. watercolor.")] = None,
    expression: Expression = None,
    count: Annotated[int | None, typer.Option(help="Candidates to choose from, 1 to 4.")] = None,
    face: Annotated[
        str | None, typer.Option(help="A picture that shall be its face: file or image_id.")
    ] = None,
    consent: Annotated[
        str | None, typer.Option(help="For a real person: who consented to what, and when.")
    ] = None,
    model: Model = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a persona and paint its first avatar, or candidates to choose from.

    Example: agent-tools persona create Mira "a woman with short black hair and round glasses"
    --count 4
    """

    def arguments(studio: Studio) -> dict[str, Any]:
        return {
            "name": name,
            "description": description,
            "attributes": _attributes(attribute or []) or None,
            "style": style,
            "expression": expression,
            "count": count,
            "from_image_id": None if face is None else take_in(studio, face, title=name),
            "consent": consent,
        }

    _draw(context, arguments, model=model, out=out, as_json=as_json)


@app.command()
def draw(
    context: typer.Context,
    persona_id: Annotated[str, typer.Argument(help="From persona create or persona list.")],
    expression: Expression = None,
    background: Annotated[str | None, typer.Option(help="Another one, e.g. mint.")] = None,
    outfit: Annotated[str | None, typer.Option(help="Other clothes, e.g. 'blue suit'.")] = None,
    pose: Annotated[str | None, typer.Option(help="Not with the starter model.")] = None,
    from_image: Annotated[
        str | None, typer.Option(help="Derive from this picture of the persona (image_id).")
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many pictures, 1 to 4.")] = None,
    index: Annotated[int | None, typer.Option(help="Another number is another try.")] = None,
    model: Model = None,
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Paint a stored persona again, derived from its canonical picture.

    Example: agent-tools persona draw per_mira_0123456789 --expression smiling --background mint
    """
    arguments = {
        "persona_id": persona_id,
        "expression": expression,
        "background": background,
        "outfit": outfit,
        "pose": pose,
        "from_image_id": from_image,
        "count": count,
        "index": index,
    }
    _draw(context, arguments, model=model, out=out, as_json=as_json)


@app.command()
def lock(
    context: typer.Context,
    persona_id: Annotated[str, typer.Argument(help="The persona.")],
    image_id: Annotated[str, typer.Argument(help="The candidate that becomes its face for good.")],
    as_json: AsJson = False,
) -> None:
    """Choose the canonical picture among the candidates."""
    arguments = {"persona_id": persona_id, "lock_image_id": image_id}
    _draw(context, arguments, model=None, out=None, as_json=as_json)


@app.command()
def pack(
    context: typer.Context,
    persona_id: Annotated[str, typer.Argument(help="The persona.")],
    out: OutDir = None,
    as_json: AsJson = False,
) -> None:
    """Make its avatar in every size that platforms ask for, as one zip, and check each file.

    Ends with exit code 1 if a check fails, after saying which. Example: agent-tools persona pack
    per_mira_0123456789 --out icons
    """
    output = Output(as_json=as_json)
    failed: list[str] = []

    def shape(result: ToolResult, images: list[dict[str, Any]]) -> dict[str, Any]:
        from agent_tools.persona_packs import pack_path

        data = result.data.model_dump(mode="json")
        failed.extend(data["failed"])
        path = pack_path(settings.data, persona_id, data["pack_id"])
        if out is not None:
            path = copy_picture(path, data["pack_id"], f"{persona_id} avatar pack", out)
        output.say(str(path))
        for check in data["files"]:
            word = "FAILED" if check["path"] in failed else "ok"
            output.say(
                f"  {word:<6} {check['path']:<36} {check['width']}x{check['height']}, "
                f"{check['bytes'] / 1000:.1f} KB, edge {check['edge_on_light']:.0f} on light, "
                f"{check['edge_on_dark']:.0f} on dark"
            )
        return {name: value for name, value in data.items() if name != "images"} | {
            "path": str(path)
        }

    settings = flags_of(context).settings()
    call_tool(
        settings,
        output,
        "create_avatar_pack",
        {"persona_id": persona_id},
        label="Packing the avatar",
        out=out,
        shape=shape,
    )
    if failed:
        raise typer.Exit(1)


@app.command()
def check(
    context: typer.Context,
    persona_id: Annotated[str, typer.Argument(help="The persona.")],
    picture: Annotated[str, typer.Argument(help="A picture: image_id or file.")],
    as_json: AsJson = False,
) -> None:
    """Measure how alike a picture is to the persona's canonical one.

    Ends with exit code 1 if it may show someone else.
    """
    output = Output(as_json=as_json)
    found: list[str] = []

    async def work(studio: Studio, bars: Bars) -> None:
        from agent_tools.likeness import likeness, verdict

        persona = studio.personas.get(persona_id)
        canonical = studio.gallery.open_image(persona.canonical_image_id or "")
        value = likeness(canonical, open_picture(studio, picture))
        found.append(verdict(value))
        output.emit({"persona_id": persona_id, "similarity": value, "verdict": found[0]})
        output.say(f"{value:.3f}  {found[0]}")

    run_in_studio(flags_of(context).settings(), output, work)
    if found != ["same"]:
        raise typer.Exit(1)


def _attributes(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not value:
            raise InvalidArguments(
                f"'{pair[:60]}' is not NAME=VALUE.", hint="For example hair_color=red."
            )
        found[name.strip()] = value.strip()
    return found


def _draw(
    context: typer.Context,
    arguments: Callable[[Studio], Mapping[str, Any]] | Mapping[str, Any],
    *,
    model: str | None,
    out: Any,
    as_json: bool,
) -> None:
    output = Output(as_json=as_json)

    def shape(result: ToolResult, images: list[dict[str, Any]]) -> dict[str, Any]:
        data = result.data.model_dump(mode="json")
        persona: dict[str, Any] = data["persona"]
        locked = "locked" if persona["locked"] else "not locked"
        output.say(f"{persona['persona_id']}  {persona['name']} ({locked})")
        for image, value, word in zip(images, data["similarity"], data["verdicts"], strict=True):
            image |= {"similarity": value, "verdict": word}
        return {"persona": persona, "created": data["created"]}

    call_tool(
        flags_of(context).settings(model=model),
        output,
        "create_persona_avatar",
        arguments,
        label="Painting the persona",
        out=out,
        shape=shape,
    )
