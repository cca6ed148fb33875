"""The shipped starter model: a stock diffusers folder, small, safe, right about what it paints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engine_helpers import paint

from engine import ImageRequest
from engine.starter import JUDGE, WEIGHTS
from engine.starter.conditioning import load_conditioning
from engine.starter.vocabulary import FULL, load_vocabulary

pytestmark = pytest.mark.anyio
MEGABYTE, MEBIBYTE = 10**6, 2**20

REQUESTS = (
    ("a purple teapot on a white background", "teapot", "purple"),
    ("a teal mug", "mug", "teal"),
    ("orange lamp on a light gray background", "lamp", "orange"),
    ("a product photo of a navy sofa", "sofa", "navy"),
    ("show me a yellow armchair please", "armchair", "yellow"),
    ("a red vase on a pink background", "vase", "red"),
    ("a green sneaker", "sneaker", "green"),
    ("blue plant pot", "plant pot", "blue"),
)


def test_the_weights_are_small_safetensors_files_that_travel_in_a_repository() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert sum(path.stat().st_size for path in files) <= 40 * MEGABYTE
    assert max(path.stat().st_size for path in files) <= 16 * MEBIBYTE


def test_the_folder_loads_with_nothing_but_diffusers_and_the_autoencoders_module() -> None:
    program = (
        "import json, sys; import engine.starter.autoencoder; import diffusers\n"
        "pipe = diffusers.StableDiffusionPipeline.from_pretrained(sys.argv[1], "
        "use_safetensors=True, local_files_only=True)\n"
        "kinds = {k: type(v).__name__ for k, v in pipe.components.items() if v is not None}\n"
        "print(json.dumps(kinds))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(WEIGHTS)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "vae": "StarterAutoencoder",
        "text_encoder": "CLIPTextModel",
        "tokenizer": "CLIPTokenizer",
        "unet": "UNet2DConditionModel",
        "scheduler": "DPMSolverMultistepScheduler",
    }


async def test_it_paints_what_is_asked_and_not_something_else(open_engine) -> None:
    from engine.starter.judge import load_judge
    from engine.starter.training import to_tensor

    engine = await open_engine("starter")
    images = []
    for prompt, _, _ in REQUESTS:
        result = await paint(engine, ImageRequest(prompt, seeds=(5,)))
        assert not result.warnings
        images.append(np.asarray(result.images[0]))
    judged = load_judge().judge(to_tensor(np.stack(images)))
    found = [(answer["product_kind"], answer["product_color"]) for answer in judged]
    wanted = [(kind, color) for _, kind, color in REQUESTS]
    assert sum(a == b for a, b in zip(found, wanted, strict=True)) >= 7, found
    shifted = wanted[3:] + wanted[:3]
    assert sum(a == b for a, b in zip(found, shifted, strict=True)) == 0


async def test_words_it_never_learned_are_named_in_a_warning(open_engine) -> None:
    engine = await open_engine("starter")
    request = ImageRequest("a velvet mug on a beach", seeds=(1,))
    result = await paint(engine, request)
    assert any("velvet" in warning for warning in result.warnings)


def test_the_judge_is_shipped_without_pickles_and_knows_what_the_model_knows() -> None:
    assert {path.suffix for path in JUDGE.iterdir()} == {".json", ".safetensors"}
    assert load_vocabulary(JUDGE) == load_vocabulary(WEIGHTS)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_one_command_makes_a_model_from_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine.starter.train", "--work", str(tmp_path / "work")]
    command += ["--weights", str(tmp_path / "weights"), "--judge", str(tmp_path / "judge")]
    command += ["--minutes", "0.05", "--pictures", "8", "--side", "128"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "weights" / "model_index.json").is_file()
    assert (tmp_path / "weights" / "upscaler" / "config.json").is_file()
    assert (tmp_path / "judge" / "judge.safetensors").is_file()
    assert load_vocabulary(tmp_path / "weights") == load_vocabulary(tmp_path / "judge") == FULL
    assert load_conditioning(tmp_path / "weights") is not None
