"""What one training picture teaches: paint it, fill it in, edit another one into it, ink it.

Each task is a way of filling the denoiser's five extra channels (conditioning.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from engine.starter.autoencoder import StarterAutoencoder
from engine.starter.latents import Encoded
from engine.starter.training import load_pictures, to_tensor

TASKS: Final = ("paint", "fill", "edit", "ink")
SHARES: Final = (0.64, 0.14, 0.12, 0.10)


class Conditions:
    """Fills the five channels for a batch.

    Args:
        data: folder of renders.
        encoded: their latents.
        autoencoder: encodes pictures with a hole.
        rng: chooses tasks and holes.
    """

    def __init__(
        self,
        data: Path,
        encoded: Encoded,
        autoencoder: StarterAutoencoder,
        rng: np.random.Generator,
    ) -> None:
        self._pictures, _ = load_pictures(data / "train.npy")
        self._masks = np.load(data / "train-masks.npy", mmap_mode="r")
        self._encoded, self._autoencoder, self._rng = encoded, autoencoder, rng

    def fill(self, chosen: npt.NDArray[np.int64]) -> Tensor:
        """Return (B, 5, h, w) for the pictures `chosen`, a task drawn for each."""
        side = self._encoded.pictures.shape[-1]
        out = torch.zeros(len(chosen), 5, side, side)
        tasks = self._rng.choice(len(TASKS), len(chosen), p=SHARES)
        for row, (task, i) in enumerate(zip(tasks, chosen, strict=True)):
            if TASKS[task] == "edit":
                # Pictures 2k and 2k + 1 are a pair that differs in one thing.
                other = min(i ^ 1, len(self._pictures) - 1)
                out[row, 1:] = _copied(self._encoded.pictures[other])
            elif TASKS[task] == "ink":
                out[row, 1:] = _copied(self._encoded.drawings[i])
        rows = np.flatnonzero(tasks == TASKS.index("fill"))
        if len(rows):
            masks = torch.stack([self._hole(int(i)) for i in chosen[rows]])
            pictures = to_tensor(self._pictures[chosen[rows]])
            with torch.no_grad():
                given = self._autoencoder.encode(pictures * (masks < 0.5)).latents
            small = functional.interpolate(masks, size=(side, side))
            out[torch.from_numpy(rows)] = torch.cat([small, given], dim=1)
        return out

    def _hole(self, i: int) -> Tensor:
        """Return what is to be painted anew, (1, H, W) of 0 and 1."""
        side, rng = self._pictures.shape[1], self._rng
        kind = rng.random()
        if kind < 0.55:
            mask = torch.from_numpy(np.unpackbits(self._masks[i], axis=-1)).float()[None]
            reach = int(rng.integers(0, side // 16))
            return functional.max_pool2d(mask[None], 2 * reach + 1, 1, reach)[0]
        mask = torch.zeros(1, side, side)
        if kind < 0.9:
            for _ in range(int(rng.integers(1, 3))):
                high, wide = rng.integers(side // 8, side // 2 + side // 4, 2)
                y, x = rng.integers(0, side - high), rng.integers(0, side - wide)
                mask[:, y : y + high, x : x + wide] = 1
            return mask
        return mask + 1


def _copied(latents: npt.NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(np.array(latents)).float()
