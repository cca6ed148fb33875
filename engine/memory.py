"""Recognizing that memory ran out, and the ladder of what helps."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from engine.pipelines import LoadedModel

logger = logging.getLogger(__name__)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the device or of the machine, ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "not enough memory" in text
        or "can't allocate memory" in text
        or "out of memory" in text.lower()
    )


def free_cache() -> None:
    """Give unused memory back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


class MemoryLadder:
    """What to try, one after the other, when a single call does not fit.

    Free the cache; let the autoencoder work in tiles; keep only the network that computes on the
    device. Each rung stays in force: what did not fit once will not fit next time.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded

    def recover(self, kind: str, attempt: int) -> bool:
        """Make room; return whether trying again makes sense.

        Args:
            kind: of the call that failed: "denoise", "text", "encode", "decode"; "rows" when a
                smaller batch comes next anyway.
            attempt: 0 for the first failure of this call.
        """
        free_cache()
        if kind == "rows" or attempt == 0:
            return True
        if kind in ("encode", "decode") and self._tile():
            return True
        return self._loaded.offload()

    def _tile(self) -> bool:
        """Turn tiling on; return whether that changed anything."""
        vae: Any = getattr(self._loaded.base, "vae", None)
        if vae is None or getattr(vae, "use_tiling", True):
            return False
        try:
            vae.enable_tiling()
        except (AttributeError, NotImplementedError):
            return False
        logger.warning("out of memory: the autoencoder works in tiles from now on")
        return True
