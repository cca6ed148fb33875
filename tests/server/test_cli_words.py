"""Errors on the command line name its options and commands, not the arguments of tools."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import apart_from_this_machine
from PIL import Image

from server.cli import run

Run = Callable[..., str]
NOBODY = "per_nobody_0123456789"
NO_IMAGE = "img_0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_settings_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with apart_from_this_machine(tmp_path, monkeypatch):
        yield


@pytest.fixture
def error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that fails; return what people read, which `--json` says, too."""

    def call(*arguments: str) -> str:
        assert run(["--data", str(tmp_path / "data"), *arguments]) != 0
        read = capsys.readouterr().err
        assert run(["--data", str(tmp_path / "data"), *arguments, "--json"]) != 0
        said = json.loads(capsys.readouterr().out)["error"]
        assert read == f"Error: {said['message']}\n{said['hint']}\n"
        return read

    return call


@pytest.fixture
def noise(tmp_path: Path) -> str:
    """A picture in which no product stands out."""
    pixels = np.random.default_rng(1).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    return str(tmp_path / "noise.png")


def test_where_the_product_is_is_asked_for_by_options(error: Run, noise: str) -> None:
    said = error("variants", noise, "--color", "red")
    for option in ("--point X Y", "--box LEFT", "--from-color COLOR", "--mask FILE"):
        assert option in said
    assert not {"mask_id", "get_image", "from_color"} & set(said.replace(",", " ").split())


def test_a_guess_at_the_product_is_looked_at_by_a_command(
    error: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image.new("RGB", (256, 256), (128, 128, 128))
    image.paste((200, 30, 30), (120, 120, 130, 130))
    image.save(tmp_path / "far away.png")
    said = error("variants", "far away.png", "--color", "red")
    assert "look at it with agent-tools gallery show ID, and give that id as --mask" in said
    guess = re.search("kept as (img_[0-9a-f]+)", said)
    assert guess is not None
    assert run(["--data", str(tmp_path / "data"), "gallery", "show", guess[1]]) == 0
    assert "title: A guess at an uploaded picture\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["variants", "PICTURE", "--color", "red", "--anchor", "deep"], "--anchor: "),
        (["variants", "PICTURE", "--color", "red", "--format", "gif"], "--format: "),
        (["variants", "a mug", "--color", "x" * 300], "--color: "),
        (["persona", "draw", NOBODY, "--expression", "bored"], "--expression: "),
        (["edit", "PICTURE", "a mug", "--strength", "7"], "--strength: "),
        (["generate", "a mug", "--negative", "x" * 9000], "--negative: "),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_wrong_value_names_the_option_and_the_help(
    arguments: list[str], option: str, error: Run, noise: str
) -> None:
    said = error(*(noise if word == "PICTURE" else word for word in arguments))
    assert said.startswith(f"Error: {option}")
    command = " ".join(arguments[: 2 if arguments[0] == "persona" else 1])
    assert said.endswith(f"See agent-tools {command} --help for what it takes.\n")


def test_options_that_contradict_each_other_are_named_as_such(error: Run, noise: str) -> None:
    both = ["--mask", noise, "--point", "3", "4"]
    said = error("variants", noise, "--color", "red", *both)
    assert "--mask and --point do not go together" in said
    said = error("variants", "a mug", "--color", "red", "--all-prints", "--from-color", "blue")
    assert "--from-color and --all-prints needs a photo" in said and "image_id" not in said


def test_a_picture_that_is_not_there_leads_to_a_command(error: Run) -> None:
    for command in (["replay"], ["gallery", "show"], ["kb", "export"]):
        said = error(*command, NO_IMAGE)
        assert "agent-tools find" in said and "find_images" not in said


def test_a_refusal_is_no_log_line_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = ["persona", "create", "Kim", "a child of six"]
    assert run(["--data", str(tmp_path / "data"), *refused]) == 4
    said = capsys.readouterr().err
    assert said.startswith("Error: ") and "{" not in said
    assert run(["--data", str(tmp_path / "data"), "--log-level", "warning", *refused]) == 4
    assert '"level": "warning"' in capsys.readouterr().err
