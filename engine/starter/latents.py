"""Pictures, drawings and captions as the denoiser meets them, encoded once and kept on disk."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from engine.starter.autoencoder import StarterAutoencoder
from engine.starter.phrasings import varied_caption
from engine.starter.train_text import MAX_TOKENS, load_encoder
from engine.starter.training import load_checkpoint, load_pictures, to_tensor

PHRASINGS: Final = 4
_CHUNK: Final = 64
Halves = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Encoded:
    """All training pictures, memory-mapped.

    Attributes:
        pictures: (N, 4, 32, 32) fp16 latents.
        drawings: (N, 4, 32, 32) fp16 latents of the line drawings.
        captions: (N + 1, phrasings, tokens, width) fp16 embeddings; the last is the empty text.
    """

    pictures: Halves
    drawings: Halves
    captions: Halves


def load_autoencoder(work: Path) -> StarterAutoencoder:
    """Return the frozen autoencoder."""
    return _restored(load_checkpoint(work / "autoencoder.pt"))


def load_painter(work: Path) -> StarterAutoencoder:
    """Return the autoencoder with the decoder that paints: the one trained longest."""
    longest = load_checkpoint(work / "decoder.pt")
    return _restored(longest or load_checkpoint(work / "autoencoder.pt"))


def encode_all(data: Path, work: Path) -> None:
    """Write `latents.npy`, `drawings.npy` and `captions.npy` to `work`, where they are missing."""
    _keep(work / "latents.npy", lambda: _latents(_pictures(data), work, "latents"))
    _keep(work / "drawings.npy", lambda: _latents(_drawings(data), work, "drawings"))
    _keep(work / "captions.npy", lambda: _captions(data, work))


def open_encoded(work: Path) -> Encoded:
    """Return what `encode_all` wrote."""
    return Encoded(
        *(np.load(work / f"{n}.npy", mmap_mode="r") for n in ("latents", "drawings", "captions"))
    )


def _restored(state: dict[str, Any] | None) -> StarterAutoencoder:
    if state is None:
        raise SystemExit("There is no autoencoder yet: run engine.starter.train_autoencoder.")
    model = StarterAutoencoder()
    model.load_state_dict(state["average"])
    return model.eval().requires_grad_(False)


def _keep(path: Path, make: Any) -> None:
    if path.exists():
        return
    part = path.with_suffix(".part.npy")
    np.save(part, make())
    part.rename(path)


def _pictures(data: Path) -> Iterator[npt.NDArray[np.uint8]]:
    pictures, _ = load_pictures(data / "train.npy")
    for start in range(0, len(pictures), _CHUNK):
        yield pictures[start : start + _CHUNK]


def _drawings(data: Path) -> Iterator[npt.NDArray[np.uint8]]:
    drawings = np.load(data / "train-sketches.npy", mmap_mode="r")
    for start in range(0, len(drawings), _CHUNK):
        yield np.repeat(drawings[start : start + _CHUNK, ..., None], 3, axis=-1)


@torch.inference_mode()
def _latents(chunks: Iterator[npt.NDArray[np.uint8]], work: Path, name: str) -> Halves:
    model = load_autoencoder(work)
    parts = [
        model.encode(to_tensor(chunk)).latents.half().numpy()
        for chunk in tqdm(chunks, desc=name, mininterval=30)
    ]
    return np.concatenate(parts)


@torch.inference_mode()
def _captions(data: Path, work: Path) -> Halves:
    _, items = load_pictures(data / "train.npy")
    tokenizer, encoder = load_encoder(work)
    rng = random.Random(13)
    texts = [
        varied_caption(item["domain"], item["attributes"], rng)
        for item in items
        for _ in range(PHRASINGS)
    ] + [""] * PHRASINGS
    parts = []
    for start in tqdm(range(0, len(texts), 256), desc="captions", mininterval=30):
        tokens = tokenizer(
            texts[start : start + 256],
            padding="max_length",
            truncation=True,
            max_length=MAX_TOKENS,
            return_tensors="pt",
        )
        parts.append(encoder(input_ids=tokens.input_ids).last_hidden_state.half().numpy())
    whole = np.concatenate(parts)
    return whole.reshape(-1, PHRASINGS, *whole.shape[1:])
