"""Training goes on where a kill stopped it, and its parts fit together as a diffusers folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from engine.starter.autoencoder import StarterAutoencoder
from engine.starter.render.dataset import draw_items, render
from engine.starter.train_autoencoder import reconstruction_loss
from engine.starter.training import Budget, load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    items = draw_items(24, 0.0, 3, held_out=True)
    render({folder / "train.npy": items, folder / "test.npy": items}, 128, 1)
    return folder


def start_training(data: Path, work: Path, minutes: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "engine.starter.train_autoencoder"]
    command += ["--data", str(data), "--work", str(work), "--minutes", str(minutes)]
    command += ["--processes", "1", "--checkpoint-seconds", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.slow
def test_a_killed_training_resumes_where_its_checkpoint_stands(data: Path, tmp_path: Path) -> None:
    process = start_training(data, tmp_path, minutes=30)
    path = tmp_path / "autoencoder.pt"
    deadline = time.monotonic() + 200
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = load_checkpoint(path)
    assert state is not None and state["step"] > 0
    again = start_training(data, tmp_path, minutes=(state["used_s"] + 2) / 60)
    out, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    after = load_checkpoint(path)
    assert after is not None and after["step"] > state["step"]
    assert after["used_s"] > state["used_s"]
    assert "dB on fresh pictures" in out


def test_a_kill_while_writing_leaves_the_old_checkpoint_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(path, {"step": 1})
    path.with_suffix(".part").write_bytes(b"half a checkpoint")
    assert load_checkpoint(path) == {"step": 1}


def test_the_learning_rate_warms_up_stays_and_falls() -> None:
    rates = [Budget(100, used_s=share * 6000).rate() for share in (0, 0.3, 0.59, 0.8, 1.0)]
    assert rates[0] < 0.2 and rates[1] == rates[2] == 1.0
    assert rates[3] == pytest.approx(0.51, abs=0.01) and rates[4] == pytest.approx(0.02, abs=0.001)


def test_the_autoencoder_keeps_the_picture_average_in_its_latents() -> None:
    model = StarterAutoencoder()
    picture = torch.rand(2, 3, 64, 64) * 2 - 1
    latents = model.encode(picture).latents
    assert latents.shape == (2, 4, 8, 8)
    average = latents[:, :3] / model.config.picture_scale + model.config.picture_mean
    assert torch.allclose(average, torch.nn.functional.avg_pool2d(picture, 8), atol=1e-5)
    assert model.decode(latents).sample.shape == picture.shape


def test_the_reconstruction_loss_sees_edges() -> None:
    true = torch.zeros(1, 3, 8, 8)
    true[..., 4:] = 1
    flat = torch.full_like(true, 0.5)
    shifted = true + 0.5
    assert reconstruction_loss(flat, true) > reconstruction_loss(shifted, true)
