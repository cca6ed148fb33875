"""The judge: a small classifier that tells what a picture shows, trained on renders alone.

Its own accuracy on fresh renders stands beside every figure it gives (evaluate.py).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from engine.starter import JUDGE
from engine.starter.training import (
    CHECKPOINT_EVERY_S,
    Budget,
    Pixels,
    Progress,
    every,
    fastest_device,
    load_checkpoint,
    load_pictures,
    save_checkpoint,
    to_tensor,
)
from engine.starter.vocabulary import FULL, Vocabulary, load_vocabulary

BATCH: Final = 48
PEAK_RATE: Final = 2e-3
SIDE, POOL = 128, 4
_CHUNK = 256  # pictures read at once
_HEAVY: Final = {"product_finish": 3.0, "product_shape": 2.0, "avatar_expression": 2.0}


class _Block(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.shrink = nn.Conv2d(width, out, 3, stride=2, padding=1)
        self.norm1, self.norm2 = nn.GroupNorm(8, out), nn.GroupNorm(8, out)
        self.conv = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.silu(self.norm1(self.shrink(x)))
        out: Tensor = x + functional.silu(self.norm2(self.conv(x)))
        return out


class Judge(nn.Module):
    """Pictures (B, 3, side, side) in -1..1 to logits by head name.

    Args:
        known: what it tells apart.
        side: pixels that it looks at.
        pool: places, across and down, that its features are averaged over.
    """

    def __init__(self, known: Vocabulary, side: int = SIDE, pool: int = POOL) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 192)
        self.values, self.side, self.pool = known.heads, side, pool
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairwise(widths)))
        features = widths[-1] * pool**2
        self.heads = nn.ModuleDict({k: nn.Linear(features, len(v)) for k, v in known.heads.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the logits (B, values) of every head."""
        state = functional.adaptive_avg_pool2d(self.blocks(x), self.pool).flatten(1)
        return {name: head(state) for name, head in self.heads.items()}

    @torch.inference_mode()
    def judge(self, pictures: Tensor) -> list[dict[str, str]]:
        """Say what each picture (B, 3, H, W) in -1..1 shows, by head name."""
        logits = self(shrink(pictures, self.side))
        chosen = {name: values.argmax(dim=1).tolist() for name, values in logits.items()}
        return [{k: self.values[k][v[i]] for k, v in chosen.items()} for i in range(len(pictures))]


def shrink(pictures: Tensor, side: int) -> Tensor:
    """Return pictures at the judge's size."""
    return functional.interpolate(pictures, size=(side, side), mode="area")


def labels_of(items: Sequence[dict[str, Any]], heads: dict[str, tuple[str, ...]]) -> Tensor:
    """Return (N, heads) indices; -100 where a head does not apply."""
    out = torch.full((len(items), len(heads)), -100, dtype=torch.long)
    for row, item in enumerate(items):
        a = item["attributes"]
        hidden = a.get("hair_style") == "bald" and a.get("beard") == "no"
        for column, (name, values) in enumerate(heads.items()):
            prefix, _, attribute = name.partition("_")
            value = item["domain"] if name == "domain" else a.get(attribute)
            if prefix not in (item["domain"], "domain") or value not in values:
                continue
            if not (hidden and attribute == "hair_color"):
                out[row, column] = values.index(value)
    return out


def small_pictures(pictures: Pixels, side: int) -> Tensor:
    """Return (N, 3, side, side) uint8 of pictures on disk."""
    parts = []
    for start in range(0, len(pictures), _CHUNK):
        x = shrink(to_tensor(pictures[start : start + _CHUNK]), side)
        parts.append(((x + 1) * 127.5).round().byte())
    return torch.cat(parts)


