"""The command line makes pictures: a real studio with a tiny random model behind every command."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_helpers import apart_from_this_machine
from PIL import Image, ImageDraw

from server.cli import run

Run = Callable[..., tuple[int, Any]]
IMAGE_FIELDS = {"image_id", "path", "width", "height", "seed", "model", "caption", "alt"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for the module: commands of one shop share theirs."""
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(autouse=True)
def no_settings_from_here(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with apart_from_this_machine(shared, monkeypatch):
        yield


@pytest.fixture
def agent_tools(
    shared: Path, tiny_stable_diffusion: Path, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run `agent-tools ... --json`; return exit code and the one JSON object on stdout."""

    def call(*arguments: str) -> tuple[int, Any]:
        before = ["--data", str(shared / "data"), "--model", str(tiny_stable_diffusion)]
        code = run([*before, *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture(scope="module")
def mug(shared: Path) -> tuple[Path, Path]:
    """A shaded red mug on gray, and its mask."""
    shade = np.linspace(90, 230, 64)[None, :, None] / 255
    pixels = np.full((64, 64, 3), 128.0)
    mask = Image.new("L", (64, 64), 0)
    ImageDraw.Draw(mask).rectangle((16, 16, 47, 47), fill=255)
    inside = np.asarray(mask) > 0
    pixels[inside] = (np.array([200.0, 40.0, 40.0]) * np.broadcast_to(shade, pixels.shape))[inside]
    photo_path, mask_path = shared / "mug.png", shared / "mug-mask.png"
    Image.fromarray(pixels.astype(np.uint8)).save(photo_path)
    mask.save(mask_path)
    return photo_path, mask_path


def test_generate_prints_one_object_and_copies_the_pictures(agent_tools: Run, shared: Path) -> None:
    code, said = agent_tools(
        "generate", "a purple teapot", "--count", "2", "--seed", "5", "--steps", "2",
        "--size", "64", "--out", "pictures",
    )  # fmt: skip
    assert code == 0
    assert said["seconds"] > 0
    assert [set(image) for image in said["images"]] == [IMAGE_FIELDS, IMAGE_FIELDS]
    assert [image["seed"] for image in said["images"]] == [5, 6]
    for image in said["images"]:
        path = Path(image["path"])
        assert path.parent == shared / "pictures" and "purple-teapot" in path.name
        with Image.open(path) as opened:
            assert opened.size == (image["width"], image["height"]) == (64, 64)
        assert "teapot" in image["caption"] and "teapot" in image["alt"]


def test_the_same_seed_gives_the_same_picture_and_another_one_does_not(agent_tools: Run) -> None:
    def paint(seed: str) -> str:
        _, said = agent_tools("generate", "a blue mug", "--seed", seed, "--steps", "2")
        image_id: str = said["images"][0]["image_id"]
        return image_id

    assert paint("1") == paint("1")
    assert paint("1") != paint("2")


def test_what_a_tool_refuses_ends_with_2_and_names_the_argument(agent_tools: Run) -> None:
    code, said = agent_tools("generate", "a mug", "--steps", "100000")
    assert code == 2
    assert said["error"]["code"] == "invalid_arguments"
    assert "steps" in said["error"]["message"]


def test_a_model_that_is_not_there_is_unavailable(agent_tools: Run) -> None:
    code, said = agent_tools("generate", "a mug", "--model", "/nowhere/model")
    assert code == 5
    assert said["error"]["code"] == "model_not_loaded" and said["error"]["hint"]


def test_edit_leaves_what_the_mask_does_not_cover(agent_tools: Run, mug: tuple[Path, Path]) -> None:
    photo, mask = mug
    code, said = agent_tools(
        "edit", str(photo), "a mug with a stripe", "--mask", str(mask), "--steps", "2"
    )
    assert code == 0, said
    assert said["outside_max_change"] == 0
    outside = np.asarray(Image.open(mask)) == 0
    before = np.asarray(Image.open(photo).convert("RGB"))
    after = np.asarray(Image.open(said["images"][0]["path"]).convert("RGB"))
    assert (before[outside] == after[outside]).all()
    assert (before[~outside] != after[~outside]).any()


def test_edit_cuts_out_and_puts_on_a_plain_background(
    agent_tools: Run, mug: tuple[Path, Path]
) -> None:
    photo, mask = mug
    inside = np.asarray(Image.open(mask)) == 255
    before = np.asarray(Image.open(photo).convert("RGB"))
    for background, mode in (("transparent", "RGBA"), ("#F4F4F4", "RGB")):
        code, said = agent_tools(
            "edit", str(photo), "--background", background, "--mask", str(mask)
        )
        assert code == 0, said
        made = Image.open(said["images"][0]["path"])
        assert made.mode == mode
        assert (np.asarray(made)[..., :3][inside] == before[inside]).all()


def test_edit_extends_a_picture_and_leaves_its_bytes(
    agent_tools: Run, mug: tuple[Path, Path]
) -> None:
    photo, _ = mug
    before = np.asarray(Image.open(photo).convert("RGB"))
    code, said = agent_tools(
        "edit", str(photo), "a mug on a shelf", "--extend", "16", "0", "8", "0", "--steps", "2"
    )
    assert code == 0, said
    after = np.asarray(Image.open(said["images"][0]["path"]).convert("RGB"))
    assert after.shape[1] == before.shape[1] + 24
    assert (after[:, 16 : 16 + before.shape[1]] == before).all()


def test_edit_without_words_or_background_says_what_is_missing(
    agent_tools: Run, mug: tuple[Path, Path]
) -> None:
    code, said = agent_tools("edit", str(mug[0]))
    assert code == 2 and "prompt" in said["error"]["message"].lower()
    code, said = agent_tools("edit", str(mug[0]), "a mug", "--background", "white")
    assert code == 2 and "--background" in said["error"]["message"]


def test_variants_of_a_photo_carry_their_measurements(
    agent_tools: Run, mug: tuple[Path, Path]
) -> None:
    photo, mask = mug
    code, said = agent_tools(
        "variants", str(photo), "--mask", str(mask), "--color", "#2f6f9f", "--color", "sage"
    )
    assert code == 0, said
    measured = [image["measurements"] for image in said["images"] if "measurements" in image]
    assert measured[0]["target"].lower() == "#2f6f9f"
    assert len(measured) == 2
    assert all(item["outside_max_change"] == 0 for item in measured)


def test_people_read_what_the_photo_shows_and_what_was_measured(
    shared: Path, mug: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    photo, mask = mug
    sealed = shared / "of-its-own"
    command = ["--data", str(sealed), "variants", str(photo), "--mask", str(mask)]
    assert run([*command, "--title", "Enamel mug", "--color", "#2f6f9f"]) == 0
    said = capsys.readouterr().out
    assert "  Enamel mug, recolored to #2F6F9F" in said
    proof = next(line for line in said.splitlines() if "delta E" in line)
    assert proof.endswith("to #2F6F9F; no byte outside the product changed")
    assert float(proof.split()[2]) < 2


def test_people_read_every_warning_once(
    agent_tools: Run, shared: Path, mug: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    photo, mask = mug
    command = ["variants", str(photo), "--mask", str(mask), "--color", "#2f6f9f"]
    command += ["--color", "#2F6F9F", "--color", "white"]
    warnings = agent_tools(*command)[1]["warnings"]
    assert run(["--data", str(shared / "data"), *command]) == 0
    said = capsys.readouterr().err
    assert "are the same color" in said
    assert said.count("Note: ") == len(warnings)
    for warning in warnings:
        assert said.count(warning.removeprefix("White: ")) == 1


def test_a_persona_s_notes_are_said_once(
    shared: Path, tiny_stable_diffusion: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ["--data", str(shared / "notes"), "--model", str(tiny_stable_diffusion)]
    assert run([*before, "persona", "create", "Mona", "curly black hair"]) == 0
    notes = [line.strip() for line in capsys.readouterr().err.splitlines() if "Note: " in line]
    assert notes and len(notes) == len(set(notes))


def test_a_title_is_for_a_photo_and_not_for_words(agent_tools: Run) -> None:
    code, said = agent_tools("variants", "ceramic mug", "--title", "A mug", "--color", "red")
    assert code == 2 and "--title" in said["error"]["message"]


def test_variants_of_words_share_a_seed(agent_tools: Run) -> None:
    code, said = agent_tools(
        "variants", "ceramic mug", "--color", "red", "--color", "navy", "--steps", "2",
        "--seed", "3",
    )  # fmt: skip
    assert code == 0, said
    painted = [image for image in said["images"] if "measurements" in image]
    assert [image["seed"] for image in painted] == [3, 3]


def test_a_material_that_the_product_names_is_said_once(agent_tools: Run) -> None:
    more = ["--color", "mint", "--material", "ceramic", "--steps", "2", "--seed", "3"]
    code, said = agent_tools("variants", "ceramic mug", *more)
    assert code == 0, said
    assert said["images"][0]["caption"] == "Mint ceramic mug."
    _, plain = agent_tools("variants", "mug", *more)
    assert plain["images"][0]["caption"] == "Mint ceramic mug."


def test_a_color_that_nobody_knows_names_its_neighbors(
    agent_tools: Run, mug: tuple[Path, Path]
) -> None:
    photo, mask = mug
    code, said = agent_tools("variants", str(photo), "--mask", str(mask), "--color", "blurple-ish")
    assert code == 2
    assert "blurple-ish" in said["error"]["message"] + said["error"]["hint"]


def test_a_persona_is_created_listed_and_drawn_again(agent_tools: Run) -> None:
    code, created = agent_tools("persona", "create", "Mina", "curly black hair, teal hoodie")
    assert code == 0, created
    persona_id = created["persona"]["persona_id"]
    assert [p["persona_id"] for p in agent_tools("persona", "list")[1]["personas"]] == [persona_id]
    code, drawn = agent_tools("persona", "draw", persona_id, "--expression", "smiling")
    assert code == 0
    again = agent_tools("persona", "draw", persona_id, "--expression", "smiling")[1]
    assert drawn["images"][0]["image_id"] == again["images"][0]["image_id"]
    assert drawn["images"][0]["image_id"] != created["images"][0]["image_id"]


def test_a_diagram_is_drawn_from_a_file(agent_tools: Run, shared: Path) -> None:
    (shared / "returns.mmd").write_text("flowchart LR\n  A[Return] --> B[Refund]\n")
    code, said = agent_tools("diagram", "returns.mmd", "--title", "Returns", "--out", ".")
    assert code == 0, said
    assert Path(said["images"][0]["path"]).parent == shared
    assert "Refund" in said["images"][0]["alt"]


def test_a_diagram_with_a_fault_names_the_line(agent_tools: Run, shared: Path) -> None:
    (shared / "broken.mmd").write_text("flowchart LR\n  A[Return] --> B[Refund\n")
    code, said = agent_tools("diagram", "broken.mmd")
    assert code == 2, said
    assert "line" in said["error"]["message"].lower()


def test_replay_gives_the_same_bytes(agent_tools: Run, mug: tuple[Path, Path]) -> None:
    """Painted, repainted, recolored and drawn pictures alike come back from their recipes."""
    photo, mask = mug
    made = [
        agent_tools("generate", "a red lamp", "--steps", "2"),
        agent_tools("edit", str(photo), "a green mug", "--steps", "2"),
        agent_tools("variants", str(photo), "--mask", str(mask), "--color", "teal"),
        agent_tools("diagram", "returns.mmd", "--title", "Returns"),
    ]
    for code, said in made:
        assert code == 0, said
        image_id = said["images"][0]["image_id"]
        code, replayed = agent_tools("gallery", "replay", image_id)
        assert (code, replayed["same_bytes"]) == (0, True), replayed
        assert replayed["images"][0]["image_id"] == image_id
        assert replayed["reasons"] == []


def test_replay_with_another_model_says_what_differs(
    agent_tools: Run, tiny_stable_diffusion: Path, shared: Path
) -> None:
    import shutil

    other = shared / "other-model"
    shutil.copytree(tiny_stable_diffusion, other)
    from safetensors.numpy import load_file, save_file

    weights = next((other / "unet").glob("*.safetensors"))
    tensors = load_file(weights)
    save_file({name: value * 1.01 for name, value in tensors.items()}, weights, {"format": "pt"})

    _, said = agent_tools("generate", "a green vase", "--steps", "2")
    image_id = said["images"][0]["image_id"]
    code, replayed = agent_tools("gallery", "replay", image_id, "--model", str(other))
    assert code == 1
    assert replayed["same_bytes"] is False and replayed["max_change"] > 0
    assert any(reason.startswith("model: ") for reason in replayed["reasons"])


def test_the_knowledge_base_takes_pictures_in_once_and_finds_them(agent_tools: Run) -> None:
    _, said = agent_tools("generate", "a yellow backpack", "--steps", "2")
    image_id = said["images"][0]["image_id"]
    code, exported = agent_tools("kb", "export", image_id, "--target", "folder:kb")
    assert code == 0, exported
    files = {path: path.read_bytes() for path in Path("kb").rglob("*") if path.is_file()}
    assert agent_tools("kb", "export", image_id, "--target", "folder:kb")[0] == 0
    assert {path: path.read_bytes() for path in Path("kb").rglob("*") if path.is_file()} == files
    code, found = agent_tools("kb", "search", "a yellow backpack for school")
    assert code == 0
    assert found["hits"][0]["image_id"] == image_id
    code, status = agent_tools("kb", "status", "--target", "folder:kb")
    assert code == 0 and status["status"]


@pytest.mark.slow
def test_ctrl_c_cancels_cleanly_and_keeps_nothing(
    tmp_path: Path, tiny_stable_diffusion: Path
) -> None:
    """A terminal shows the steps on stderr; Ctrl-C in the middle ends with 130 and one object."""
    terminal, stderr = pty.openpty()
    command = [sys.executable, "-m", "server.cli", "--data", str(tmp_path / "data")]
    command += ["generate", "a mug", "--steps", "150", "--count", "4", "--size", "256", "--json"]
    process = subprocess.Popen(
        [*command, "--model", str(tiny_stable_diffusion)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"},
        # A shell's background jobs, and all that they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    os.close(stderr)
    seen = b""
    while b" of 600" not in seen:
        piece = _read(terminal)
        assert piece, seen[-2000:].decode(errors="replace")
        seen += piece
    process.send_signal(signal.SIGINT)
    while _read(terminal):  # a terminal that nobody reads would block the process
        pass
    assert process.stdout is not None
    said = json.loads(process.stdout.read())
    assert process.wait() == 130
    assert said["error"]["code"] == "cancelled"
    listed = subprocess.run(
        [*command[:5], "gallery", "list", "--json"], capture_output=True, check=True
    )
    assert json.loads(listed.stdout)["images"] == []


def _read(terminal: int) -> bytes:
    """Read what a process wrote to its terminal; empty once it has closed it."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
