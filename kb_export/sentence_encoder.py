"""Sentence vectors from any model in the layout of sentence-transformers, through transformers.

A folder or a hub id with its revision: `modules.json` lists transformer, pooling and normalization,
`1_Pooling/config.json` says how token vectors become one (https://www.sbert.net, "Creating Custom
Models"). A plain transformers folder is taken too and pooled by the mean. Only safetensors, no
remote code. torch and transformers are loaded with the first sentence.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kb_export.errors import KBError

if TYPE_CHECKING:
    from kb_export.encoder import Floats

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+@[\w.-]+")
_KNOWN_MODULES = {"Transformer", "Pooling", "Normalize"}
_POOLINGS = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
_BATCH = 32
_LONGEST = 512


class BadEncoder(KBError):
    """Say why a model cannot encode sentences."""

    code = "bad_encoder"


class SentenceEncoder:
    """A model of the kind that all-MiniLM-L6-v2 is, loaded with the first sentence."""

    def __init__(self, spec: str) -> None:
        """Take a folder or a hub id with a revision; nothing is loaded yet.

        Raises:
            BadEncoder: if `spec` is neither.
        """
        self._options: dict[str, Any] = {"trust_remote_code": False}
        folder = Path(spec).expanduser()
        if spec.strip() and folder.is_dir():
            self._where = str(folder)
            self._options["local_files_only"] = True
            self.name = f"{folder.resolve().name} {_fingerprint(folder)}"
        elif _HUB_ID.fullmatch(spec):
            self._where, _, self._options["revision"] = spec.partition("@")
            self.name = spec
        else:
            raise BadEncoder(
                f"{spec[:200]!r} is neither a folder nor a hub id with a revision.",
                hint="Write owner/model@revision, the revision being a commit or a tag.",
            )
        self._lock = threading.Lock()
        self._model: Any = None
        self._tokenizer: Any = None
        self._pooling = "mean"

    def encode(self, sentences: Sequence[str]) -> Floats:
        """Return one unit vector per sentence, shape (len(sentences), dimension), float32.

        Raises:
            BadEncoder: if the model cannot be loaded or pools in a way not known here.
        """
        import torch

        self._load()
        vectors = []
        for start in range(0, len(sentences), _BATCH):
            inputs = self._tokenizer(
                list(sentences[start : start + _BATCH]),
                padding=True,
                truncation=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                hidden = self._model(**inputs).last_hidden_state.float()
                mask = inputs["attention_mask"][:, :, None]
                if self._pooling == "cls":
                    pooled = hidden[:, 0]
                else:
                    pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
                vectors.append(torch.nn.functional.normalize(pooled).numpy())
        if not vectors:
            return np.zeros((0, int(self._model.config.hidden_size)), np.float32)
        found: Floats = np.concatenate(vectors).astype(np.float32, copy=False)
        return found

    def _load(self) -> None:
        import transformers

        with self._lock:
            if self._model is not None:
                return
            self._check_modules()
            self._pooling = self._pooling_mode()
            try:
                tokenizer = transformers.AutoTokenizer.from_pretrained(self._where, **self._options)
                model = transformers.AutoModel.from_pretrained(
                    self._where, use_safetensors=True, **self._options
                )
            except (OSError, ValueError) as error:
                raise BadEncoder(
                    f"The encoder {self.name} cannot be loaded ({type(error).__name__}).",
                    hint="It needs safetensors weights and its tokenizer, and no code of its own.",
                ) from error
            longest = self._read("sentence_bert_config.json").get("max_seq_length") or _LONGEST
            tokenizer.model_max_length = min(int(longest), tokenizer.model_max_length)
            self._tokenizer, self._model = tokenizer, model.eval()

    def _check_modules(self) -> None:
        modules = self._read("modules.json") or []
        kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
        if unknown := sorted(set(kinds) - _KNOWN_MODULES):
            raise BadEncoder(
                f"The encoder {self.name} has parts that are not known here: {', '.join(unknown)}.",
                hint="Use a model of transformer, pooling and normalization only.",
            )

    def _pooling_mode(self) -> str:
        """Return "mean" or "cls"; older files have one switch for each way."""
        config = self._read("1_Pooling/config.json")
        switches = [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
        for mode, switch in _POOLINGS.items():
            if config.get("pooling_mode") == mode or switches == [switch]:
                return mode
        if "pooling_mode" not in config and not switches:
            return "mean"
        raise BadEncoder(
            f"The encoder {self.name} pools in a way that is not known here.",
            hint=f"Known: {', '.join(_POOLINGS)}.",
        )

    def _read(self, name: str) -> Any:
        """Return what a JSON file of the model holds, an empty dict if there is no such file."""
        from transformers.utils import cached_file

        options = {k: v for k, v in self._options.items() if k != "trust_remote_code"}
        try:
            path = cached_file(
                self._where, name, _raise_exceptions_for_missing_entries=False, **options
            )
            return {} if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadEncoder(
                f"{name} of the encoder {self.name} cannot be read ({type(error).__name__}).",
                hint="Check the model's files or the connection.",
            ) from error


def _fingerprint(folder: Path) -> str:
    """Return what changes with a folder's weights, so that older vectors are computed anew."""
    weights = sorted(folder.glob("*.safetensors"))
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in weights]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
