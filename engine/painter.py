"""One request through the model: completed prompt, pipeline runs, pictures out."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from engine.calls import PipelineCall, paint_picture
from engine.errors import EngineError, GenerationFailed, ModelNotLoaded, OutOfMemory
from engine.plan import make_plan
from engine.request import ImageRequest, ImageResult

if TYPE_CHECKING:
    from engine.pipelines import LoadedModel

logger = logging.getLogger(__name__)
Completer = Callable[[str], tuple[str, tuple[str, ...]]]
# What text encoders are given at most, whatever their tokenizer would take.
_MAX_TOKENS = 512


class Painter:
    """Paint requests with one loaded model, one at a time, on the calling thread."""

    def __init__(self, loaded: LoadedModel) -> None:
        """Prepare to paint.

        Raises:
            ModelNotLoaded: if the model's prompt completer cannot be imported.
        """
        self._loaded = loaded
        self._completer = _import_completer(loaded.source.spec.completer)
        self._libraries = _library_versions()

    def paint(
        self,
        request: ImageRequest,
        *,
        checkpoint: Callable[[], None],
        on_step: Callable[[int, int], None],
    ) -> ImageResult:
        """Make a request's pictures, each in a run of its own.

        One run a picture: a batch would change its bytes with its neighbors (float32 sums
        differ with the batch size), and a seed is a promise.

        Args:
            request: already checked by `engine.plan.check_request`.
            checkpoint: called before and after every denoiser forward; what it raises stops
                the run there.
            on_step: called with (steps done, steps in all) after each step.

        Raises:
            EngineError: if the request does not fit the model or painting fails.
        """
        import torch

        spec = self._loaded.source.spec
        started = time.perf_counter()
        plan = make_plan(request, spec, self._loaded.companions)
        prompt, warnings = request.prompt, plan.warnings
        if self._completer is not None:
            prompt, more = self._completer(prompt)
            warnings += tuple(more)
        warnings += self._cut_prompt(prompt)
        timings = {"text": time.perf_counter() - started, "denoise": 0.0, "decode": 0.0}
        images: list[Image.Image] = []
        try:
            with torch.inference_mode():
                count = _Progress(len(request.seeds) * plan.picture_steps, on_step)
                for seed in request.seeds:

                    def run(calls: Sequence[PipelineCall]) -> list[Image.Image]:
                        return [self._run(call, _Run(count, checkpoint), timings) for call in calls]

                    def enlarge(tile: Image.Image) -> Image.Image:
                        checkpoint()
                        return self._loaded.enlarge(tile) if self._loaded.enlarge else tile

                    images.append(paint_picture(request, plan, prompt, seed, spec, run, enlarge))
        except Exception as error:
            self._loaded.restore()
            raise self._explain(error) from error
        return ImageResult(
            images=tuple(images),
            seeds=request.seeds,
            model=spec.name,
            revision=self._loaded.source.revision,
            params=plan.params,
            timings_s=timings,
            libraries=dict(self._libraries),
            warnings=tuple(dict.fromkeys(warnings)),
            precision=f"{str(self._loaded.dtype).removeprefix('torch.')} "
            f"on {self._loaded.device.type}",
        )

    def _run(self, call: PipelineCall, run: _Run, timings: dict[str, float]) -> Image.Image:
        """Run one pipeline and return what it painted."""
        loaded = self._loaded.upscaler if call.network == "upscaler" else self._loaded
        if loaded is None:
            raise ModelNotLoaded("There is no upscaler.", hint="Set 'upscaler'.")
        pipeline = loaded.pipeline(call.class_name)
        run.checkpoint()
        view = loaded.view(pipeline, sampler=call.sampler, forward=run.forward, on_step=run.step)
        run.begin(view, call.steps)
        output = view(**call.arguments(view))
        if any(getattr(output, "nsfw_content_detected", None) or ()):
            raise GenerationFailed(
                "The model's own safety checker blocked the picture.",
                hint="Change the prompt or the seed.",
            )
        painted = _to_image(np.asarray(output.images)[0], call.size)
        run.add_to(timings)
        return painted

    def _cut_prompt(self, prompt: str) -> tuple[str, ...]:
        """Warn if no text encoder can take the whole prompt."""
        over = []
        for name in ("tokenizer", "tokenizer_2", "tokenizer_3"):
            tokenizer = getattr(self._loaded.base, name, None)
            if tokenizer is not None:
                limit = min(int(tokenizer.model_max_length), _MAX_TOKENS)
                count = len(tokenizer(prompt, truncation=False, verbose=False).input_ids)
                over.append((count - limit, count, limit))
        if not over or min(over)[0] <= 0:
            return ()
        _, count, limit = min(over)
        return (f"The prompt has {count} tokens; only the first {limit} were used.",)

    def _explain(self, error: Exception) -> EngineError:
        """Turn whatever a pipeline raised into one of the engine's errors."""
        if isinstance(error, EngineError):
            return error
        import torch

        text = (str(error).splitlines() or [""])[0][:200]
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or (
            "not enough memory" in text or "can't allocate memory" in text
        ):
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return OutOfMemory(
                "The request does not fit into memory.",
                hint="Ask for a smaller size, or use a smaller model.",
            )
        logger.exception("painting failed")
        return GenerationFailed(
            f"Painting failed: {type(error).__name__}: {text}.",
            hint="Other requests are not affected; try other settings.",
        )


