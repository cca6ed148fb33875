"""Regression tests for advisories about code that runs or loads, named after their ids."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from source_helpers import calls

from agent_tools.errors import AgentToolsError
from agent_tools.settings import Settings
from agent_tools.studio import Studio

pytestmark = pytest.mark.anyio


def test_cve_2025_15061_cve_2025_53107_no_shell_anywhere(modules: dict[str, ast.Module]) -> None:
    shells = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
              "commands.getoutput", "asyncio.create_subprocess_shell", "eval", "exec"}  # fmt: skip
    for name, tree in modules.items():
        for called, node in calls(tree):
            assert called not in shells, f"{name}: {called}"
            shell = next((k.value for k in node.keywords if k.arg == "shell"), None)
            assert shell is None or ast.unparse(shell) == "False", name


def test_cve_2026_77267_cve_2026_79747_one_guarded_fetch_and_no_second_path() -> None:
    import test_fetch_source

    test_fetch_source.test_no_other_module_opens_addresses()
    test_fetch_source.test_the_check_would_notice()


async def test_cve_2026_44513_cve_2026_45804_cve_2026_5241_no_caller_makes_code_load(
    tmp_path: Path, modules: dict[str, ast.Module]
) -> None:
    """A caller may name models that the operator listed, by name, and nothing else."""
    for name, tree in modules.items():
        for _, node in calls(tree):
            for keyword in node.keywords:
                if keyword.arg in ("trust_remote_code", "custom_pipeline"):
                    assert ast.unparse(keyword.value) in ("False", "None"), name
    real = Studio.open(Settings(data=tmp_path))
    for model in (
        "evil/repo",
        "evil/repo@main",
        "/srv/model",
        "../model",
        "https://evil.example/m",
    ):
        with pytest.raises(AgentToolsError) as caught:
            await real.call("generate_image", {"prompt": "a mug", "model": model})
        assert caught.value.code in ("model_not_loaded", "invalid_arguments")
    assert "torch" not in sys.modules or real.engine.health().ok
    await real.close()
