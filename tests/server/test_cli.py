"""The command line through its front door: arguments in, exit code, stdout and stderr out."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import apart_from_this_machine
from PIL import Image

from server.cli import run
from server.commands.session import parse_address

COMMANDS = [
    ["demo"],
    ["serve"],
    ["generate"],
    ["variants"],
    ["edit"],
    ["diagram"],
    ["models"],
    ["find"],
    ["doctor"],
    ["persona", "create"],
    ["persona", "draw"],
    ["persona", "list"],
    ["gallery", "list"],
    ["gallery", "show"],
    ["gallery", "replay"],
    ["replay"],
    ["verify"],
    ["certificate", "create"],
    ["gallery", "add"],
    ["kb", "export"],
    ["kb", "search"],
    ["kb", "status"],
    ["kb", "approve"],
    ["kb", "retry"],
    ["kb", "remove"],
]

Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture(autouse=True)
def no_settings_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with apart_from_this_machine(tmp_path, monkeypatch):
        yield


@pytest.fixture
def agent_tools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `agent-tools --data DATA ... --json`; return exit code, the JSON object, stderr."""

    def call(*arguments: str) -> tuple[int, Any, str]:
        code = run(["--data", str(tmp_path / "data"), *arguments, "--json"])
        captured = capsys.readouterr()
        return code, json.loads(captured.out), captured.err

    return call


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A small picture file."""
    path = tmp_path / "mug photo.png"
    Image.new("RGB", (40, 30), (200, 30, 40)).save(path)
    return path


def test_help_loads_no_heavy_library() -> None:
    heavy = ["torch", "diffusers", "transformers", "boto3", "mcp", "langchain_core", "numpy"]
    code = (
        "import sys\n"
        "from server.cli import run\n"
        "assert run(['--help']) == 0\n"
        f"print('LOADED', [name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("LOADED []")
    assert "generate" in done.stdout and "Exit codes" in done.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_takes(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--help"]) == 0
    captured = capsys.readouterr()
    assert f"agent-tools {' '.join(command)}" in captured.out
    assert captured.err == ""


def test_without_arguments_it_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    captured = capsys.readouterr()
    assert "doctor" in captured.out + captured.err
    assert "Error" not in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["paint"],
        ["generate"],
        ["generate", "a mug", "--no-such-flag"],
        ["generate", "a mug", "--seed", "seven"],
        ["generate", "a mug", "--size", "large"],
        ["variants", "mug"],
        ["serve", "--http", "8931x"],
        ["serve", "--http", "127.0.0.1"],
        ["--log-level", "loud", "models"],
        ["--threads", "0", "models"],
        ["--config", "missing.toml", "models"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_end_with_2_and_one_clear_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert "Traceback" not in captured.err


def test_wrong_arguments_are_a_json_object_when_json_is_asked_for(agent_tools: Run) -> None:
    code, said, err = agent_tools("generate")
    assert code == 2
    assert said["error"]["code"] == "usage"
    assert "prompt" in said["error"]["message"].lower()
    assert "generate --help" in said["error"]["hint"]
    assert "Error" in err


def test_an_unknown_setting_in_the_environment_is_an_error(
    agent_tools: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_TOOLS_MODLE", "starter")
    code, said, _ = agent_tools("gallery", "list")
    assert code == 2
    assert said["error"]["code"] == "bad_settings"
    assert "model" in said["error"]["hint"]


def test_an_unknown_setting_in_the_file_gets_its_nearest_only(
    agent_tools: Run, tmp_path: Path
) -> None:
    (tmp_path / "agent-tools.toml").write_text('polcy = "rules.toml"')
    _, said, _ = agent_tools("gallery", "list")
    assert "Did you mean 'policy'?" in said["error"]["hint"]
    (tmp_path / "agent-tools.toml").write_text('colour = "sage"')
    _, said, err = agent_tools("gallery", "list")
    assert "settings.py" in said["error"]["hint"] and "mean" not in said["error"]["hint"]
    assert len(err) < 250


def test_a_data_directory_that_cannot_be_used_is_unavailable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert run(["--data", str(tmp_path / "file"), "gallery", "list"]) == 5
    assert "--data" in capsys.readouterr().err


def test_a_picture_is_taken_in_listed_and_shown(agent_tools: Run, picture: Path) -> None:
    code, added, _ = agent_tools("gallery", "add", str(picture), "--title", "Our red mug")
    assert code == 0
    image = added["images"][0]
    assert {"image_id", "path", "width", "height", "seed", "model", "caption", "alt"} <= set(image)
    assert (image["width"], image["height"]) == (40, 30)
    assert image["caption"] == "Our red mug."
    assert Path(image["path"]).is_file()

    code, listed, _ = agent_tools("gallery", "list")
    assert code == 0
    assert [entry["image_id"] for entry in listed["images"]] == [image["image_id"]]
    assert agent_tools("gallery", "list", "--kind", "diagram")[1]["images"] == []

    code, shown, _ = agent_tools("gallery", "show", image["image_id"], "--out", "copies")
    assert code == 0
    copy = Path(shown["images"][0]["path"])
    assert copy.parent.name == "copies"
    assert copy.read_bytes() == Path(image["path"]).read_bytes()
    assert shown["images"][0]["recipe"]["tool"] == "upload"


def test_the_same_picture_taken_in_twice_is_one_picture(agent_tools: Run, picture: Path) -> None:
    first = agent_tools("gallery", "add", str(picture))[1]["images"][0]["image_id"]
    assert agent_tools("gallery", "add", str(picture))[1]["images"][0]["image_id"] == first
    assert len(agent_tools("gallery", "list")[1]["images"]) == 1


def test_people_get_lines_instead_of_json(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(tmp_path / "data")]
    assert run([*data, "gallery", "add", str(picture)]) == 0
    image_id = capsys.readouterr().out.strip()
    assert run([*data, "gallery", "show", image_id]) == 0
    shown = capsys.readouterr().out
    assert image_id in shown and "{" not in shown and "\nrecipe:\n" in shown
    assert "\n  tool: upload\n" in shown
    made = next(line for line in shown.splitlines() if line.startswith("created at: "))
    assert re.fullmatch(r"created at: \d{4}-\d\d-\d\d \d\d:\d\d", made)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["gallery", "show", "img_000000000000000000000000"], 3),
        (["gallery", "show", "../../etc/passwd"], 3),
        (["gallery", "replay", "img_000000000000000000000000"], 3),
        (["gallery", "add", "nowhere.png"], 3),
        (["edit", "nowhere.png", "a mug"], 3),
        (["edit", "img_000000000000000000000000", "a mug"], 3),
        (["variants", "nowhere.png", "--color", "red"], 3),
        (["diagram", "nowhere.mmd"], 3),
        (["persona", "draw", "per_nobody"], 3),
        (["variants", "mug", "--color", "red", "--mask", "mask.png"], 2),
    ],
    ids=str,
)
def test_what_is_not_there_is_said_and_nothing_is_kept(
    agent_tools: Run, arguments: list[str], code: int
) -> None:
    found, said, _ = agent_tools(*arguments)
    assert found == code, said
    assert said["error"]["message"] and said["error"]["hint"]
    assert agent_tools("gallery", "list")[1]["images"] == []


def test_a_file_that_is_no_picture_is_refused_and_nothing_is_kept(
    agent_tools: Run, tmp_path: Path, picture: Path
) -> None:
    whole = picture.read_bytes()
    animated = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(animated, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    for data in (b"", b"<svg onload='x'/>", whole[: len(whole) // 2], animated.getvalue()):
        bad = tmp_path / "bad.png"
        bad.write_bytes(data)
        code, said, _ = agent_tools("gallery", "add", str(bad))
        assert code == 2
        assert said["error"]["code"] == "bad_picture"
    assert agent_tools("gallery", "list")[1]["images"] == []


def test_a_file_over_the_limit_is_refused_before_it_is_read_whole(
    agent_tools: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_TOOLS_MAX_UPLOAD_MB", "0.01")
    big = tmp_path / "big.png"
    with big.open("wb") as file:
        file.truncate(5_000_000_000)  # sparse: reading it whole would need 5 GB of memory
    code, said, _ = agent_tools("gallery", "add", str(big))
    assert code == 2
    assert said["error"]["code"] == "bad_picture"


def test_an_upload_cannot_be_replayed_and_the_reason_is_said(
    agent_tools: Run, picture: Path
) -> None:
    image_id = agent_tools("gallery", "add", str(picture))[1]["images"][0]["image_id"]
    code, said, _ = agent_tools("gallery", "replay", image_id)
    assert code == 2
    assert "came from outside" in said["error"]["message"]


def test_models_are_listed_with_license_and_the_chosen_one(agent_tools: Run) -> None:
    code, said, _ = agent_tools("models")
    assert code == 0
    starter = next(model for model in said["models"] if model["name"] == "starter")
    assert starter["license"] == "Apache-2.0" and starter["commercial"] and starter["chosen"]
    assert sum(model["chosen"] for model in said["models"]) == 1


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:8931", "127.0.0.1", 8931),
        (":0", "127.0.0.1", 0),
        ("localhost:80", "localhost", 80),
        ("[::1]:8931", "::1", 8931),
    ],
)
def test_an_address_is_read(address: str, host: str, port: int) -> None:
    assert parse_address(address) == (host, port)


@pytest.mark.parametrize("address", ["", ":", "::1:80", "host", "host:-1", "host:99999", "h:8 "])
def test_a_wrong_address_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--http", address]) == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_serving_others_without_a_token_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--data", str(tmp_path / "data"), "serve", "--http", "0.0.0.0:0"]) == 2
    assert "token" in capsys.readouterr().err
