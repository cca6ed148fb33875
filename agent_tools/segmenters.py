"""Models that say where a thing is: SAM 2 and its kin by point or box, cut-out networks by sight.

A setting opts in; without it nothing is loaded. Two kinds:

* a folder or hub id@commit of a transformers model with prompts (Sam2Model, EdgeTamModel,
  Sam3TrackerModel): safetensors only, no code from the model's page. Sizes and normalization
  follow Ravi et al., "SAM 2: Segment Anything in Images and Videos", arXiv:2408.00714.
* an .onnx or OpenVINO .xml file of a network that cuts out the main thing, such as BiRefNet
  (Zheng et al., arXiv:2401.03407), run by OpenVINO (extra [openvino]).
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from agent_tools.errors import AgentToolsError

if TYPE_CHECKING:
    from agent_tools.color_selection import Box, Point

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, as both kinds were trained
_PROMPTED = ("sam2", "sam2_video", "edgetam", "edgetam_video", "sam3_tracker", "sam3_video")
_CUT_OUT_SUFFIXES = (".onnx", ".xml")
_DEFAULT_CUT_OUT_SIDE = 1024


@dataclass(frozen=True, slots=True)
class _License:
    """A license that somebody has to accept by name before the model is used."""

    name: str
    said: str


# By what the file, folder, hub id or model type says. Apache-2.0 and MIT models need nothing.
_LICENSES = {
    "sam3": _License("sam3", "the SAM License, Meta's own: commercial use under conditions"),
    "rmbg": _License("rmbg", "CC BY-NC 4.0: no commercial use without an agreement with BRIA"),
    "u2net_human": _License("u2net_human", "training data for research only"),
}


class Segmenter(Protocol):
    """Where a thing is, as a model sees it.

    Attributes:
        name: of the model, for recipes.
        takes_prompts: whether it wants a point or a box; if not, it cuts out the main thing.
    """

    name: str
    takes_prompts: bool

    def mask(
        self, image: Image.Image, *, point: Point | None = None, box: Box | None = None
    ) -> tuple[Image.Image, float]:
        """Return the mask (mode "L", the picture's size) and how sure the model is, 0 to 1.

        Raises:
            AgentToolsError: if the model cannot be loaded.
        """


def open_segmenter(
    model: str, *, device: str | None = None, accept_license: tuple[str, ...] = ()
) -> Segmenter:
    """Return the segmenter that a setting names; it loads with the first picture.

    Args:
        model: a folder, a hub id@commit, or an .onnx or .xml file.
        device: "cpu", "cuda", ...; chosen if None.
        accept_license: names of models whose license was accepted.

    Raises:
        AgentToolsError: if there is no such file, or its license was not accepted.
    """
    path = Path(model).expanduser()
    _require_license(model, accept_license)
    if path.suffix.lower() in _CUT_OUT_SUFFIXES:
        if not path.is_file():
            raise _unusable(f"There is no file {path.name}.", "Check the setting segmenter.")
        return CutOutNetwork(path)
    if path.is_dir():
        _require_license(_model_type(path), accept_license)
    return PromptedModel(model, device, accept_license)


class PromptedModel:
    """SAM 2 or one of its kin, through transformers."""

    takes_prompts = True

    def __init__(self, model: str, device: str | None, accept_license: tuple[str, ...]) -> None:
        self._where = model
        self._device_name = device
        self._accepted = accept_license
        self._lock = threading.Lock()
        self._model: Any = None
        path = Path(model).expanduser()
        self.name = path.resolve().name if path.is_dir() else model.partition("@")[0]

    def mask(
        self, image: Image.Image, *, point: Point | None = None, box: Box | None = None
    ) -> tuple[Image.Image, float]:
        """Return the best of the model's masks and the overlap it predicts for it."""
        import torch

        with self._lock:
            model = self._load()
            height, width = _input_size(model.config)
            scale = (width / image.width, height / image.height)
            pixels = torch.from_numpy(_pixels(image, (width, height)))
            inputs: dict[str, Any] = {"pixel_values": pixels}
            if point is not None:
                at = [(point[0] + 0.5) * scale[0], (point[1] + 0.5) * scale[1]]
                inputs["input_points"] = torch.tensor([[[at]]], dtype=torch.float32)
                inputs["input_labels"] = torch.ones((1, 1, 1), dtype=torch.int64)
            if box is not None:
                edges = [edge * scale[k % 2] for k, edge in enumerate(box)]
                inputs["input_boxes"] = torch.tensor([[edges]], dtype=torch.float32)
            with torch.inference_mode():
                found = model(**{k: v.to(model.device) for k, v in inputs.items()})
            scores = found.iou_scores[0, 0].float()
            best = int(scores.argmax())
            logits = found.pred_masks[0, 0, best][None, None].float()
            full = torch.nn.functional.interpolate(
                logits, (image.height, image.width), mode="bilinear", align_corners=False
            )
            mask = (full[0, 0] > 0).cpu().numpy()
        score = min(1.0, max(0.0, float(scores[best])))
        return Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)), score

    def _load(self) -> Any:
        if self._model is not None:
            return self._model
        from transformers import AutoModelForMaskGeneration

        from engine.devices import pick_device
        from engine.errors import EngineError
        from engine.sources import locate

        try:
            folder, _, _ = locate(self._where)
        except EngineError as error:
            raise _unusable(str(error.args[0]), error.hint) from error
        kind = _model_type(folder)
        if kind not in _PROMPTED:
            raise _unusable(
                f"The model {self.name} is a '{kind}', which takes no points or boxes.",
                f"Known: {', '.join(_PROMPTED)}; cut-out networks as .onnx or .xml files.",
            )
        _require_license(kind, self._accepted)
        try:
            model = AutoModelForMaskGeneration.from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False, local_files_only=True
            )
        except (OSError, ValueError) as error:
            raise _unusable(
                f"The model {self.name} cannot be loaded: {type(error).__name__}.",
                "Give a whole folder with config.json and model.safetensors.",
            ) from error
        self._model = model.eval().to(pick_device(self._device_name))
        return self._model


