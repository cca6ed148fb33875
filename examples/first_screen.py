"""Make the picture at the top of the README by the commands that are printed below it.

    python examples/first_screen.py [--out docs/pictures/first-screen.webp]

The commands are read from the README itself and run as they stand, in a fresh data folder, with
the starter model; what each one made is laid on one sheet.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SHEET = ROOT / "docs" / "pictures" / "first-screen.webp"
MARK = "<!-- examples/first_screen.py runs these commands -->"
WIDTH, MARGIN, FACE = 1252, 20, 216


def commands() -> list[list[str]]:
    """Return the README's commands, each as its words."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(re.escape(MARK) + r"\n```sh\n(.*?)```", readme, re.DOTALL)
    if block is None:
        sys.exit(f"README.md has no block of commands below {MARK}")
    lines = block[1].replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def made_by(command: list[str], data: Path) -> list[Path]:
    """Run one command; return the pictures that it says it made."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith("AGENT_TOOLS_")}
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", *command[1:]],
        cwd=ROOT,
        env={**settings, "AGENT_TOOLS_DATA": str(data)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = (Path(line) for line in done.stdout.splitlines() if not line.startswith(" "))
    return [path for path in lines if path.suffix == ".png" and path.is_file()]


def lay_out(variants: Path, faces: list[Path], diagram: Path) -> Image.Image:
    """Put the sheet of variants above the faces and the diagram."""
    top = Image.open(variants).convert("RGB")
    room = (WIDTH - 3 * MARGIN - len(faces) * (FACE + MARGIN), FACE)
    chart = Image.open(diagram).convert("RGB")
    chart.thumbnail(room, Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (WIDTH, top.height + FACE + 2 * MARGIN), "white")
    sheet.paste(top, (0, 0))
    y = top.height + MARGIN // 2
    for place, face in enumerate(faces):
        picture = Image.open(face).convert("RGB").resize((FACE, FACE), Image.Resampling.LANCZOS)
        sheet.paste(picture, (MARGIN + place * (FACE + MARGIN), y))
    left = WIDTH - MARGIN - room[0] + (room[0] - chart.width) // 2
    sheet.paste(chart, (left, y + (FACE - chart.height) // 2))
    return sheet


def main() -> None:
    """Run the commands and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SHEET)
    out = parser.parse_args().out
    pictures: dict[str, list[Path]] = {}
    with tempfile.TemporaryDirectory(prefix="first-screen-") as folder:
        for command in commands():
            print(shlex.join(command), flush=True)
            pictures.setdefault(command[1], []).extend(made_by(command, Path(folder)))
        sheet = lay_out(pictures["variants"][0], pictures["persona"], pictures["diagram"][0])
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, quality=88, method=6)
    print(out)


if __name__ == "__main__":
    main()
