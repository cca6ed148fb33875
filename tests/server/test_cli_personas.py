"""`agent-tools persona`, each command a process of its own where it matters: nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.starter.render.avatars import draw_avatar
from server.cli import run

Run = Callable[..., tuple[int, Any]]
CONSENT = "Anna Weber agreed in writing on 2026-11-03 to an avatar"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture
def agent_tools(
    shop: Path,
    tiny_stable_diffusion: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Run]:
    """Run `agent-tools persona ... --json` in this process."""
    import logging

    for name in [name for name in os.environ if name.startswith("AGENT_TOOLS_")]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def call(*arguments: str) -> tuple[int, Any]:
        before = ["--data", str(shop / "data"), "--model", str(tiny_stable_diffusion)]
        code = run([*before, "persona", *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    yield call
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.mark.slow
def test_a_persona_survives_the_process_that_made_it(
    agent_tools: Run, shop: Path, tiny_stable_diffusion: Path
) -> None:
    code, made = agent_tools("create", "Mina", "red hair, glasses", "--count", "3")
    assert code == 0 and len(made["images"]) == 3 and made["created"]
    persona_id = made["persona"]["persona_id"]
    code, locked = agent_tools("lock", persona_id, made["images"][1]["image_id"])
    assert code == 0 and locked["persona"]["locked"]
    _, smiling = agent_tools("draw", persona_id, "--expression", "smiling")

    clean = {k: v for k, v in os.environ.items() if not k.startswith("AGENT_TOOLS_")}
    elsewhere = subprocess.run(
        [
            sys.executable, "-m", "server.cli", "--data", str(shop / "data"),
            "--model", str(tiny_stable_diffusion), "--threads", "1",
            "persona", "draw", persona_id, "--expression", "smiling", "--json",
        ],
        capture_output=True, text=True, timeout=200, check=False, env=clean,
    )  # fmt: skip
    assert elsewhere.returncode == 0, elsewhere.stderr
    again = json.loads(elsewhere.stdout)
    assert again["images"][0]["image_id"] == smiling["images"][0]["image_id"]
    assert again["persona"] == smiling["persona"]
    assert again["persona"]["canonical_image_id"] == made["images"][1]["image_id"]


def test_a_persona_is_shown_edited_moved_and_deleted(agent_tools: Run, shop: Path) -> None:
    _, made = agent_tools("create", "Theo", "black hair", "--attribute", "skin=dark")
    persona_id = made["persona"]["persona_id"]
    assert made["persona"]["description"] == "black hair, dark skin"
    assert persona_id in [one["persona_id"] for one in agent_tools("list")[1]["personas"]]
    assert agent_tools("edit", persona_id, "--name", "Theodor")[1]["persona"]["name"] == "Theodor"
    file = str(shop / "theo.zip")
    assert agent_tools("export", persona_id, file)[0] == 0
    code, said = agent_tools("delete", persona_id)
    assert code == 2 and "--yes" in said["error"]["hint"]
    code, deleted = agent_tools("delete", persona_id, "--yes")
    assert code == 0 and deleted["image_ids"] == [made["images"][0]["image_id"]]
    code, said = agent_tools("show", persona_id)
    assert code == 3 and said["error"]["code"] == "not_found"
    assert agent_tools("import", file)[1]["persona"]["name"] == "Theodor"
    shown = agent_tools("show", persona_id)[1]
    assert [image["image_id"] for image in shown["images"]] == deleted["image_ids"]


def test_without_a_terminal_nothing_is_deleted_and_the_way_is_said(
    agent_tools: Run, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    import io

    _, made = agent_tools("create", "Nora", "gray hair")
    persona_id = made["persona"]["persona_id"]
    for answer in ("", "n\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert run(["--data", str(shop / "data"), "persona", "delete", persona_id]) == 2
        said = capsys.readouterr().err
        assert "Nothing was deleted" in said and "--yes" in said and "Internal" not in said
    assert agent_tools("show", persona_id)[0] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(["--data", str(shop / "data"), "persona", "delete", persona_id]) == 0
    assert f"Deleted {persona_id}: 1 picture, 0 packs, 0 exports" in capsys.readouterr().out
    assert agent_tools("show", persona_id)[0] == 3


def test_a_pack_is_made_from_a_face_that_was_agreed_to(agent_tools: Run, shop: Path) -> None:
    face = shop / "face.png"
    draw_avatar({"hair_style": "bun"}).save(face)
    code, said = agent_tools("create", "Anna", "brown hair", "--face", str(face))
    assert code == 4 and said["error"]["data"]["rule"] == "persona-uploaded-face"
    _, made = agent_tools("create", "Anna", "brown hair", "--face", str(face), "--consent", CONSENT)
    persona_id = made["persona"]["persona_id"]
    code, pack = agent_tools("pack", persona_id, "--out", str(shop / "icons"))
    assert code == 0 and pack["failed"] == []
    assert Path(pack["path"]).is_relative_to(shop / "icons")
    assert Path(pack["path"]).read_bytes()[:2] == b"PK"
    assert agent_tools("check", persona_id, str(face)) == (
        0,
        {"persona_id": persona_id, "similarity": 1.0, "verdict": "same"},
    )
    draw_avatar({"skin": "dark", "hair_style": "curly"}).save(shop / "other.png")
    code, said = agent_tools("check", persona_id, str(shop / "other.png"))
    assert code == 1 and said["verdict"] == "other"


@pytest.mark.parametrize("attribute", ["hair", "=red", "hair_color="])
def test_an_attribute_is_name_and_value(agent_tools: Run, attribute: str) -> None:
    code, said = agent_tools("create", "Mina", "--attribute", attribute)
    assert code == 2 and said["error"]["code"] == "invalid_arguments"
