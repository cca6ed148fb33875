"""The real server in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
HTTP = (
    "from agent_tools.settings import load_settings; from server.app import serve_http; "
    "serve_http(load_settings(), '127.0.0.1', 0)"
)


def environment(data: Path, model: Path | str, **more: str) -> dict[str, str]:
    """Return the settings of a server as its environment."""
    return {
        "PYTHONPATH": str(ROOT),
        "AGENT_TOOLS_DATA": str(data),
        "AGENT_TOOLS_MODEL": str(model),
        "AGENT_TOOLS_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        **more,
    }


@contextmanager
def http_process(
    data: Path, model: Path | str, **more: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the HTTP server, wait until its log says that the model is loaded, yield its URL."""
    process = subprocess.Popen(
        [sys.executable, "-c", HTTP],
        env=os.environ | environment(data, model, **more),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    url = ""
    try:
        for line in process.stderr:
            entry = json.loads(line)
            url = entry.get("url", url)
            if entry["message"] == "The model is loaded":
                break
        yield url, process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
