"""Models that look at pictures: a captioner, and checkers that compare a caption with its picture.

Any transformers model of the families "image-text-to-text" (SmolVLM, Qwen-VL, LLaVA, BLIP) or
CLIP and SigLIP: a folder, or a hub id with its revision. Only safetensors, no remote code.
transformers and torch are loaded with the first picture.

Scores: CLIPScore (Hessel et al., arXiv:2104.08718) is 2.5 times the cosine, cut to 0 and 1;
SigLIP (Zhai et al., arXiv:2303.15343) gives a probability of its own; VQAScore (Lin et al.,
arXiv:2404.01291) is the probability of "Yes" against "No" when asked whether the picture shows
the caption. The limits below are starting points from those papers' examples; no weights could be
run here, so an owner should look at what is flagged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kb_export.errors import KBError
from kb_export.record import KBRecord
from kb_export.review import Outcome, Verdict

if TYPE_CHECKING:
    from PIL import Image

Family = Literal["clip", "siglip", "vqa"]
# Below the first a caption is wrong, from the second on right, between them doubtful.
LIMITS: dict[Family, tuple[float, float]] = {
    "clip": (0.30, 0.50),
    "siglip": (0.0001, 0.01),
    "vqa": (0.20, 0.50),
}
_DUAL = {"clip": "clip", "metaclip_2": "clip", "siglip": "siglip", "siglip2": "siglip"}
_DESCRIBE = "Describe what this picture shows in one sentence."
_SHOWS = 'Does this picture show "{caption}"? Answer Yes or No.'
_MAX_NEW_TOKENS = 60
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+@[\w.-]+")


class BadVisionModel(KBError):
    """Say why a model cannot be used as a captioner or checker."""

    code = "bad_vision_model"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model is: a folder, or a hub id with a pinned revision."""

    where: str
    revision: str | None

    @property
    def name(self) -> str:
        """The model's name without the way to it."""
        return self.where.rstrip("/").rsplit("/", 1)[-1] if self.revision is None else self.where


def open_captioner(spec: str) -> VisionCaptioner:
    """Return the captioner that `spec` names, not loaded yet.

    Raises:
        BadVisionModel: if it is neither a folder nor a hub id with a revision.
    """
    return VisionCaptioner(_source(spec))


def open_checker(spec: str) -> VisionChecker:
    """Return the checker that `spec` names, not loaded yet; its kind follows from the model.

    Raises:
        BadVisionModel: if it is neither a folder nor a hub id with a revision.
    """
    return VisionChecker(_source(spec))


class VisionCaptioner:
    """Writes one sentence about a picture, always the same for the same picture."""

    def __init__(self, source: ModelSource) -> None:
        self._source = source
        self._model: Any = None
        self._processor: Any = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self._source.name

    def load(self) -> None:
        """Load the model once.

        Raises:
            BadVisionModel: if it cannot be loaded.
        """
        if self._model is None:
            self._model, self._processor = _load(self._source, "AutoModelForImageTextToText")

    def describe(self, picture: Image.Image) -> str:
        """Return what the picture shows, not cleaned yet.

        Raises:
            BadVisionModel: if the model cannot be loaded.
        """
        import torch

        self.load()
        inputs = _asked(self._processor, picture, _DESCRIBE)
        with torch.inference_mode():
            tokens = self._model.generate(**inputs, max_new_tokens=_MAX_NEW_TOKENS, do_sample=False)
        if _chats(self._processor):  # the answer follows the question
            tokens = tokens[:, inputs["input_ids"].shape[1] :]
        text: str = self._processor.batch_decode(tokens, skip_special_tokens=True)[0]
        return text.strip()


