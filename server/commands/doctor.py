"""`agent-tools doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import typer

from server.commands.session import AsJson, Model, flags_of
from server.console import Output

_SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def doctor(context: typer.Context, model: Model = None, as_json: AsJson = False) -> None:
    """Check Python, torch, device, engine, weights, fonts, diagrams, data folder and encoder.

    Ends with exit code 1 if something is broken; warnings do not change it.
    """
    from server.doctor import examine

    output = Output(as_json=as_json)
    settings = flags_of(context).settings(model=model)
    with output.bars() as bars:
        bars.start("Examining")
        checks = examine(settings)
        bars.finish()
    failed = [check.name for check in checks if check.status == "fail"]
    output.emit(
        {
            "ok": not failed,
            "checks": [
                {
                    "name": check.name,
                    "status": check.status,
                    "detail": check.detail,
                    "hint": check.hint,
                }
                for check in checks
            ],
        }
    )
    width = max(len(check.name) for check in checks)
    for check in checks:
        output.say(f"{_SIGNS[check.status]}  {check.name:<{width}}  {check.detail}")
        if check.hint:
            output.say(f"      {'':<{width}}  -> {check.hint}")
    if failed:
        raise typer.Exit(1)
