"""What must start at once loads no heavy library."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "torch", "diffusers", "transformers", "boto3")
STARTS = {
    "import agent_tools": "import agent_tools",
    "its public names": "from agent_tools import *",
    "import engine": "import engine",
    "the engine's public names": "from engine import *",
    "import kb_export": "import kb_export",
    "import server": "import server",
    "every tool with its schemas": "from agent_tools.tools import all_tools; "
    "[tool.Output.model_json_schema() for tool in all_tools()]",
    "agent-tools --help": "from server.cli import run; run(['--help'])",
    "agent-tools --version": "from server.cli import run; run(['--version'])",
    "agent-tools generate --help": "from server.cli import run; run(['generate', '--help'])",
}


def loaded_after(statement: str) -> set[str]:
    """Run a statement in a new interpreter; return the heavy packages that it imported."""
    program = f"{statement}\nimport sys\nprint('loaded:', *({set(HEAVY)!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("start", STARTS)
def test_it_starts_without_a_heavy_library(start: str) -> None:
    assert loaded_after(STARTS[start]) == set()


def test_a_heavy_import_would_be_noticed() -> None:
    assert loaded_after("import boto3") == {"boto3"}
