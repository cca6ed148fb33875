"""all-MiniLM-L6-v2 computed in numpy.

The model is BERT with 6 layers, mean pooling and unit length (Reimers and Gurevych,
arXiv:1908.10084; https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, Apache-2.0). Sixty
lines of numpy give the same vectors as transformers (a test compares them) and answer a first
question in under a second, where importing torch and transformers takes several.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kb_export.encoder import DIMENSION

Floats = NDArray[np.float32]

_LAYERS = 6
_HEADS = 12
_EPSILON = 1e-12
_MAX_TOKENS = 256  # what the model was trained with
_BATCH = 32


class MiniLM:
    """The network and its tokenizer, loaded."""

    def __init__(self, folder: Path) -> None:
        """Load `model.safetensors` and `tokenizer.json`."""
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self._weights: dict[str, Floats] = {
            name: array.astype(np.float32, copy=False)
            for name, array in load_file(folder / "model.safetensors").items()
            if not name.endswith("position_ids")
        }
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(_MAX_TOKENS)
        tokenizer.enable_padding()
        self._tokenizer: Any = tokenizer

    def encode(self, sentences: Sequence[str]) -> Floats:
        """Return one unit vector per sentence, shape (len(sentences), 384), float32."""
        if not sentences:
            return np.zeros((0, DIMENSION), np.float32)
        # Sentences of like length together: padding is wasted work.
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        vectors = np.empty((len(sentences), DIMENSION), np.float32)
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            vectors[chosen] = self._encode_batch([sentences[i] for i in chosen])
        return vectors

    def _encode_batch(self, sentences: list[str]) -> Floats:
        encodings = self._tokenizer.encode_batch(sentences)
        ids = np.array([e.ids for e in encodings])  # (batch, tokens)
        mask = np.array([e.attention_mask for e in encodings], np.float32)
        hidden = (
            self._weights["embeddings.word_embeddings.weight"][ids]
            + self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + self._weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._layer_norm(hidden, "embeddings.LayerNorm")  # (batch, tokens, 384)
        blocked = (mask[:, None, None, :] - 1) * np.float32(1e9)
        for layer in range(_LAYERS):
            hidden = self._layer(hidden, blocked, f"encoder.layer.{layer}.")
        pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        unit: Floats = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit

    def _layer(self, hidden: Floats, blocked: Floats, prefix: str) -> Floats:
        """Run one post-norm transformer layer (Devlin et al., arXiv:1810.04805)."""
        query, key, value = (
            self._heads(self._linear(hidden, f"{prefix}attention.self.{name}"))
            for name in ("query", "key", "value")
        )  # each (batch, heads, tokens, 32)
        scores = query @ key.swapaxes(2, 3) / np.float32(math.sqrt(query.shape[3])) + blocked
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        mixed = mixed.swapaxes(1, 2).reshape(hidden.shape)
        attended = self._linear(mixed, f"{prefix}attention.output.dense")
        hidden = self._layer_norm(hidden + attended, f"{prefix}attention.output.LayerNorm")
        inner = _gelu(self._linear(hidden, f"{prefix}intermediate.dense"))
        outer = self._linear(inner, f"{prefix}output.dense")
        return self._layer_norm(hidden + outer, f"{prefix}output.LayerNorm")

    def _linear(self, x: Floats, name: str) -> Floats:
        y: Floats = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return y

    def _layer_norm(self, x: Floats, name: str) -> Floats:
        centered = x - x.mean(-1, keepdims=True)
        scale = np.sqrt((centered**2).mean(-1, keepdims=True) + np.float32(_EPSILON))
        y: Floats = (
            centered / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        )
        return y

    @staticmethod
    def _heads(x: Floats) -> Floats:
        batch, tokens, width = x.shape
        return x.reshape(batch, tokens, _HEADS, width // _HEADS).swapaxes(1, 2)


def _gelu(x: Floats) -> Floats:
    """Return x * Phi(x), with erf by Abramowitz and Stegun 7.1.26 (error below 1.5e-7)."""
    z = np.abs(x) / np.float32(math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    polynomial = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    erf = np.sign(x) * (1 - polynomial * np.exp(-z * z))
    y: Floats = (0.5 * x * (1 + erf)).astype(np.float32)
    return y
