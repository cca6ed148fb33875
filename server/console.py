"""What a command shows: progress on stderr, results on stdout, errors with the next step.

With `--json` stdout carries exactly one JSON object, also when the command fails.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape

from agent_tools.errors import (
    AgentToolsError,
    BadSettings,
    InvalidArguments,
    NotFound,
    Overloaded,
    Refused,
)
from agent_tools.tools.base import Progress as ReportProgress
from agent_tools.tools.base import ProgressEvent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_REFUSED = 4
EXIT_UNAVAILABLE = 5
EXIT_CANCELLED = 130

_EXIT_CODES = {
    "usage": EXIT_USAGE,
    "invalid_request": EXIT_USAGE,
    "unsupported_mode": EXIT_USAGE,
    "bad_picture": EXIT_USAGE,
    "bad_kb_target": EXIT_USAGE,
    "diagram_syntax": EXIT_USAGE,
    "diagram_too_large": EXIT_USAGE,
    "license_not_accepted": EXIT_REFUSED,
    "diagram_refused": EXIT_REFUSED,
    "model_not_loaded": EXIT_UNAVAILABLE,
    "out_of_memory": EXIT_UNAVAILABLE,
    "engine_closed": EXIT_UNAVAILABLE,
    "kb_unavailable": EXIT_UNAVAILABLE,
    "data_directory": EXIT_UNAVAILABLE,
    "address": EXIT_UNAVAILABLE,
    "unavailable": EXIT_UNAVAILABLE,
    "cancelled": EXIT_CANCELLED,
}
_EXIT_BY_KIND = (
    (InvalidArguments, EXIT_USAGE),
    (BadSettings, EXIT_USAGE),
    (NotFound, EXIT_NOT_FOUND),
    (Refused, EXIT_REFUSED),
    (Overloaded, EXIT_UNAVAILABLE),
)
EXIT_CODES_HELP = (
    "Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 not found, 4 refused, "
    "5 busy or unavailable, 130 cancelled."
)


def exit_code(error: AgentToolsError) -> int:
    """Return the documented exit code of an error."""
    if error.code in _EXIT_CODES:
        return _EXIT_CODES[error.code]
    for kind, code in _EXIT_BY_KIND:
        if isinstance(error, kind):
            return code
    return EXIT_UNAVAILABLE if error.retryable else EXIT_FAILED


def counted(number: int, noun: str) -> str:
    """Return "1 pack" or "2 packs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def readable(fields: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield lines for people: a field each, what it holds indented below it, empty ones left out.

    Times (names that end in _at, seconds since the epoch) are local.
    """
    for name, value in fields.items():
        label = f"{indent}{name.replace('_', ' ')}:"
        if value in (None, "", [], {}):
            continue
        if isinstance(value, Mapping):
            yield label
            yield from readable(value, f"{indent}  ")
        elif isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
            yield label
            for number, one in enumerate(value, start=1):
                yield from readable({str(number): one}, f"{indent}  ")
        elif isinstance(value, list | tuple):
            yield f"{label} {', '.join(map(str, value))}"
        elif isinstance(value, float) and name.endswith("_at"):
            yield f"{label} {time.strftime('%Y-%m-%d %H:%M', time.localtime(value))}"
        elif isinstance(value, bool):
            yield f"{label} {'yes' if value else 'no'}"
        else:
            yield f"{label} {value}"


class Output:
    """Where one command writes.

    Attributes:
        as_json: whether stdout carries one JSON object instead of lines for people.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._stderr = Console(stderr=True, highlight=False)

    def say(self, line: str) -> None:
        """Write one line for people on stdout; silent with `--json`."""
        if not self.as_json:
            print(line, flush=True)

    def note(self, line: str) -> None:
        """Write one line beside the result, on stderr."""
        self._stderr.print(escape(line), soft_wrap=True)

    def confirms(self, question: str) -> bool:
        """Return whether somebody says yes; nobody is asked with `--json` or without a terminal."""
        if self.as_json:
            return False
        try:
            return typer.confirm(question, err=True)
        except typer.Abort:  # the end of what can be read, or Ctrl-C
            return False

    def emit(self, data: Mapping[str, Any]) -> None:
        """Write the command's one JSON object on stdout; silent without `--json`."""
        if self.as_json:
            json.dump(data, sys.stdout, ensure_ascii=False, indent=2)
            sys.stdout.write("\n")
            sys.stdout.flush()

    def fail(self, error: AgentToolsError) -> int:
        """Show an error and return the exit code that belongs to it."""
        self._stderr.print(f"[red]Error:[/red] {escape(error.message)}", soft_wrap=True)
        if error.hint:
            self._stderr.print(f"[dim]{escape(error.hint)}[/dim]", soft_wrap=True)
        self.emit(
            {
                "error": {
                    "code": error.code,
                    "message": error.message,
                    "hint": error.hint,
                    **({"data": error.data} if error.data else {}),
                }
            }
        )
        return exit_code(error)

    @contextmanager
    def bars(self) -> Iterator[Bars]:
        """Show progress bars on stderr while calls run; nothing unless it is a terminal."""
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn(
                "{task.description}",
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=self._stderr,
            expand=True,
            transient=True,
            disable=not self._stderr.is_terminal,
            # Without this, rich would print our stdout on stderr's terminal while a bar is shown.
            redirect_stdout=False,
        )
        try:
            yield Bars(progress)
        finally:
            progress.stop()


class Bars:
    """Progress bars, one for each call that is under way."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def start(self, label: str) -> None:
        """Begin the bar of the next call."""
        self.finish()
        self._progress.start()
        self._task = self._progress.add_task(escape(label), total=None)

    def show(self, done: float, total: float | None, message: str | None) -> None:
        """Move the current bar."""
        if self._task is None:
            self.start(message or "")
        assert self._task is not None
        self._progress.update(self._task, completed=done, total=total)
        if message:
            self._progress.update(self._task, description=escape(message))

    def finish(self) -> None:
        """Take the current bar away, so that results can be written to the same terminal."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
            self._progress.stop()

    def reporter(self, label: str) -> ReportProgress:
        """Return the progress function of one call in this process."""
        self.start(label)

        async def report(event: ProgressEvent) -> None:
            self.show(event.done, event.total, event.message)

        return report