class VisionChecker:
    """Compares a caption with its picture by CLIP, SigLIP or a vision-language model."""

    def __init__(self, source: ModelSource) -> None:
        self._source = source
        self._family: Family = "clip"
        self._model: Any = None
        self._processor: Any = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self._source.name

    def load(self) -> None:
        """Load the model once and find out its kind.

        Raises:
            BadVisionModel: if it cannot be loaded or compares nothing.
        """
        if self._model is not None:
            return
        family = _family(self._source)
        kind = "AutoModelForImageTextToText" if family == "vqa" else "AutoModel"
        model, processor = _load(self._source, kind)
        if family == "vqa" and not _chats(processor):
            raise BadVisionModel(
                f"The model {self.name} takes no questions: it has no chat template.",
                hint="Use CLIP, SigLIP or an instruction-tuned image-text-to-text model.",
            )
        self._family, self._model, self._processor = family, model, processor

    def check(self, record: KBRecord, picture: Image.Image) -> Verdict | None:
        """Return the verdict; None for a record without a caption, and for diagrams.

        Raises:
            BadVisionModel: if the model cannot be loaded or compares nothing.
        """
        if not record.caption or record.provenance.get("kind") == "diagram":
            return None
        self.load()
        score = self.score(record.caption, picture)
        wrong, right = LIMITS[self._family]
        outcome: Outcome = (
            "passed" if score >= right else "doubtful" if score >= wrong else "failed"
        )
        return Verdict(
            outcome,
            "vqa" if self._family == "vqa" else "clip",
            round(score, 3),
            self.name,
            "" if outcome == "passed" else f"Picture and caption agree only by {score:.2g}.",
        )

    def score(self, caption: str, picture: Image.Image) -> float:
        """Return how well they agree, 0 to 1; the model must be loaded."""
        import torch

        with torch.inference_mode():
            if self._family == "vqa":
                return self._yes(caption, picture)
            inputs = self._processor(
                text=[caption],
                images=picture.convert("RGB"),
                return_tensors="pt",
                padding="max_length" if self._family == "siglip" else True,
                truncation=True,
            )
            found = self._model(**inputs)
            if self._family == "siglip":
                return float(torch.sigmoid(found.logits_per_image)[0, 0])
            cosine = torch.nn.functional.cosine_similarity(found.text_embeds, found.image_embeds)
            return min(1.0, max(0.0, 2.5 * float(cosine[0])))

    def _yes(self, caption: str, picture: Image.Image) -> float:
        inputs = _asked(self._processor, picture, _SHOWS.format(caption=caption.replace('"', "'")))
        logits = self._model(**inputs).logits[0, -1].float()
        encode = self._processor.tokenizer.encode
        yes, no = (encode(word, add_special_tokens=False)[0] for word in ("Yes", "No"))
        return float(logits[[yes, no]].softmax(0)[0])


def _source(spec: str) -> ModelSource:
    if Path(spec).expanduser().is_dir():
        return ModelSource(str(Path(spec).expanduser()), None)
    if _HUB_ID.fullmatch(spec):
        where, _, revision = spec.partition("@")
        return ModelSource(where, revision)
    raise BadVisionModel(
        f"{spec[:200]!r} is neither a folder nor a hub id with a revision.",
        hint="Write owner/model@revision, the revision being a commit or a tag.",
    )


def _options(source: ModelSource) -> dict[str, Any]:
    options: dict[str, Any] = {"trust_remote_code": False}
    if source.revision is None:
        options["local_files_only"] = True
    else:
        options["revision"] = source.revision
    return options


def _family(source: ModelSource) -> Family:
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    try:
        kind = AutoConfig.from_pretrained(source.where, **_options(source)).model_type
    except (OSError, ValueError) as error:
        raise _not_loaded(source, error) from error
    if kind in _DUAL:
        return "siglip" if _DUAL[kind] == "siglip" else "clip"
    if kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return "vqa"
    raise BadVisionModel(
        f"The model {source.name} ({kind}) cannot compare captions with pictures.",
        hint="Use CLIP, SigLIP or an image-text-to-text model.",
    )


def _load(source: ModelSource, kind: str) -> tuple[Any, Any]:
    import transformers

    try:
        model = getattr(transformers, kind).from_pretrained(
            source.where, use_safetensors=True, **_options(source)
        )
        processor = transformers.AutoProcessor.from_pretrained(source.where, **_options(source))
    except (OSError, ValueError) as error:
        raise _not_loaded(source, error) from error
    return model.eval(), processor


def _not_loaded(source: ModelSource, error: Exception) -> BadVisionModel:
    return BadVisionModel(
        f"The model {source.name} cannot be loaded ({type(error).__name__}).",
        hint="It needs safetensors weights and its processor's files, and no code of its own.",
    )


def _chats(processor: Any) -> bool:
    return getattr(processor, "chat_template", None) is not None


def _asked(processor: Any, picture: Image.Image, question: str) -> Any:
    """Return the model's inputs: the question about the picture, or the picture alone (BLIP)."""
    image = picture.convert("RGB")
    if not _chats(processor):
        return processor(images=image, return_tensors="pt")
    content = [{"type": "image"}, {"type": "text", "text": question}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    return processor(text=[prompt], images=[image], return_tensors="pt")
