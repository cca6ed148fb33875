"""Handing over what a benchmark found: a JSON file always, then a table or the JSON itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def hand_over(
    found: dict[str, Any], out: Path, show: Callable[[dict[str, Any]], None], *, as_json: bool
) -> None:
    """Write `found` to `out` and print it.

    Args:
        found: the figures.
        out: the file, below benchmarks/out.
        show: prints them for people.
        as_json: print the JSON instead.
    """
    text = json.dumps(found, indent=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    if as_json:
        print(text)
    else:
        show(found)
