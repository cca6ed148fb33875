"""The second stage's upscaler, on crops of renders of twice the size.

`python -m engine.starter.train_upscaler --data FOLDER512 --work FOLDER`: renders of 512 px are the
truth. Seven inputs in ten are what the frozen autoencoder makes of the smaller picture with noise
on its latents, as after painting; the others are the smaller picture itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.starter.autoencoder import FACTOR, StarterAutoencoder
from engine.starter.latents import load_painter
from engine.starter.train_autoencoder import reconstruction_loss
from engine.starter.training import (
    CHECKPOINT_EVERY_S,
    Average,
    Budget,
    Pixels,
    Progress,
    Team,
    every,
    fastest_device,
    load_checkpoint,
    load_pictures,
    psnr,
    random_crops,
    run_team,
    save_checkpoint,
    sharpness,
    state_of,
    to_tensor,
    worker_count,
)
from engine.starter.upscaler import SCALE, StarterUpscaler

BATCH: Final = 64 if torch.cuda.is_available() else 4
CROP: Final = 192  # pixels of the truth
PEAK_RATE: Final = 1e-3
PAINTED: Final = 0.7
CHECKPOINT: Final = "upscaler.pt"


@torch.no_grad()
def as_painted(small: Tensor, painter: StarterAutoencoder, noise: float = 0.16) -> Tensor:
    """Return pictures as the decoder paints them from latents that are not quite right."""
    latents = painter.encode(small).latents
    level = torch.rand(len(small), 1, 1, 1, device=small.device) * noise
    made: Tensor = painter.decode(latents + level * torch.randn_like(latents)).sample
    return made.clamp(-1, 1)


def shrunk(pictures: Tensor) -> Tensor:
    """Return pictures at half their size."""
    return functional.avg_pool2d(pictures, SCALE)


@torch.no_grad()
def figures(
    model: StarterUpscaler, painter: StarterAutoencoder, pictures: Pixels
) -> dict[str, float]:
    """Return PSNR in dB and sharpness (mean step between neighbors, 0..255), beside bicubic's."""
    torch.manual_seed(0)
    found: dict[str, list[float]] = {}
    for start in range(0, len(pictures), 4):
        true = to_tensor(pictures[start : start + 4])
        painted = as_painted(shrunk(true), painter, 0.08)
        plain = functional.interpolate(
            painted, scale_factor=SCALE, mode="bicubic", align_corners=False
        )
        made = model(painted)
        for name, value in (("render", true), ("upscaler", made), ("bicubic", plain)):
            found.setdefault(f"sharpness_{name}", []).append(sharpness(value.clamp(-1, 1)))
            if name != "render":
                found.setdefault(f"psnr_{name}", []).extend(psnr(value, true).tolist())
    return {name: round(float(np.mean(values)), 3) for name, values in found.items()}


def train(data: Path, work: Path, minutes: float, team: Team) -> None:
    """Train until the budget is used; resume from the last checkpoint."""
    torch.manual_seed(0)
    device = fastest_device()
    pictures, _ = load_pictures(data / "train.npy")
    painter = load_painter(work).to(device)
    model = StarterUpscaler().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98))
    state = load_checkpoint(work / CHECKPOINT)
    average = Average(model, 0.999)
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.values = {k: v.to(device) for k, v in state["average"].items()}
    budget = Budget(minutes, state["used_s"] if state else 0.0)
    step, shown = state["step"] if state else 0, 0.0
    share = budget.share if state else 0.0
    rng = np.random.default_rng([step, team.rank])
    torch.manual_seed(step * 64 + team.rank)
    due, progress = every(CHECKPOINT_EVERY_S), Progress("upscaler", team)
    while share < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * budget.rate()
        true = random_crops(pictures, rng, BATCH, CROP, FACTOR * SCALE).to(device)
        small = shrunk(true)
        painted = torch.rand(len(small), device=device) < PAINTED
        given = torch.where(painted[:, None, None, None], as_painted(small, painter), small)
        made = model(given.contiguous(memory_format=torch.channels_last))
        loss = reconstruction_loss(made, true)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        share = team.average(model.parameters(), budget.share)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if not team.leads:
            continue
        average.update(model, step)
        shown = loss.item() if shown == 0 else 0.98 * shown + 0.02 * loss.item()
        progress.show(share, f"step {step}, loss {shown:.4f}")
        if next(due) or share >= 1:
            save_checkpoint(work / CHECKPOINT, state_of(model, average, optimizer, budget, step))
    progress.close()
    if team.leads:
        model.load_state_dict(average.values)
        fresh, _ = load_pictures(data / "test.npy")
        print(json.dumps(figures(model.cpu(), painter.cpu(), fresh[:64])))


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="renders of 512 px")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--processes", type=int, default=worker_count())
    options = parser.parse_args()
    run_team(options.processes, train, options.data, options.work, options.minutes)


if __name__ == "__main__":
    main()
