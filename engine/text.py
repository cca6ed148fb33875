"""Prompt encoding: on the engine's one thread, each prompt once.

Two `encode_prompt` at a time give silently wrong embeddings: fast tokenizers keep padding and
truncation as state that threads overwrite for each other. So a pipeline's `encode_prompt` is
replaced, per run, by one that asks here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import torch

from engine.denoiser import Alone
from engine.stats import EngineStats

_MAX_ENTRIES = 256
_MAX_BYTES = 256 * 1024 * 1024


class EmbeddingCache:
    """Keep the newest embeddings, least recently used out first. Thread-safe.

    One model's: the key need not name it. Tensors in it are shared: pipelines never write into
    embeddings, they join or repeat them into new ones.
    """

    def __init__(self, stats: EngineStats) -> None:
        self._stats = stats
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> Any | None:
        """Return what was kept under `key`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
        self._stats.count("text_cache_hits")
        return entry[0]

    def put(self, key: Hashable, value: Any) -> None:
        """Keep `value`, and drop the oldest while there is too much."""
        size = _bytes(value)
        if size > _MAX_BYTES:
            return
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = (value, size)
            self._bytes += size
            while len(self._entries) > _MAX_ENTRIES or self._bytes > _MAX_BYTES:
                _, (_, freed) = self._entries.popitem(last=False)
                self._bytes -= freed

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0


def cached_encoder(
    encode_prompt: Callable[..., Any], pipeline_class: str, cache: EmbeddingCache, alone: Alone
) -> Callable[..., Any]:
    """Return an `encode_prompt` that asks the cache first and else computes by way of `alone`.

    Args:
        encode_prompt: the pipeline's own bound method.
        pipeline_class: part of the key: classes encode differently.
        cache: of this model.
        alone: runs a function on the engine's thread.
    """

    def encode(*args: Any, **kwargs: Any) -> Any:
        key = _key((pipeline_class, args, tuple(sorted(kwargs.items()))))
        if key is not None:
            known = cache.get(key)
            if known is not None:
                return _fresh(known)
        value = alone("text", lambda: encode_prompt(*args, **kwargs))
        if key is not None:
            cache.put(key, _fresh(value))
        return value

    return encode


def _key(value: Any) -> Hashable | None:
    """Return a hashable form of what is plain data; None if there is anything else (tensors)."""
    if value is None or isinstance(value, bool | int | float | str | torch.dtype | torch.device):
        return (type(value).__name__, value)
    if isinstance(value, list | tuple):
        parts = [_key(item) for item in value]
        return None if None in parts else (type(value).__name__, *parts)
    return None


def _fresh(value: Any) -> Any:
    """Copy the lists around the tensors, which pipelines may extend."""
    if isinstance(value, list | tuple):
        return type(value)(_fresh(item) for item in value)
    return value


def _bytes(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, list | tuple):
        return sum(_bytes(item) for item in value)
    return 0
