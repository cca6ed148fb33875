"""`agent-tools models`: what is known, what is fetched, what is chosen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_stub import COMMIT, serving
from tiny_models import BUILDERS

from engine.hub import pinned
from engine.registry import KNOWN_MODELS
from server.cli import run

Run = Callable[..., tuple[int, Any]]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AGENT_TOOLS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def models(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, Any]:
        code = run(["models", *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize("name", [spec.name for spec in KNOWN_MODELS])
def test_every_known_model_can_be_looked_at(name: str, models: Run) -> None:
    code, said = models("show", name)
    assert code == 0
    assert said["name"] == name and said["license"] and said["modes"]
    assert not set(said["cannot"]) & set(said["modes"])
    assert (said["here"] is not None) == (name == "starter")


def test_showing_is_for_people_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "show", "flux.2-klein-4b"]) == 0
    text = capsys.readouterr().out
    assert "Flux2KleinPipeline" in text
    assert "agent-tools models pull black-forest-labs/FLUX.2-klein-4B@COMMIT" in text


def test_an_unknown_name_gets_near_ones(models: Run) -> None:
    code, said = models("show", "flux2-klein-4B")
    assert code == 3
    assert "FLUX.2-klein-4B" in said["error"]["hint"]


def test_choosing_writes_one_line_and_leaves_the_rest(models: Run, tmp_path: Path) -> None:
    file = tmp_path / "agent-tools.toml"
    file.write_text('# our shop\nmax_queue_s = 60\nmodel = "starter" # small\n', encoding="utf-8")
    code, said = models("set", f"Z-Image-Turbo@{COMMIT}")
    assert code == 0
    assert said["before"] == "starter" and said["model"] == f"Tongyi-MAI/Z-Image-Turbo@{COMMIT}"
    assert file.read_text(encoding="utf-8") == (
        f'# our shop\nmax_queue_s = 60\nmodel = "Tongyi-MAI/Z-Image-Turbo@{COMMIT}" # small\n'
    )
    code, said = models("set", "starter")
    assert (code, said["model"]) == (0, "starter")


def test_choosing_a_folder_checks_it_first(models: Run, tmp_path: Path) -> None:
    code, said = models("set", str(tmp_path))
    assert code == 5 and "model_index.json" in said["error"]["message"]
    assert not (tmp_path / "agent-tools.toml").exists()
    folder = BUILDERS["stable-diffusion"](tmp_path / "mine")
    code, said = models("set", "mine")
    assert (code, said["model"]) == (0, str(folder.resolve()))
    assert models()[1]["chosen"] == str(folder.resolve())


@pytest.mark.parametrize(
    ("name", "code", "word"),
    [
        (f"FLUX.1-dev@{COMMIT}", 4, "restricts commercial use"),
        ("Z-Image-Turbo", 5, "no fixed revision"),
        ("Z-Image-Turbo@main", 5, "no fixed revision"),
        ("no such thing", 5, "no model"),
        ("/etc", 5, "model_index"),
    ],
)
def test_what_must_not_be_chosen_is_not_written(
    name: str, code: int, word: str, models: Run, tmp_path: Path
) -> None:
    found, said = models("set", name)
    assert (found, word in said["error"]["message"]) == (code, True), said
    assert not (tmp_path / "agent-tools.toml").exists()


def pull(address: str, home: Path, *arguments: str) -> tuple[int, Any, str]:
    """Run the command in a process of its own: the hub's address is read at import."""
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", "models", "pull", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(home)},
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_model_is_fetched_once_checked_and_without_what_is_no_data(tmp_path: Path) -> None:
    folder = BUILDERS["stable-diffusion"](tmp_path / "served")
    (folder / "run_me.py").write_text("raise SystemExit('code ran')")
    (folder / "old.bin").write_bytes(b"pickle")
    name = f"acme/mug@{COMMIT}"
    with serving("acme/mug", folder) as (address, asked):
        code, said, errors = pull(address, tmp_path / "hub", name)
        assert code == 0, errors
        assert f"agent-tools models set {name}" in said
        assert "Fetching" in errors, "progress is on stderr"
        assert not [path for path in asked if path.endswith((".py", ".bin"))]
        fetched = len([path for path in asked if path.endswith(".safetensors")])
        code, said, errors = pull(address, tmp_path / "hub", name, "--json")
        assert code == 0 and json.loads(said)["bytes"] > 10_000
        assert "Fetching" not in errors
        again = len([path for path in asked if path.endswith(".safetensors")])
        assert again == fetched, "what is here is not fetched again"


def test_what_cannot_be_fetched_says_why(tmp_path: Path) -> None:
    folder = BUILDERS["stable-diffusion"](tmp_path / "served")
    (folder / "unet" / "config.json").write_text("{broken")
    with serving("acme/mug", folder) as (address, _):
        code, said, _ = pull(address, tmp_path / "hub", f"acme/cup@{COMMIT}", "--json")
        assert code == 5 and "Check the id" in json.loads(said)["error"]["hint"]
        code, said, _ = pull(address, tmp_path / "hub", f"acme/mug@{COMMIT}", "--json")
        assert code == 5 and "unet/config.json" in json.loads(said)["error"]["message"]
    code, said, errors = pull(address, tmp_path / "hub", f"acme/pot@{COMMIT}", "--json")
    assert code == 5 and "network" in json.loads(said)["error"]["hint"]
    assert "Traceback" not in errors


def test_a_restricted_license_is_accepted_by_name(tmp_path: Path) -> None:
    code, said, _ = pull("http://127.0.0.1:9", tmp_path, f"FLUX.1-dev@{COMMIT}", "--json")
    assert code == 4 and json.loads(said)["error"]["code"] == "license_not_accepted"
    code, said, _ = pull(
        "http://127.0.0.1:9", tmp_path, f"FLUX.1-dev@{COMMIT}", "--accept-license", "--json"
    )
    assert code == 5, "now the network is what is missing"


def test_a_pinned_name_is_an_id_and_a_commit() -> None:
    assert pinned(f"z-image-turbo@{COMMIT}") == ("Tongyi-MAI/Z-Image-Turbo", COMMIT)
