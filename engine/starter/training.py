"""What the training stages share: pictures from disk, schedules, averages, checkpoints."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm import tqdm

CHECKPOINT_EVERY_S = 240
Pixels = npt.NDArray[np.uint8]


def load_pictures(path: Path) -> tuple[Pixels, list[dict[str, Any]]]:
    """Return pictures (N, side, side, 3) uint8, memory-mapped, and their items."""
    items = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    return np.load(path, mmap_mode="r"), items


def to_tensor(pictures: Pixels) -> Tensor:
    """Return (B, 3, H, W) float in -1..1."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def random_crops(
    pictures: Pixels, rng: np.random.Generator, count: int, side: int, grid: int
) -> Tensor:
    """Return (count, 3, side, side) in -1..1: random crops on a grid, half of them mirrored."""
    out = np.empty((count, side, side, 3), np.uint8)
    room = (pictures.shape[1] - side) // grid
    for i in range(count):
        y, x = grid * rng.integers(0, room + 1, 2)
        crop = pictures[rng.integers(len(pictures)), y : y + side, x : x + side]
        out[i] = crop[:, ::-1] if rng.random() < 0.5 else crop
    return to_tensor(out)


def psnr(made: Tensor, true: Tensor) -> Tensor:
    """Return the PSNR in dB of each of the pictures (B, 3, H, W) in -1..1."""
    error = ((made.clamp(-1, 1) - true) / 2).pow(2).mean(dim=(1, 2, 3))
    return -10 * error.clamp(min=1e-9).log10()


def sharpness(pictures: Tensor) -> float:
    """Return the mean step between neighboring pixels, 0..255."""
    steps = [pictures.diff(dim=dim).abs().mean() for dim in (2, 3)]
    return round(float(sum(steps)) / 2 * 127.5, 3)


_clock = time.monotonic if torch.cuda.is_available() else time.process_time


class Budget:
    """A time budget that survives restarts: share used, and the learning rate that follows it.

    The rate warms up over 1 %, stays, and falls to 2 % over the last share of the budget: a run is
    as good as its decay (docs/starter.md), so stop early only by giving it less time.

    Args:
        minutes: all of it, of computing: on a CPU the time that this process was given, so that
            waiting for other work costs nothing; on a GPU the clock's.
        used_s: seconds that earlier runs used.
        decay: share over which the rate falls; 0 for a run that another one will end.
    """

    def __init__(self, minutes: float, used_s: float = 0.0, decay: float = 0.4) -> None:
        self.seconds = max(minutes * 60, 1e-3)
        self.decay = decay
        self._before = used_s
        self._start = _clock()

    @property
    def used_s(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return self._before + _clock() - self._start

    @property
    def share(self) -> float:
        """Share of the budget that is used, 0..1."""
        return min(1.0, self.used_s / self.seconds)

    def rate(self) -> float:
        """Factor of the peak learning rate."""
        if self.share < 0.01 and self.decay < 1:
            return 0.1 + 0.9 * self.share / 0.01
        if self.share < 1 - self.decay or self.decay == 0:
            return 1.0
        return 0.02 + 0.98 * (1 - self.share) / self.decay


class Average:
    """An exponential moving average of a module's parameters."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, updates: int) -> None:
        """Move towards the module; faster in the first updates."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        for key, value in module.state_dict().items():
            self.values[key].lerp_(value, 1 - decay)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a kill at any moment leaves the old or the new one whole."""
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    os.replace(temporary, path)


def state_of(
    model: nn.Module,
    average: Average,
    optimizer: torch.optim.Optimizer,
    budget: Budget,
    step: int,
) -> dict[str, Any]:
    """Return what a run needs to go on from here, and what is shipped: the average."""
    return {
        "model": model.state_dict(),
        "average": average.values,
        "optimizer": optimizer.state_dict(),
        "used_s": budget.used_s,
        "step": step,
    }


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return the checkpoint, or None if there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def every(seconds: float) -> Iterator[bool]:
    """Yield True once per `seconds`, else False."""
    last = time.monotonic()
    while True:
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            yield True
        else:
            yield False


class Team:
    """Workers that train one model, one thread each, averaging their gradients every step.

    Single threads in step with each other share a busy machine far better than one process with
    several: those wait for each other inside every operator (docs/starter.md).
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this worker saves and shows progress."""
        return self.rank == 0

    def average(self, parameters: Iterable[nn.Parameter], share: float) -> float:
        """Average gradients in place and the used share of the budget, which is returned."""
        if self.size == 1:
            return share
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients] + [torch.tensor([share])])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()
        return float(flat[-1])


def _join(rank: int, size: int, rendezvous: str, work: Callable[..., None], args: Any) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size
    )
    work(*args, Team(rank, size))
    torch.distributed.destroy_process_group()


def run_team(size: int, work: Callable[..., None], *args: Any) -> None:
    """Call `work(*args, team)` in `size` processes, or in this one if it is the only one."""
    if size == 1:
        work(*args, Team())
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(  # type: ignore[attr-defined,no-untyped-call]
            _join, args=(size, f"{folder}/rendezvous", work, args), nprocs=size
        )


def fastest_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def worker_count() -> int:
    """Return how many workers suit this machine: one a core, one alone where there is a GPU."""
    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))


class Progress:
    """A bar over the share of a budget, shown by the leading worker; rare lines in a file."""

    def __init__(self, name: str, team: Team | None = None) -> None:
        leads = team is None or team.leads
        self._due = every(1.0 if sys.stderr.isatty() else 30.0)
        self._bar = tqdm(
            total=100,
            desc=name,
            bar_format="{l_bar}{bar:20}| {elapsed} {postfix}",
            disable=not leads,
        )

    def show(self, share: float, text: str) -> None:
        """Show how far it is, if the last time is long enough ago or it is done."""
        if next(self._due) or share >= 1:
            self._bar.n = round(100 * share, 1)
            self._bar.set_postfix_str(text)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._bar.close()
