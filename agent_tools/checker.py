"""The look after painting: a classifier, by setting, that withholds what it recognizes.

The words of a call pass the policy before anything is painted (policy.py); a model can still paint
what nobody asked for. Any image classifier of transformers does (a folder or hub id@commit,
safetensors only, no code from the model's page): name the labels that are withheld and how sure
it must be. Nothing is loaded without the setting.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_tools.errors import BadSettings, Refused

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What a classifier saw in one picture.

    Attributes:
        picture: its place among the pictures of the request, from 0.
        label: the withheld label that it is surest of.
        score: how sure, 0 to 1.
    """

    picture: int
    label: str
    score: float


class Checker:
    """An image classifier and what it withholds.

    Args:
        model: a folder, or a hub id@commit.
        refuses: labels of the model; case does not matter.
        threshold: a picture is withheld from this score on, above 0 to 1.
        device: "cpu", "cuda", ...; chosen if None.
    """

    def __init__(
        self, model: str, refuses: Sequence[str], threshold: float, device: str | None = None
    ) -> None:
        self._where, self._device = model, device
        self._refuses, self._threshold = tuple(refuses), threshold
        self._lock = threading.Lock()
        self._model: Any = None
        self._processor: Any = None
        self._withheld: dict[int, str] = {}

    @property
    def fingerprint(self) -> str:
        """Name this very check: stored pictures are shown again only under the same one."""
        return f"{self._where} {sorted(self._refuses)} {self._threshold}"

    async def check(self, images: Sequence[Image.Image], tool: str) -> None:
        """Let painted pictures pass, or refuse all of them.

        Raises:
            Refused: if one shows what is withheld; `data` says which, the label and the score.
            BadSettings: if the model cannot be loaded or lacks a label.
        """
        found = await asyncio.to_thread(self.look, images)
        decision = "refuse" if found else "pass"
        fields = {"rule": "checker", "decision": decision, "tool": tool}
        log.log(
            logging.INFO if found else logging.DEBUG,
            "checker: %s",
            decision,
            extra={"fields": fields},
        )
        if found:
            worst = max(found, key=lambda each: each.score)
            which = ", ".join(str(each.picture + 1) for each in found)
            raise Refused(
                f"What was painted is withheld: the checker sees '{worst.label}' in picture "
                f"{which} of {len(images)} (score {worst.score:.2f}).",
                hint="Describe something further away from it, or take another seed.",
                data={
                    "rule": "checker",
                    "label": worst.label,
                    "score": round(worst.score, 4),
                    "pictures": [each.picture for each in found],
                },
            )

    def look(self, images: Sequence[Image.Image]) -> list[Found]:
        """Return the pictures that are withheld; loads the model with the first call."""
        import torch

        self.load()
        pixels = self._processor(images=[i.convert("RGB") for i in images], return_tensors="pt")
        with self._lock, torch.inference_mode():
            logits = self._model(pixels["pixel_values"].to(self._model.device)).logits.float()
        several = self._model.config.problem_type == "multi_label_classification"
        scores = (logits.sigmoid() if several else logits.softmax(dim=-1)).cpu()
        # What a broken or overflown model cannot judge is no picture that it has let pass.
        scores = scores.nan_to_num(nan=1.0)
        found = []
        for picture, row in enumerate(scores):
            index = max(self._withheld, key=lambda each: float(row[each]))
            if float(row[index]) >= self._threshold:
                found.append(Found(picture, self._withheld[index], float(row[index])))
        return found

    def load(self) -> None:
        """Load the model, unless it is there.

        Raises:
            BadSettings: if it cannot be loaded or lacks a label.
        """
        with self._lock:
            if self._model is None:
                self._load()

    def _load(self) -> None:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        from engine.devices import pick_device
        from engine.errors import EngineError
        from engine.sources import locate

        try:
            folder, _, _ = locate(self._where)
        except EngineError as error:
            raise BadSettings(f"checker: {error.args[0]}", hint=error.hint) from error
        local: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        try:
            processor = AutoImageProcessor.from_pretrained(folder, **local)
            model = AutoModelForImageClassification.from_pretrained(
                folder, use_safetensors=True, **local
            )
        except (OSError, ValueError) as error:
            raise BadSettings(
                f"checker: {Path(folder).name} cannot be loaded ({type(error).__name__}).",
                hint="Give the whole folder of an image classifier: config.json, "
                "preprocessor_config.json, model.safetensors.",
            ) from error
        self._withheld = self._indices(model.config.id2label)
        self._processor, self._model = processor, model.eval().to(pick_device(self._device))

    def _indices(self, labels: dict[int, str]) -> dict[int, str]:
        """Return the withheld labels by their place in the model's answer."""
        by_name = {name.lower(): index for index, name in labels.items()}
        missing = [name for name in self._refuses if name.lower() not in by_name]
        if missing or not self._refuses:
            raise BadSettings(
                f"checker_refuses: the checker has no label {missing[0]!r}."
                if missing
                else "checker_refuses is empty: the checker would withhold nothing.",
                hint=f"Its labels: {', '.join(list(labels.values())[:20])}.",
            )
        indices = (by_name[name.lower()] for name in self._refuses)
        return {index: labels[index] for index in indices}
