"""A stdio server answers while the libraries that paint are still being imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stdio_peer import ROOT, started


def test_tools_are_listed_and_diagrams_drawn_while_the_model_library_loads(tmp_path: Path) -> None:
    # A torch whose import does not end until the test says so stands in for a slow disk.
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    library = tmp_path / "slow" / "torch"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text(f"open({str(gate)!r}).read()\n")
    with started(
        [sys.executable, "-m", "server.cli", "serve"],
        PYTHONPATH=f"{tmp_path / 'slow'}{os.pathsep}{ROOT}",
        AGENT_TOOLS_DATA=str(tmp_path / "data"),
    ) as peer:
        peer.greet()
        names = {tool["name"] for tool in peer.ask(2, "tools/list")["result"]["tools"]}
        assert {"generate_image", "draw_diagram"} <= names
        with gate.open("w"):  # returns when the server, loading, has opened the other end
            again = peer.ask(3, "tools/list")["result"]["tools"]
            assert {tool["name"] for tool in again} == names
            drawn = peer.call(4, "draw_diagram", {"source": "flowchart LR\n  A[Order] --> B[Ship]"})
            assert drawn["images"][0]["image_id"].startswith("img_")
