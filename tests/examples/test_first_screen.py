"""The README's first picture is what the commands below it make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.first_screen import ROOT, SHEET, commands

# Another processor rounds otherwise: faces may differ by a little, a color or a word by far more.
ALIKE = 4.0


def difference(first: Image.Image, second: Image.Image) -> float:
    """Return the mean difference of two pictures' pixels, 0 to 255."""
    pixels = (np.asarray(image.convert("RGB"), np.int16) for image in (first, second))
    return float(np.abs(np.subtract(*pixels)).mean())


@pytest.mark.slow
def test_the_commands_below_the_first_picture_make_it(tmp_path: Path) -> None:
    made = tmp_path / "sheet.webp"
    subprocess.run(
        [sys.executable, str(ROOT / "examples" / "first_screen.py"), "--out", str(made)], check=True
    )
    with Image.open(made) as fresh, Image.open(SHEET) as shown:
        assert fresh.size == shown.size
        assert difference(fresh, shown) < ALIKE
        assert difference(fresh, Image.eval(shown, lambda level: 255 - level)) > 10 * ALIKE


def test_the_first_screen_shows_the_three_tools() -> None:
    assert {command[1] for command in commands()} == {"variants", "persona", "diagram"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first_heading = readme.index("\n## ")
    assert readme.index("docs/pictures/first-screen.webp") < first_heading
    assert readme.index("agent-tools variants") < first_heading
