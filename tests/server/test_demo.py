"""The demo end to end: server subprocess, MCP client over stdio, page and report."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from test_demo_page import Page

import server.demo
from server.cli import run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_settings_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's settings out."""
    for name in [name for name in os.environ if name.startswith("AGENT_TOOLS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def check_page_and_files(out: Path, report: dict[str, Any]) -> None:
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == report
    page = Page((out / "index.html").read_text(encoding="utf-8"))
    for image in page.all("img"):
        assert image["alt"]
        with Image.open(out / str(image["src"])) as opened:
            assert opened.size == (int(str(image["width"])), int(str(image["height"])))
    for link in page.all("a"):
        assert (out / str(link["href"])).is_file(), link
    assert len(report["variants"]) == 4
    assert len(report["recolors"]) == 3
    for recolor in report["recolors"]:
        assert recolor["measurements"]["outside_max_change"] == 0
        assert recolor["measurements"]["achieved_delta_e"] < 3
    assert len(report["persona"]["images"]) == 3
    assert report["seconds"]["total"] > 0
    for question in report["kb"]["questions"]:
        assert {"question", "expected", "found", "score"} <= set(question)


@pytest.mark.timeout(900)
def test_a_wrong_answer_ends_the_demo_with_1_and_is_shown(
    tmp_path: Path,
    tiny_stable_diffusion: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Paint with random weights; ask one question whose picture cannot be the expected one."""
    right, _, third = server.demo.QUESTIONS
    monkeypatch.setattr(
        server.demo,
        "QUESTIONS",
        (right, ("How do I send something back?", "recolors", 0), third),
    )
    out = tmp_path / "shown"
    assert run(["demo", "--out", "shown", "--model", str(tiny_stable_diffusion), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    check_page_and_files(out, report)
    assert [question["right"] for question in report["kb"]["questions"]] == [True, False, True]
    assert "not the expected picture" in (out / "index.html").read_text(encoding="utf-8")


@pytest.mark.weights
@pytest.mark.timeout(900)
def test_the_demo_makes_everything_and_answers_every_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo-out"
    assert run(["demo", "--out", "demo-out"]) == 0
    said = capsys.readouterr().out.strip().splitlines()
    assert len(said) == 1
    assert "3 of 3" in said[0] and "demo-out/index.html" in said[0]
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    check_page_and_files(out, report)
    assert report["ok"] and report["model"] == "starter"


def test_a_folder_with_somebody_elses_page_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.html").write_text("my shop")
    assert run(["demo", "--out", "."]) == 2
    assert "no demo wrote" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
