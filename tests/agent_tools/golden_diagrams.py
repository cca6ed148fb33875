"""Where every label of the golden diagrams is; run this file to write it anew after looking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diagram_specs import FURTHER, SPECS

from agent_tools.diagrams.render import Drawing, render

FILE = Path(__file__).with_name("golden_diagrams.json")
GOLDEN = {**SPECS, **FURTHER}


def outline(drawing: Drawing) -> dict[str, Any]:
    """Return size and label boxes in whole user units."""
    return {
        "size": [round(side) for side in drawing.size],
        "labels": [[label.text, *(round(edge) for edge in label.box)] for label in drawing.labels],
    }


if __name__ == "__main__":
    found = {name: outline(render(text, scale=1)) for name, text in GOLDEN.items()}
    rows = (f"{json.dumps(n)}: {json.dumps(o, ensure_ascii=False)}" for n, o in found.items())
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
