"""Stage 3: the denoiser, by flow matching on the frozen latents and captions.

x_t = (1 - t) x + t noise, the network predicts v = noise - x (rectified flow, arXiv:2209.03003),
t is logit-normal (arXiv:2403.03206), 10 % of captions are empty for classifier-free guidance. What
each picture teaches besides: tasks.py.

The trunk trains at a constant rate and can go on forever; `--cooldown` branches off it with a
falling rate and makes what is shipped (as in arXiv:2405.18392): so that more time can be given
later without throwing any away.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from engine.starter.conditioning import GIVEN, LATENT, MASK
from engine.starter.latents import PHRASINGS, Encoded, encode_all, load_autoencoder, open_encoded
from engine.starter.tasks import Conditions
from engine.starter.training import (
    CHECKPOINT_EVERY_S,
    Average,
    Budget,
    Progress,
    Team,
    every,
    fastest_device,
    load_checkpoint,
    run_team,
    save_checkpoint,
    state_of,
    worker_count,
)

# Each worker's; a GPU takes more at once.
BATCH: Final = 512 if torch.cuda.is_available() else 16
PEAK_RATE: Final = 1e-3
TRUNK, COOLED = "denoiser.pt", "denoiser-cooled.pt"
UNET: Final[dict[str, Any]] = {
    "sample_size": 32,
    "in_channels": LATENT + MASK + GIVEN,
    "out_channels": LATENT,
    "block_out_channels": (32, 64, 160, 240),
    "down_block_types": (
        "DownBlock2D",
        "DownBlock2D",
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
    ),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": 192,
    "attention_head_dim": 4,
    "norm_num_groups": 16,
}


@dataclass(frozen=True, slots=True)
class Run:
    """One call of this stage.

    Attributes:
        data, work: folders of the renders and of checkpoints.
        minutes: of the trunk, or of the cooldown if `cooldown`.
        cooldown: whether to branch off the trunk with a falling rate.
        start_from: checkpoint of an earlier denoiser whose weights a new trunk starts with.
    """

    data: Path
    work: Path
    minutes: float
    cooldown: bool = False
    start_from: Path | None = None


def build_denoiser(in_channels: int = LATENT + MASK + GIVEN) -> UNet2DConditionModel:
    """Return the untrained denoiser."""
    return UNet2DConditionModel(**{**UNET, "in_channels": in_channels})


def widened_weights(earlier: dict[str, Tensor], model: torch.nn.Module) -> dict[str, Tensor]:
    """Return weights for `model` from an earlier denoiser; new input channels start at zero."""
    state = dict(model.state_dict())
    for name, value in earlier.items():
        if name in state and state[name].shape == value.shape:
            state[name] = value
        elif name == "conv_in.weight":
            state[name] = torch.zeros_like(state[name])
            state[name][:, : value.shape[1]] = value
    return state


def _initial_state(run: Run, model: torch.nn.Module) -> dict[str, Any] | None:
    """Return the checkpoint to go on from."""
    trunk = load_checkpoint(run.work / TRUNK)
    if not run.cooldown:
        if trunk is None and run.start_from is not None:
            earlier = load_checkpoint(run.start_from)
            if earlier is None:
                raise SystemExit(f"There is no {run.start_from}.")
            model.load_state_dict(widened_weights(earlier["average"], model))
        return trunk
    if trunk is None:
        raise SystemExit("There is no trunk yet: train without --cooldown first.")
    cooled = load_checkpoint(run.work / COOLED)
    if cooled is not None and cooled["trunk_step"] == trunk["step"]:
        return cooled
    return {**trunk, "used_s": 0.0, "trunk_step": trunk["step"]}


class _Batches:
    """Draws latents, captions and the five extra channels; every picture once in a round."""

    def __init__(self, encoded: Encoded, conditions: Conditions, rng: np.random.Generator) -> None:
        self._encoded, self._conditions, self._rng = encoded, conditions, rng
        self._order = rng.permutation(len(encoded.pictures))
        self._at = 0

    def next(self) -> tuple[Tensor, Tensor, Tensor]:
        count = len(self._order)
        size = min(BATCH, count)
        if self._at + size > count:
            self._order, self._at = self._rng.permutation(count), 0
        chosen = self._order[self._at : self._at + size]
        self._at += size
        rows = np.where(self._rng.random(size) < 0.1, count, chosen)
        phrasing = self._rng.integers(0, PHRASINGS, size)
        text = np.stack([self._encoded.captions[r, p] for r, p in zip(rows, phrasing, strict=True)])
        pictures = np.stack([self._encoded.pictures[i] for i in chosen])
        return (
            torch.from_numpy(pictures).float(),
            torch.from_numpy(text).float(),
            self._conditions.fill(chosen),
        )


def train(run: Run, team: Team) -> None:
    """Train until the budget is used; resume from the last checkpoint."""
    device = fastest_device()
    torch.manual_seed(0)
    model = build_denoiser().to(device).to(memory_format=torch.channels_last)
    state = _initial_state(run, model)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    average = Average(model, 0.99 if run.cooldown else 0.9975)
    if state is not None and not (run.cooldown and state["used_s"] == 0):
        average.values = {k: v.to(device) for k, v in state["average"].items()}
    budget = Budget(run.minutes, state["used_s"] if state else 0.0, 1.0 if run.cooldown else 0.0)
    step = state["step"] if state else 0
    share = budget.share if budget.used_s > 1 else 0.0
    shown = state["loss"] if state else 1.0
    torch.manual_seed(step * 64 + team.rank)
    rng = np.random.default_rng([step, team.rank])
    encoded = open_encoded(run.work)
    conditions = Conditions(run.data, encoded, load_autoencoder(run.work), rng)
    batches = _Batches(encoded, conditions, rng)
    forward = torch.compile(model) if device.type == "cuda" else model
    due, first_step, first_s = every(CHECKPOINT_EVERY_S), step, budget.used_s
    progress = Progress("cooldown" if run.cooldown else "denoiser", team)
    while share < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * budget.rate()
        x, text, extra = (part.to(device) for part in batches.next())
        loss = _flow_loss(forward, x, text, extra)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        share = team.average(model.parameters(), budget.share)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if not team.leads:
            continue
        if step % 4 == 0:
            average.update(model, step // 4)
        shown = 0.995 * shown + 0.005 * loss.item()
        seen = step * len(x) * team.size
        rate = (step - first_step) * len(x) * team.size / max(budget.used_s - first_s, 1e-3)
        progress.show(share, f"samples {seen}, loss {shown:.4f}, {rate:.1f}/s")
        if next(due) or share >= 1:
            save_checkpoint(
                run.work / (COOLED if run.cooldown else TRUNK),
                {
                    **state_of(model, average, optimizer, budget, step),
                    "trunk_step": state["trunk_step"] if state and run.cooldown else step,
                    "loss": shown,
                },
            )
    progress.close()


def _flow_loss(model: Any, x: Tensor, text: Tensor, extra: Tensor) -> Tensor:
    t = torch.sigmoid(0.2 + torch.randn(len(x), device=x.device))
    noise = torch.randn_like(x)
    share = t[:, None, None, None]
    mixed = torch.cat([(1 - share) * x + share * noise, extra], dim=1)
    mixed = mixed.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cuda", torch.bfloat16, enabled=x.is_cuda):
        made = model(mixed, t * 1000, text).sample
    loss: Tensor = (made.float() - (noise - x)).pow(2).mean()
    return loss


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--cooldown", action="store_true")
    parser.add_argument("--start-from", type=Path)
    parser.add_argument("--processes", type=int, default=worker_count())
    options = vars(parser.parse_args())
    processes = options.pop("processes")
    run = Run(**options)
    encode_all(run.data, run.work)
    run_team(processes, train, run)


if __name__ == "__main__":
    main()
