"""The command line: `agent-tools COMMAND`. Loads no torch and no boto3 before they are needed."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from agent_tools import __version__
from agent_tools.errors import AgentToolsError
from server.command_words import in_command_words
from server.commands import gallery, kb, models, persona, token, trust
from server.commands.demo import demo
from server.commands.diagram import diagram
from server.commands.doctor import doctor
from server.commands.find import find
from server.commands.picture import edit, generate
from server.commands.serve import serve
from server.commands.session import GlobalFlags
from server.commands.variants import variants
from server.console import EXIT_CODES_HELP, EXIT_FAILED, EXIT_USAGE, Output


class LogLevel(StrEnum):
    """How much is logged on stderr."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


app = typer.Typer(
    name="agent-tools",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog=EXIT_CODES_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, serve, generate, variants, edit, diagram, find, doctor):
    app.command()(command)
app.add_typer(persona.app, name="persona")
app.add_typer(gallery.app, name="gallery")
app.add_typer(kb.app, name="kb")
app.add_typer(models.app, name="models")
app.command("replay")(gallery.replay_)
app.command()(trust.verify)
app.add_typer(trust.certificate, name="certificate")
app.add_typer(token.app, name="token")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"agent-tools {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Folder of gallery and knowledge base.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    model: Annotated[
        str | None, typer.Option(help="'starter', a diffusers folder, or a hub id.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="'cpu', 'cuda', ...")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="How much to log.")] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Picture tools for LLM agents: paint, recolor, draw, and keep what is good.

    Every setting can also stand in agent-tools.toml or the environment (AGENT_TOOLS_MODEL, ...).
    """
    context.obj = GlobalFlags(
        data=data,
        config=config,
        model=model,
        device=device,
        threads=threads,
        log_level=log_level.value if log_level else None,
    )


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; every error ends as one clear line."""
    output = Output(as_json="--json" in arguments)
    try:
        code = app(arguments, prog_name="agent-tools", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except AgentToolsError as error:
        in_command_words(error, *_command_of(arguments))
        return output.fail(error)
    except BrokenPipeError:
        # The reader went away (`agent-tools gallery list | head`): not our failure. Python would
        # complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's usage errors, its own or click's
            # Without any argument typer has shown the help already and has nothing to add.
            return output.fail(_usage_error(error)) if str(error) else EXIT_USAGE
        if os.environ.get("AGENT_TOOLS_LOG_LEVEL") == "debug" or "debug" in arguments:
            raise
        return output.fail(
            AgentToolsError(
                f"Internal error: {type(error).__name__}: {error}",
                code="internal",
                hint="Run again with --log-level debug before the command for the traceback.",
            )
        )


def main() -> None:
    """Run the command of sys.argv."""
    for library in ("TRANSFORMERS", "DIFFUSERS"):  # advice for programmers, not for our users
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    sys.exit(run(sys.argv[1:]))


def _command_of(arguments: list[str]) -> tuple[Any, str]:
    """Return the command that was run, and what was typed for it."""
    command: Any = typer.main.get_command(app)
    path = "agent-tools"
    for word in arguments:
        if (inner := getattr(command, "commands", {}).get(word)) is not None:
            command, path = inner, f"{path} {word}"
    return command, path


def _usage_error(error: Exception) -> AgentToolsError:
    context = getattr(error, "ctx", None)
    name = getattr(context, "command_path", "agent-tools")
    assert hasattr(error, "format_message")
    return AgentToolsError(
        error.format_message(), code="usage", hint=f"See {name} --help for what it takes."
    )


if __name__ == "__main__":
    main()
