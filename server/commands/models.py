"""`agent-tools models`: what can paint here."""

from __future__ import annotations

from typing import Any

import typer

from server.commands.session import AsJson, Model, flags_of
from server.console import Output


def models(context: typer.Context, model: Model = None, as_json: AsJson = False) -> None:
    """List the known models: license, steps, size; the chosen one has a star.

    Any other diffusers folder or hub id works too: agent-tools generate PROMPT --model FOLDER.
    """
    from engine.registry import KNOWN_MODELS, find_model

    output = Output(as_json=as_json)
    chosen = flags_of(context).settings(model=model).model
    known = find_model(chosen)
    listed: list[dict[str, Any]] = [
        {
            "name": spec.name,
            "source": spec.source,
            "family": spec.family.name,
            "license": spec.license,
            "commercial": spec.commercial,
            "steps": spec.steps,
            "size": spec.size,
            "modes": list(spec.modes),
            "memory_gb": spec.memory_gb,
            "chosen": spec is known,
        }
        for spec in KNOWN_MODELS
    ]
    output.emit({"models": listed, "chosen": chosen})
    for row in listed:
        use = {True: "", False: "  (restricts commercial use: accept it first)", None: ""}[
            row["commercial"]
        ]
        output.say(
            f"{'*' if row['chosen'] else ' '} {row['name']:<30} {row['size']:>4} px "
            f"{row['steps']:>3} steps  {row['license']}{use}"
        )
    if known is None:
        output.say(f"* {chosen}")