class CutOutNetwork:
    """A network that returns one map of how much each pixel belongs to the main thing."""

    takes_prompts = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._network: Any = None
        self.name = path.stem

    def mask(
        self, image: Image.Image, *, point: Point | None = None, box: Box | None = None
    ) -> tuple[Image.Image, float]:
        """Return the thing's mask and how decided the map is: its mean distance from one half."""
        with self._lock:
            network = self._load()
            shape = network.input(0).partial_shape
            sides = [
                shape[k].get_length() if shape[k].is_static else _DEFAULT_CUT_OUT_SIDE
                for k in (3, 2)
            ]
            found = network(_pixels(image, (sides[0], sides[1])))
            outputs = list(network.outputs)
            values = np.squeeze(np.asarray(found[outputs[-1]], np.float32))
        if values.ndim != 2:
            raise _unusable(
                f"The network {self.name} returns no single map.", "Use a cut-out network."
            )
        if values.min() < 0 or values.max() > 1:  # exported before its last sigmoid
            values = np.asarray(1 / (1 + np.exp(-values)), np.float32)
        score = float(np.abs(values - 0.5).mean() * 2)
        small = Image.fromarray(np.round(values * 255).astype(np.uint8))
        full = np.asarray(small.resize(image.size, Image.Resampling.BILINEAR))
        return Image.fromarray(np.where(full >= 128, 255, 0).astype(np.uint8)), score

    def _load(self) -> Any:
        if self._network is not None:
            return self._network
        try:
            import openvino
        except ImportError as error:
            raise _unusable(
                "Cut-out networks need the package openvino.",
                "Install it with: pip install openvino.",
            ) from error
        try:
            self._network = openvino.Core().compile_model(str(self._path), "CPU")
        except RuntimeError as error:
            raise _unusable(
                f"The network {self._path.name} cannot be read.", "Give a whole .onnx or .xml file."
            ) from error
        return self._network


def _pixels(image: Image.Image, size: tuple[int, int]) -> Any:
    """Return the picture as a network wants it: float32, shape (1, 3, height, width)."""
    small = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    values = np.asarray(small, np.float32) / 255
    values = (values - np.array(_MEAN, np.float32)) / np.array(_STD, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def _input_size(config: Any) -> tuple[int, int]:
    """Return the height and width that a SAM-like model works at."""
    side = config.prompt_encoder_config.image_size
    return (side, side) if isinstance(side, int) else (side[0], side[1])


def _model_type(folder: Path) -> str:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str(found["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(
            f"The folder {folder.name} has no readable config.json.",
            "Give the whole folder of a transformers model.",
        ) from error


def _require_license(said: str, accepted: tuple[str, ...]) -> None:
    """Refuse a model whose license must be accepted, unless its name was."""
    for mark, terms in _LICENSES.items():
        plain = said.lower().replace("-", "").replace("_", "")
        if mark.replace("_", "") in plain and terms.name not in {a.lower() for a in accepted}:
            raise AgentToolsError(
                f"The segmentation model '{terms.name}' has a license of its own: {terms.said}.",
                code="license_not_accepted",
                hint=f"If you may use it, add '{terms.name}' to accept_license.",
            )


def _unusable(message: str, hint: str) -> AgentToolsError:
    return AgentToolsError(message, code="bad_segmenter", hint=hint)
