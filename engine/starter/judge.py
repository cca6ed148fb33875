"""The judge: a small classifier that tells what a picture shows, trained on renders alone.

Its own accuracy on fresh renders stands beside every figure it gives (evaluate.py).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from engine.starter import JUDGE
from engine.starter import vocabulary as words
from engine.starter.training import Budget, Pixels, load_pictures, to_tensor

SIDE, BATCH, PEAK_RATE = 64, 64, 2e-3
_CHUNK = 256  # pictures read at once

HEADS: dict[str, tuple[str, ...]] = {
    **{f"product_{k}": v for k, v in words.PRODUCT_ATTRIBUTES.items()},
    **{f"avatar_{k}": v for k, v in words.AVATAR_ATTRIBUTES.items()},
    "domain": ("product", "avatar"),
}


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
    """Pictures (B, 3, 64, 64) in -1..1 to logits by head name."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 192)
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairwise(widths)))
        self.heads = nn.ModuleDict({k: nn.Linear(192 * 4, len(v)) for k, v in HEADS.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the logits (B, values) of every head."""
        state = functional.adaptive_avg_pool2d(self.blocks(x), 2).flatten(1)
        return {name: head(state) for name, head in self.heads.items()}

    @torch.inference_mode()
    def judge(self, pictures: Tensor) -> list[dict[str, str]]:
        """Say what each picture (B, 3, H, W) in -1..1 shows, by head name."""
        logits = self(shrink(pictures))
        chosen = {name: values.argmax(dim=1).tolist() for name, values in logits.items()}
        return [{k: HEADS[k][v[i]] for k, v in chosen.items()} for i in range(len(pictures))]


def shrink(pictures: Tensor) -> Tensor:
    """Return pictures at the judge's size."""
    return functional.interpolate(pictures, size=(SIDE, SIDE), mode="area")


def labels_of(items: Sequence[dict[str, Any]]) -> Tensor:
    """Return (N, heads) indices; -100 where a head does not apply."""
    out = torch.full((len(items), len(HEADS)), -100, dtype=torch.long)
    for row, item in enumerate(items):
        for column, (name, values) in enumerate(HEADS.items()):
            prefix, _, attribute = name.partition("_")
            a = item["attributes"]
            if name == "domain":
                out[row, column] = values.index(item["domain"])
            elif prefix == item["domain"]:
                if name == "avatar_hair_color" and a["hair_style"] == "bald" and a["beard"] == "no":
                    continue
                out[row, column] = values.index(a[attribute])
    return out


def small_pictures(pictures: Pixels) -> Tensor:
    """Return (N, 3, 64, 64) uint8 of pictures on disk."""
    parts = []
    for start in range(0, len(pictures), _CHUNK):
        x = shrink(to_tensor(pictures[start : start + _CHUNK]))
        parts.append(((x + 1) * 127.5).round().byte())
    return torch.cat(parts)


def _augmented(x: Tensor) -> Tensor:
    """Shift, soften and disturb, so that the judge reads shapes and not exact pixels."""
    shift = torch.randint(-3, 4, (2,)).tolist()
    x = torch.roll(x, shift, dims=(2, 3))
    if torch.rand(()) < 0.5:
        side = int(torch.randint(28, 56, ()))
        x = functional.interpolate(x, size=(side, side), mode="area")
        x = functional.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return x + torch.rand(()) * 0.12 * torch.randn_like(x)


def train(data: Path, out: Path, minutes: float) -> None:
    """Train on all training renders and two thirds of the test renders; report on the rest."""
    torch.manual_seed(0)
    pictures, items = load_pictures(data / "train.npy")
    others, other_items = load_pictures(data / "test.npy")
    cut = len(others) * 2 // 3
    x = torch.cat([small_pictures(pictures), small_pictures(others[:cut])])
    y = labels_of([*items, *other_items[:cut]])
    model = Judge()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    budget = Budget(minutes)
    bar = tqdm(
        total=100, desc="judge", bar_format="{l_bar}{bar}| {elapsed} {postfix}", mininterval=2
    )
    step, shown = 0, 0.0
    while budget.share < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * budget.rate()
        chosen = torch.randint(len(x), (BATCH,))
        logits = model(_augmented(x[chosen].float() / 127.5 - 1))
        losses = [
            functional.cross_entropy(logits[name], y[chosen, i], ignore_index=-100)
            for i, name in enumerate(HEADS)
        ]
        loss = torch.stack([value for value in losses if torch.isfinite(value)]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        shown = loss.item() if step == 1 else 0.98 * shown + 0.02 * loss.item()
        bar.n = 100 * budget.share
        bar.set_postfix_str(f"step {step}, loss {shown:.4f}")
    bar.close()
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half() for k, v in model.state_dict().items()}, out / "judge.safetensors")
    print(json.dumps(accuracy(model.eval(), to_tensor(others[cut:]), other_items[cut:])))


def accuracy(model: Judge, pictures: Tensor, items: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the share of right answers by head, over the pictures it applies to."""
    found = []
    for start in range(0, len(pictures), _CHUNK):
        found += model.judge(pictures[start : start + _CHUNK])
    truth = labels_of(items)
    result = {}
    for column, (name, values) in enumerate(HEADS.items()):
        rows = [i for i in range(len(items)) if truth[i, column] >= 0]
        right = sum(found[i][name] == values[truth[i, column]] for i in rows)
        if rows:
            result[name] = round(right / len(rows), 4)
    return result


def load_judge(folder: Path = JUDGE) -> Judge:
    """Return the trained judge."""
    model = Judge()
    state = load_file(folder / "judge.safetensors")
    model.load_state_dict({k: v.float() for k, v in state.items()})
    return model.eval()


def main() -> None:
    """Train the judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=JUDGE)
    parser.add_argument("--minutes", type=float, default=6)
    options = parser.parse_args()
    train(options.data, options.out, options.minutes)


if __name__ == "__main__":
    main()