def _augmented(x: Tensor) -> Tensor:
    """Shift, soften and disturb, so that the judge reads shapes and not exact pixels."""
    side = x.shape[-1]
    shift = torch.randint(-side // 20, side // 20 + 1, (2,)).tolist()
    x = torch.roll(x, shift, dims=(2, 3))
    if torch.rand(()) < 0.4:
        small = int(torch.randint(int(side * 0.6), int(side * 0.95), ()))
        x = functional.interpolate(x, size=(small, small), mode="area")
        x = functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
    return x + float(torch.rand(())) * 0.08 * torch.randn_like(x)


def train(data: Path, work: Path, out: Path, minutes: float) -> None:
    """Train on all training renders and two thirds of the test renders; report on the rest."""
    torch.manual_seed(0)
    pictures, items = load_pictures(data / "train.npy")
    others, other_items = load_pictures(data / "test.npy")
    cut = len(others) * 2 // 3
    x = torch.cat([small_pictures(pictures, SIDE), small_pictures(others[:cut], SIDE)])
    device = fastest_device()
    model = Judge(FULL).to(device)
    y = labels_of([*items, *other_items[:cut]], model.values)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    path = work / "judge.pt"
    before = load_checkpoint(path)
    if before is not None:
        model.load_state_dict(before["model"])
        optimizer.load_state_dict(before["optimizer"])
    budget = Budget(minutes, before["used_s"] if before else 0.0)
    step, shown, share = before["step"] if before else 0, 0.0, budget.share if before else 0.0
    torch.manual_seed(step)
    progress, due = Progress("judge"), every(CHECKPOINT_EVERY_S)
    while share < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * budget.rate()
        chosen = torch.randint(len(x), (BATCH,))
        logits = model(_augmented(x[chosen].to(device).float() / 127.5 - 1))
        truth = y[chosen].to(device)
        losses = [
            _HEAVY.get(name, 1.0)
            * functional.cross_entropy(logits[name], truth[:, i], ignore_index=-100)
            for i, name in enumerate(model.values)
            if (truth[:, i] >= 0).any()
        ]
        loss = torch.stack(losses).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step, share = step + 1, budget.share
        shown = loss.item() if shown == 0 else 0.98 * shown + 0.02 * loss.item()
        progress.show(share, f"step {step}, loss {shown:.4f}")
        if next(due) or share >= 1:
            save_checkpoint(
                path,
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "used_s": budget.used_s,
                    "step": step,
                },
            )
    progress.close()
    save_judge(model.cpu().eval(), out)
    print(json.dumps(accuracy(model, to_tensor(others[cut:]), other_items[cut:])))


def accuracy(model: Judge, pictures: Tensor, items: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the share of right answers by head, over the pictures it applies to."""
    found = []
    for start in range(0, len(pictures), _CHUNK):
        found += model.judge(pictures[start : start + _CHUNK])
    truth = labels_of(items, model.values)
    result = {}
    for column, (name, values) in enumerate(model.values.items()):
        rows = [i for i in range(len(items)) if truth[i, column] >= 0]
        right = sum(found[i][name] == values[truth[i, column]] for i in rows)
        if rows:
            result[name] = round(right / len(rows), 4)
    return result


def save_judge(model: Judge, folder: Path, known: Vocabulary = FULL) -> None:
    """Write the judge with its size and what it tells apart."""
    folder.mkdir(parents=True, exist_ok=True)
    known.save(folder)
    (folder / "config.json").write_text(json.dumps({"side": model.side, "pool": model.pool}) + "\n")
    save_file({k: v.half() for k, v in model.state_dict().items()}, folder / "judge.safetensors")


def load_judge(folder: Path = JUDGE) -> Judge:
    """Return the trained judge."""
    config = json.loads((folder / "config.json").read_text())
    model = Judge(load_vocabulary(folder), **config)
    state = load_file(folder / "judge.safetensors")
    model.load_state_dict({k: v.float() for k, v in state.items()})
    return model.eval()


def main() -> None:
    """Train the judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--out", type=Path, default=JUDGE)
    parser.add_argument("--minutes", type=float, default=30)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    train(options.data, options.work, options.out, options.minutes)


if __name__ == "__main__":
    main()
