"""`agent-tools verify` and `agent-tools certificate`: what a file says; signing what is made."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from agent_tools.errors import InvalidArguments
from agent_tools.image_record import IMAGE_ID
from agent_tools.studio import Studio
from server.commands.session import (
    FILE_OR_ID,
    AsJson,
    flags_of,
    read_file,
    run_in_studio,
)
from server.console import Bars, Output

certificate = typer.Typer(help="Certificates for content credentials.", no_args_is_help=True)


def verify(
    context: typer.Context,
    picture: Annotated[str, typer.Argument(help="A PNG, JPEG or WebP file, or an image_id.")],
    as_json: AsJson = False,
) -> None:
    """Tell what a picture says about itself: how it was made, who signed it, whether it is ours.

    Ends with exit code 1 if its signature does not fit the file.
    """
    output = Output(as_json=as_json)
    broken: list[bool] = []

    async def work(studio: Studio, bars: Bars) -> None:
        from agent_tools.verification import verify as look

        file, data = _bytes_of(studio, picture)
        found = look(studio.gallery, data)
        output.emit({"file": str(file), **found})
        mark, credentials, ours = (
            found[name] for name in ("mark", "content_credentials", "gallery")
        )
        output.say(f"sha256: {found['sha256']}")
        if mark is None:
            output.say("Mark (XMP): none; nothing in the file says how it was made.")
        else:
            output.say(f"Mark (XMP): made as {mark['source_type'] or 'not said'}")
            output.say(f"  caption: {mark['caption']}\n  alt: {mark['alt']}")
            output.say(f"  recipe: {mark['recipe_sha256'] or 'none'}")
        if credentials is None:
            output.say("Content credentials (C2PA): none")
        elif credentials["state"] == "unknown":
            output.say(f"Content credentials (C2PA): not read. {' '.join(credentials['problems'])}")
        else:
            signer = credentials.get("issuer") or "nobody known"
            output.say(f"Content credentials (C2PA): {credentials['state']}, signed by {signer}")
            for problem in credentials["problems"]:
                output.say(f"  {problem}")
            broken.append(credentials["state"] == "Invalid")
        if ours is None:
            output.say("Gallery: not known here")
            add = f"agent-tools gallery add {shlex.quote(str(file))}"
            output.note(f'Pictures that look like it: agent-tools find --like "$({add})"')
        else:
            output.say(f"Gallery: {ours['match'].replace('_', ' ')} as {ours['image_id']}")

    run_in_studio(flags_of(context).settings(), output, work)
    if any(broken):
        raise typer.Exit(1)


def _bytes_of(studio: Studio, picture: str) -> tuple[Path, bytes]:
    """Return the file that an argument names, and what is in it."""
    if IMAGE_ID.fullmatch(picture):
        file = studio.gallery.get(picture).path
        return file, studio.gallery.read_bytes(picture)
    file = Path(picture)
    limit = int(studio.settings.max_upload_mb * 1e6)
    data = read_file(file, limit, hint=FILE_OR_ID)
    if len(data) > limit:
        raise InvalidArguments(
            f"{file} is larger than {studio.settings.max_upload_mb:g} MB.",
            hint="Set max_upload_mb higher, or give a smaller picture.",
        )
    return file, data


@certificate.command()
def create(
    folder: Annotated[Path, typer.Argument(help="Where chain.pem, key.pem and root.pem go.")],
    name: Annotated[str, typer.Option(help="Who signs.")] = "agent-tools",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid.")] = 365,
    as_json: AsJson = False,
) -> None:
    """Make a certificate for development: it proves that files were not changed, not who you are.

    Example: agent-tools certificate create ./credentials
    """
    from agent_tools.certificates import create_certificate

    files = create_certificate(folder, name, days)
    output = Output(as_json=as_json)
    paths = {"c2pa_certificate": str(files.chain), "c2pa_key": str(files.key)}
    output.emit({**paths, "root": str(files.root)})
    for setting, path in paths.items():
        output.say(f'{setting} = "{path}"')
    output.note("Put these two lines into agent-tools.toml: every new picture is signed from then.")
