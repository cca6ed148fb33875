"""What others install us by: one name and one version everywhere, and settings that exist."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import agent_tools
from agent_tools.settings import Settings
from server.delivery import SWITCHES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REGISTRY: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
MANIFEST_FILE = ROOT / "packaging" / "mcpb" / "manifest.json"
MANIFEST: dict[str, Any] = json.loads(MANIFEST_FILE.read_text(encoding="utf-8"))
CLIENTS = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
VARIABLE = re.compile(r"AGENT_TOOLS_[A-Z_]+")


def settings_named(text: str) -> set[str]:
    return {name.removeprefix("AGENT_TOOLS_").lower() for name in VARIABLE.findall(text)}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", CLIENTS, re.MULTILINE | re.DOTALL)


def test_one_name_and_one_version_everywhere() -> None:
    (package,) = REGISTRY["packages"]
    names = {PROJECT["name"], package["identifier"], MANIFEST["name"]}
    assert names == {"agent-tools"} == {REGISTRY["name"].rpartition("/")[2]}
    versions = {
        PROJECT["version"],
        agent_tools.__version__,
        REGISTRY["version"],
        package["version"],
        MANIFEST["version"],
    }
    assert versions == {agent_tools.__version__}
    assert f"agent-tools-{agent_tools.__version__}.mcpb" in CLIENTS


def test_the_readme_names_the_registry_entry_and_no_other() -> None:
    """The registry checks that the published README holds this line."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"mcp-name: (\S+)", readme)) <= {REGISTRY["name"]}


def test_the_registry_entry_keeps_the_registrys_limits() -> None:
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", REGISTRY["name"])
    assert 0 < len(REGISTRY["description"]) <= 100
    assert len(REGISTRY["title"]) <= 100
    (package,) = REGISTRY["packages"]
    assert package["transport"] == {"type": "stdio"}
    for variable in package["environmentVariables"]:
        (name,) = settings_named(variable["name"])
        field = Settings.model_fields[name]
        if "default" in variable:
            assert variable["default"] == field.default
        if name in SWITCHES:
            assert sorted(variable["choices"]) == sorted(SWITCHES[name])


def test_every_setting_that_is_named_exists() -> None:
    for text in (CLIENTS, json.dumps(REGISTRY), json.dumps(MANIFEST)):
        assert settings_named(text) <= Settings.model_fields.keys()
    assert not settings_named("AGENT_TOOLS_COLOUR") <= Settings.model_fields.keys()


def test_the_bundle_starts_what_the_package_installs() -> None:
    command, *arguments = MANIFEST["server"]["mcp_config"]["args"][-2:]
    assert command in PROJECT["scripts"] and arguments == ["serve"]
    assert (ROOT / MANIFEST["server"]["entry_point"]).is_file()
    wanted = re.findall(r"\$\{user_config\.(\w+)\}", json.dumps(MANIFEST["server"]))
    assert sorted(wanted) == sorted(MANIFEST["user_config"])
    assert MANIFEST["compatibility"]["runtimes"]["python"] == PROJECT["requires-python"]


def test_the_bundle_holds_everything_that_the_package_is_built_from(tmp_path: Path) -> None:
    build = runpy.run_path(str(ROOT / "scripts" / "mcpb"))["build"]
    bundle = build(tmp_path / "first")
    with zipfile.ZipFile(bundle) as archive:
        names = set(archive.namelist())
        assert json.loads(archive.read("manifest.json")) == MANIFEST
    assert {"pyproject.toml", "README.md", "LICENSE", "server/cli.py"} <= names
    assert any(name.startswith("engine/starter/weights/") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]
    assert build(tmp_path / "second").read_bytes() == bundle.read_bytes()


@pytest.mark.skipif(shutil.which("mcpb") is None, reason="npm's @anthropic-ai/mcpb is not in PATH")
def test_mcpb_finds_the_manifest_valid(tmp_path: Path) -> None:
    tool = str(shutil.which("mcpb"))
    done = subprocess.run([tool, "validate", str(MANIFEST_FILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "manifest.json"
    wrong.write_text(json.dumps(MANIFEST | {"server": {"type": "perl"}}))
    assert subprocess.run([tool, "validate", str(wrong)], capture_output=True).returncode


def test_every_configuration_on_the_clients_page_can_be_read_and_starts_our_command() -> None:
    parsed = [json.loads(block) for block in blocks("json")]
    parsed += [tomllib.loads(block) for block in blocks("toml")]
    assert len(parsed) >= 5
    for configuration in parsed:
        (servers,) = configuration.values()
        assert list(servers) == [PROJECT["name"]]
        ours = servers[PROJECT["name"]]
        if "command" in ours:
            assert Path(ours["command"]).name in PROJECT["scripts"] and ours["args"] == ["serve"]
        else:
            assert (ours.get("url") or ours["httpUrl"]).endswith(":8000/mcp")
    for address in re.findall(r"/mcp\?([\w=&]+)", CLIENTS):
        for name, value in (pair.split("=") for pair in address.split("&")):
            assert value in SWITCHES[name]


def test_the_page_names_every_switch_and_value() -> None:
    for name, values in SWITCHES.items():
        row = next(line for line in CLIENTS.splitlines() if line.startswith(f"| `{name}`"))
        assert all(f"`{value}`" in row for value in values)


def test_langchains_adapter_is_installed_where_tests_run() -> None:
    names = [Requirement(line) for line in PROJECT["optional-dependencies"]["dev"]]
    assert [wanted for wanted in names if wanted.name == "langchain" and "mcp" in wanted.extras]
