"""`agent-tools models`: what can paint here; look closer, fetch, choose."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_tools.errors import InvalidArguments, NotFound, as_agent_tools_error
from agent_tools.settings import CONFIG_FILE, load_settings
from server.commands.session import AsJson, Model, flags_of
from server.console import Output

if TYPE_CHECKING:
    from engine.registry import ModelSpec

app = typer.Typer(help="What can paint here: list, show, pull, set.", invoke_without_command=True)
Name = Annotated[str, typer.Argument(help="A known name, a folder, or owner/name@commit.")]
_USE = {
    True: "commercial use allowed",
    False: "commercial use restricted: accept the license first",
    None: "license not known",
}


@app.callback()
def list_models(context: typer.Context, model: Model = None, as_json: AsJson = False) -> None:
    """List the known models: license, steps, size; the chosen one has a star.

    Any other diffusers folder or hub id works too: agent-tools generate PROMPT --model FOLDER.
    """
    if context.invoked_subcommand is not None:
        return
    from engine.registry import KNOWN_MODELS, find_model

    output = Output(as_json=as_json)
    chosen = flags_of(context).settings(model=model).model
    known = find_model(chosen)
    listed = [_described(spec) | {"chosen": spec is known} for spec in KNOWN_MODELS]
    output.emit({"models": listed, "chosen": chosen})
    for row in listed:
        restricted = "  (restricts commercial use)" if row["commercial"] is False else ""
        output.say(
            f"{'*' if row['chosen'] else ' '} {row['name']:<30} {row['size']:>4} px "
            f"{row['steps']:>3} steps  {row['license']}{restricted}"
        )
    if known is None:
        output.say(f"* {chosen}")


@app.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Say what a model can do, what it may be used for, and whether it is here."""
    from engine.registry import models_serving
    from engine.request import MODES

    output = Output(as_json=as_json)
    spec, here = _look_up(name)
    cannot = {
        mode: [other for other in models_serving(mode) if other != spec.name][:3]
        for mode in MODES
        if mode not in spec.modes and mode != "upscale"
    }
    row = _described(spec) | {"here": here, "cannot": cannot}
    output.emit(row)
    lines = {
        "family": f"{spec.family.name} ({', '.join(dict.fromkeys(spec.family.classes.values()))})",
        "text": spec.family.text_encoder,
        "ways": ", ".join(spec.modes),
        "defaults": f"{spec.steps} steps, guidance {spec.guidance:g}, {spec.size} px",
        "license": f"{spec.license} ({_USE[spec.commercial]})",
        "memory": "not known" if spec.memory_gb is None else f"about {spec.memory_gb:g} GB",
        "here": here or f"no; fetch it with: agent-tools models pull {spec.source}@COMMIT",
    }
    output.say(spec.name)
    for label, value in lines.items():
        output.say(f"  {label:<9} {value}")
    for mode, others in cannot.items():
        able = f"; {', '.join(others)} can" if others else ""
        output.say(f"  not       {mode}{able}")


@app.command()
def pull(
    context: typer.Context,
    name: Name,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="You may use it under its license.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a hub model, pinned to a commit, and check it; what is here already is not fetched."""
    from engine.hub import fetch, pinned
    from engine.registry import find_model
    from engine.sources import check_folder, require_license

    output = Output(as_json=as_json)
    try:
        hub_id, commit = pinned(name)
        known = find_model(name)
        if known is not None and not accept_license:
            require_license(known, flags_of(context).settings().accept_license)
        folder = fetch(hub_id, commit, show=not as_json)
        source = check_folder(folder, hub_id, known)
    except Exception as error:
        raise as_agent_tools_error(error) or error from None
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    chosen = f"{hub_id}@{commit}"
    output.emit({"model": chosen, "folder": str(folder), "bytes": size, "name": source.spec.name})
    output.say(f"{source.spec.name} is here: {size / 1e9:.2f} GB, {_USE[source.spec.commercial]}.")
    output.say(f"Choose it with: agent-tools models set {chosen}")


@app.command(name="set")
def choose(
    context: typer.Context,
    name: Name,
    as_json: AsJson = False,
) -> None:
    """Write the model into the settings file; the rest of the file stays as it is."""
    from engine.hub import pinned
    from engine.registry import find_model
    from engine.sources import check_folder, require_license

    output = Output(as_json=as_json)
    flags = flags_of(context)
    file = flags.config or Path(CONFIG_FILE)
    settings = flags.settings()
    known = find_model(name)
    folder = Path(name).expanduser()
    try:
        if known is not None:
            require_license(known, settings.accept_license)
        if name.strip() and folder.is_dir():
            name = str(folder.resolve())
            check_folder(folder, folder.resolve().name)
        elif known is None or known.source != "starter":
            hub_id, commit = pinned(name)
            name = f"{hub_id}@{commit}"
    except Exception as error:
        raise as_agent_tools_error(error) or error from None
    before = settings.model
    _write(file, name)
    # What was written must be read again as it was meant.
    now = load_settings({}, config=file, environ={}).model
    output.emit({"file": str(file), "model": now, "before": before})
    output.say(f"{file}: model = {now} (was {before}).")


def _described(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "source": spec.source,
        "family": spec.family.name,
        "license": spec.license,
        "commercial": spec.commercial,
        "steps": spec.steps,
        "size": spec.size,
        "modes": list(spec.modes),
        "memory_gb": spec.memory_gb,
    }


def _look_up(name: str) -> tuple[ModelSpec, str | None]:
    """Return a model's spec and where it is on this machine.

    Raises:
        NotFound: with near names.
    """
    from engine.hub import cached_revisions
    from engine.registry import KNOWN_MODELS, find_model
    from engine.sources import STARTER_WEIGHTS, check_folder

    folder = Path(name).expanduser()
    if name.strip() and folder.is_dir():
        try:
            return check_folder(folder, folder.resolve().name).spec, str(folder.resolve())
        except Exception as error:
            raise as_agent_tools_error(error) or error from None
    spec = find_model(name)
    if spec is None:
        names = [known.name for known in KNOWN_MODELS]
        lowered = {known.lower(): known for known in names}
        near = difflib.get_close_matches(name.lower(), lowered, 3, 0.5)
        raise NotFound(
            f"There is no known model '{name[:80]}'.",
            hint=f"Did you mean {', '.join(lowered[one] for one in near)}?"
            if near
            else "See them with: agent-tools models.",
        )
    if spec.source == "starter":
        return spec, str(STARTER_WEIGHTS)
    commits = cached_revisions(spec.source)
    return spec, f"commit {', '.join(commits)} in the hub's cache" if commits else None


def _write(file: Path, model: str) -> None:
    """Set `model` in a TOML file, at its top if it is not there yet."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if any(character in model for character in '\n\r"\\'):
        raise InvalidArguments("The model's name has a character that settings cannot hold.")
    line = f'model = "{model}"'
    lines = text.splitlines()
    # Names below the first table header would belong to that table.
    tables = [number for number, old in enumerate(lines) if old.lstrip().startswith("[")]
    top = tables[0] if tables else len(lines)
    for number, old in enumerate(lines[:top]):
        if re.match(r"\s*model\s*=", old):
            comment = re.search(r"\s+#[^\"']*$", old)
            lines[number] = line + (comment[0] if comment else "")
            break
    else:
        lines.insert(0, line)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
