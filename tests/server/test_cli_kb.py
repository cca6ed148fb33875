"""`agent-tools kb`: what is set aside, approved, retried and removed."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kb_pictures import add_pictures

from agent_tools.gallery import Gallery
from server.cli import run

Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def agent_tools(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Run `agent-tools --data DATA ... --json`; return exit code and the JSON object."""
    for name in [name for name in os.environ if name.startswith("AGENT_TOOLS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def call(*arguments: str) -> tuple[int, Any]:
        code = run(["--data", str(tmp_path / "data"), *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    yield call
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    """The id of a picture whose facts say another color than it shows."""
    gallery = Gallery(tmp_path / "data")
    record = add_pictures(gallery, "teapot", metadata={"color_hex": "#2F9E44"})[0]
    gallery.close()
    return record.image_id


def status_of(agent_tools: Run, target: str) -> tuple[int, int, list[Any]]:
    _, shown = agent_tools("kb", "status", "--target", target)
    (found,) = [t for t in shown["status"]["targets"] if t["target"] == target]
    return found["pending"], found["done"], found["failed"]


def test_a_picture_set_aside_is_named_approved_exported_and_removed_everywhere(
    agent_tools: Run, wrong: str, tmp_path: Path
) -> None:
    one, two = f"folder:{tmp_path / 'one'}", f"folder:{tmp_path / 'two'}"
    code, exported = agent_tools("kb", "export", "--target", one)
    assert (code, exported["exported_count"]) == (1, 0)
    assert "#2F9E44" in exported["failed"][0]["reason"]
    pending, done, failed = status_of(agent_tools, one)
    assert (pending, done, failed[0][0]) == (0, 0, wrong)
    _, retried = agent_tools("kb", "retry", "--target", one)
    assert retried["retried"][0]["failed"][0][0] == wrong
    assert agent_tools("kb", "approve", wrong)[0] == 0
    for target in (one, two):
        assert agent_tools("kb", "export", "--target", target)[1]["exported"] == [wrong]
        assert status_of(agent_tools, target) == (0, 1, [])
    code, removed = agent_tools("kb", "remove", wrong)
    assert code == 0
    assert [outcome["deleted"] for outcome in removed["removed"]] == [[wrong], [wrong]]
    for target in (one, two):
        assert not list(Path(target.removeprefix("folder:")).rglob("*.png"))
    assert agent_tools("kb", "remove", wrong)[1] == {"removed": []} | {
        key: value for key, value in removed.items() if key != "removed"
    }


def test_approving_what_is_not_there_is_an_error(agent_tools: Run) -> None:
    code, shown = agent_tools("kb", "approve", "img_nobody")
    assert code == 3
    assert shown["error"]["code"] == "not_found"


def test_an_unknown_kind_of_knowledge_base_is_an_error_that_names_the_known(
    agent_tools: Run,
) -> None:
    code, shown = agent_tools("kb", "export", "--target", "ftp://shop")
    assert code == 2
    assert "folder:PATH" in json.dumps(shown["error"])