class _Progress:
    """Steps done of all steps of a request; runs correct the total when they know better."""

    def __init__(self, total: int, on_step: Callable[[int, int], None]) -> None:
        self.done = 0
        self.total = total
        self.on_step = on_step


class _Run:
    """The clock and the stop signal of one pipeline call."""

    def __init__(self, progress: _Progress, checkpoint: Callable[[], None]) -> None:
        self.view: Any = None
        self.checkpoint = checkpoint
        self._progress = progress
        self._planned = 0
        self._steps = 0
        self._started = time.perf_counter()
        self._first: float | None = None
        self._last = self._started

    def begin(self, view: Any, planned: int) -> None:
        self.view = view
        self._planned = planned

    def forward(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.checkpoint()
        if self._first is None:
            self._first = time.perf_counter()
        result = module(*args, **kwargs)
        self.checkpoint()
        return result

    def step(self) -> None:
        self._steps += 1
        self._last = time.perf_counter()
        self.checkpoint()
        if self._steps == 1:
            self._progress.total += self._total() - self._planned
        self._progress.done += 1
        self._progress.on_step(self._progress.done, self._progress.total)

    def _total(self) -> int:
        """Steps of this run; with `strength` the sampler's first ones are skipped."""
        known = self.view.__dict__.get("_num_timesteps")
        if isinstance(known, int):
            return known
        scheduler = self.view.scheduler
        return len(scheduler.timesteps) - (getattr(scheduler, "begin_index", None) or 0)

    def add_to(self, timings: dict[str, float]) -> None:
        first = self._last if self._first is None else self._first
        timings["text"] += first - self._started
        timings["denoise"] += self._last - first
        timings["decode"] += time.perf_counter() - self._last


def _to_image(pixels: np.ndarray[Any, Any], size: tuple[int, int]) -> Image.Image:
    """Turn floats in [0, 1], shape (height, width, 3), into a picture.

    Raises:
        GenerationFailed: if there are NaNs or the shape is wrong.
    """
    if not np.isfinite(pixels).all():
        raise GenerationFailed(
            "The model's output is not a number (NaN).",
            hint="Lower guidance_scale, change the seed, or use float32.",
        )
    if pixels.shape != (size[1], size[0], 3):
        raise GenerationFailed(
            f"The model painted shape {pixels.shape} instead of {size[0]}x{size[1]}.",
            hint="Ask for the model's default size.",
        )
    return Image.fromarray((pixels * 255).round().clip(0, 255).astype(np.uint8))


def _import_completer(name: str | None) -> Completer | None:
    """Import "module:function"; names come from the registry only, never from a model folder."""
    if name is None:
        return None
    module, _, function = name.partition(":")
    try:
        completer: Completer = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ModelNotLoaded(
            f"The prompt completer {name} is missing: {error}.", hint="Install the whole package."
        ) from error
    return completer


def _library_versions() -> dict[str, str]:
    import diffusers
    import torch
    import transformers

    return {
        "torch": str(torch.__version__),
        "diffusers": str(diffusers.__version__),
        "transformers": str(transformers.__version__),
    }
