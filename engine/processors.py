"""Parts of a pipeline that the engine makes itself because the library's own would not load."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, Qwen2VLImageProcessorPil, Qwen2VLProcessor


class PictureProcessor(Qwen2VLProcessor):  # type: ignore[misc]
    """Qwen2.5-VL's processor without its video part.

    transformers' own cannot be made without torchvision, which only the video part uses, and
    torchvision does not load beside every build of torch.
    """

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor = image_processor
        self.tokenizer = tokenizer
        self.chat_template = getattr(tokenizer, "chat_template", None)
        for kind in ("image", "video"):
            token = f"<|{kind}_pad|>"
            setattr(self, f"{kind}_token", token)
            setattr(self, f"{kind}_token_id", tokenizer.convert_tokens_to_ids(token))


def substitutes(folder: Path) -> dict[str, Any]:
    """Return the components of a checked model folder that are not to be loaded, by name.

    None for those that the folder leaves out: diffusers asks for it even where the pipeline does
    without (Stable Diffusion 3 without T5).
    """
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    parts: dict[str, Any] = {name: None for name, what in index.items() if what == [None, None]}
    named = index.get("processor") == ["transformers", "Qwen2VLProcessor"]
    if named and importlib.util.find_spec("torchvision") is None:
        place = folder / "processor"
        parts["processor"] = PictureProcessor(
            Qwen2VLImageProcessorPil.from_pretrained(place, local_files_only=True),
            AutoTokenizer.from_pretrained(place, local_files_only=True, trust_remote_code=False),
        )
    return parts
