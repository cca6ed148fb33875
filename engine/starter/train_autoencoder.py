"""Stage 1: the autoencoder, on random crops, with noise on the latents.

The decoder must forgive what the denoiser leaves behind, hence the noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.starter.autoencoder import FACTOR, StarterAutoencoder
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
    state_of,
    to_tensor,
    worker_count,
)

# Each worker's; a GPU takes more at once.
BATCH = 64 if torch.cuda.is_available() else 4
CROP, PEAK_RATE = 128, 1.5e-3


def reconstruction_loss(made: Tensor, true: Tensor) -> Tensor:
    """Return L1 plus L1 of the gradients, which keeps edges."""
    loss = (made - true).abs().mean()
    for dim in (2, 3):
        loss = loss + 0.7 * (made.diff(dim=dim) - true.diff(dim=dim)).abs().mean()
    return loss


def mean_psnr(model: StarterAutoencoder, pictures: Pixels) -> float:
    """Return the mean PSNR in dB of pictures that were encoded and decoded."""
    values: list[float] = []
    with torch.no_grad():
        for start in range(0, len(pictures), 8):
            x = to_tensor(pictures[start : start + 8]).to(model.device)
            values += psnr(model(x), x).tolist()
    return float(np.mean(values))


def adopt(earlier: Path, work: Path) -> None:
    """Take over an earlier model's autoencoder, unless `work` has one.

    Raises:
        SystemExit: if there is none.
    """
    if (work / "autoencoder.pt").exists():
        return
    state = load_checkpoint(earlier / "autoencoder.pt")
    if state is None:
        raise SystemExit(f"There is no autoencoder in {earlier}.")
    save_checkpoint(work / "autoencoder.pt", state)


def train(
    data: Path,
    work: Path,
    minutes: float,
    decoder_only: bool,
    checkpoint_seconds: float,
    team: Team,
) -> None:
    """Train until the budget is used; resume from the last checkpoint.

    With `decoder_only` the latents stay as they are, so that a trained denoiser stays valid.
    """
    torch.manual_seed(0)
    pictures, _ = load_pictures(data / "train.npy")
    fresh, items = load_pictures(data / "test.npy")
    model = StarterAutoencoder().to(fastest_device())
    path = work / ("decoder.pt" if decoder_only else "autoencoder.pt")
    state = load_checkpoint(path)
    if decoder_only:
        first = load_checkpoint(work / "autoencoder.pt")
        if first is None:
            raise SystemExit("Train the autoencoder first, then its decoder alone.")
        model.load_state_dict(first["average"])
        model.encoder.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    peak = PEAK_RATE * (0.4 if decoder_only else 1)
    optimizer = torch.optim.AdamW(trained, lr=peak, betas=(0.9, 0.98), weight_decay=0.001)
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    average = Average(model, 0.999)
    if state is not None:
        average.values = {k: v.to(model.device) for k, v in state["average"].items()}
    budget = Budget(minutes, state["used_s"] if state else 0.0)
    step = state["step"] if state else 0
    share = budget.share if state else 0.0
    rng = np.random.default_rng([step, team.rank])
    torch.manual_seed(step + team.rank)
    due = every(checkpoint_seconds)
    model.to(memory_format=torch.channels_last)
    progress = Progress(path.stem, team)
    shown = 0.0
    while share < 1:
        for group in optimizer.param_groups:
            group["lr"] = peak * budget.rate()
        x = random_crops(pictures, rng, BATCH, CROP, FACTOR).to(
            model.device, memory_format=torch.channels_last
        )
        latents = model.encode(x).latents
        level = torch.rand(len(x), 1, 1, 1, device=x.device) * 0.16
        made = model.decode(latents + level * torch.randn_like(latents)).sample
        loss = reconstruction_loss(made, x)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        share = team.average(trained, budget.share)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        step += 1
        if not team.leads:
            continue
        average.update(model, step)
        shown = loss.item() if step == 1 else shown * 0.98 + loss.item() * 0.02
        rate = step * BATCH * team.size / budget.used_s
        progress.show(share, f"step {step}, loss {shown:.4f}, {rate:.1f}/s")
        if next(due) or share >= 1:
            save_checkpoint(path, state_of(model, average, optimizer, budget, step))
    progress.close()
    if not team.leads:
        return
    model.load_state_dict(average.values)
    for domain in ("product", "avatar"):
        chosen = [i for i, item in enumerate(items) if item["domain"] == domain][:64]
        print(f"{domain}: {mean_psnr(model, fresh[chosen]):.2f} dB on fresh pictures")


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--processes", type=int, default=worker_count())
    parser.add_argument("--checkpoint-seconds", type=float, default=CHECKPOINT_EVERY_S)
    parser.add_argument("--decoder-only", action="store_true")
    parser.add_argument(
        "--start-from",
        type=Path,
        help="work folder of an earlier model, whose autoencoder is taken over",
    )
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.start_from is not None:
        adopt(options.start_from, options.work)
    run_team(
        options.processes,
        train,
        options.data,
        options.work,
        options.minutes,
        options.decoder_only,
        options.checkpoint_seconds,
    )


if __name__ == "__main__":
    main()
