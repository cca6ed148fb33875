"""One request through the model: completed prompt, pipeline runs, pictures out."""

from __future__ import annotations

import concurrent.futures
import importlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from engine.calls import call_arguments
from engine.coalescer import Coalescer, Run
from engine.errors import EngineError, GenerationFailed, ModelNotLoaded, OutOfMemory
from engine.jobs import Job
from engine.memory import free_cache, is_out_of_memory
from engine.plan import Plan, make_plan
from engine.preview import LatentPreview
from engine.request import ImageRequest, ImageResult

if TYPE_CHECKING:
    from engine.pipelines import LoadedModel

logger = logging.getLogger(__name__)
Completer = Callable[[str], tuple[str, tuple[str, ...]]]
# Runs of one request that are under way at a time; more would only hold memory.
_MAX_RUNS = 8


class Painter:
    """Paint requests with one loaded model. Each job calls `paint` on a thread of its own."""

    def __init__(self, loaded: LoadedModel, coalescer: Coalescer) -> None:
        """Prepare to paint.

        Raises:
            ModelNotLoaded: if the model's prompt completer cannot be imported.
        """
        self._loaded = loaded
        self._coalescer = coalescer
        self._completer = _import_completer(loaded.source.spec.completer)
        self._libraries = _library_versions()
        self._preview = LatentPreview(loaded)

    def paint(self, job: Job) -> tuple[ImageResult, float]:
        """Make a request's pictures, each in a run of its own; return them and what they cost.

        One run a picture: a run of several would tie their rows together, and its bytes would
        depend on their number.

        Args:
            job: its request was checked by `engine.plan.check_request`.

        Returns:
            The pictures, and seconds of computing.

        Raises:
            EngineError: if the request does not fit the model or painting fails.
        """
        request, spec = job.request, self._loaded.source.spec
        started = time.perf_counter()
        runs: list[RunStage] = []
        try:
            plan = make_plan(request, spec)
            prompt, warnings = request.prompt, plan.warnings
            if self._completer is not None:
                prompt, more = self._completer(prompt)
                warnings += tuple(more)
            prepared_s = time.perf_counter() - started
            runs = [RunStage(self, job, len(request.seeds)) for _ in request.seeds]
            images = self._paint_all(request, plan, prompt, runs)
            warnings += runs[0].warnings
        except Exception as error:
            raise self._explain(error) from error
        timings = {name: max(run.timings[name] for run in runs) for name in runs[0].timings}
        timings["text"] += prepared_s
        shared = sum(run.run.shared_forwards for run in runs)
        result = ImageResult(
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
            shared_forwards=shared,
        )
        return result, sum(run.run.busy_s for run in runs)

    def _paint_all(
        self, request: ImageRequest, plan: Plan, prompt: str, runs: list[RunStage]
    ) -> list[Image.Image]:
        """Paint one picture for each seed, side by side if there are several."""

        def paint_one(index: int) -> Image.Image:
            # The computing thread has the cores; this one only pushes numbers around.
            torch.set_num_threads(1)
            before = time.thread_time()
            try:
                with torch.inference_mode(), runs[index]:
                    return self._paint_one(request, plan, prompt, request.seeds[index], runs[index])
            finally:
                self._coalescer.stats.spent("overhead", time.thread_time() - before)

        if len(runs) == 1:
            return [paint_one(0)]
        with concurrent.futures.ThreadPoolExecutor(
            min(len(runs), _MAX_RUNS), thread_name_prefix="engine-run"
        ) as pool:
            pictures = [pool.submit(paint_one, index) for index in range(len(runs))]
            try:
                return [picture.result() for picture in pictures]
            except BaseException:
                for picture in pictures:
                    picture.cancel()
                raise

    def _paint_one(
        self, request: ImageRequest, plan: Plan, prompt: str, seed: int, stage: RunStage
    ) -> Image.Image:
        params, spec = plan.params, self._loaded.source.spec
        pipeline = self._loaded.pipeline(request.mode, with_strength=params.strength is not None)
        stage.warnings = stage.alone("text", lambda: self._cut_prompt(prompt))
        view = self._loaded.view(pipeline, sampler=params.sampler, stage=stage)
        stage.view, stage.size = view, plan.size
        stage.run.steps = params.num_inference_steps or 1
        arguments = call_arguments(view, request, plan, prompt, seed, spec)
        output = view(**arguments)
        if any(getattr(output, "nsfw_content_detected", None) or ()):
            raise GenerationFailed(
                "The model's own safety checker blocked the picture.",
                hint="Change the prompt or the seed.",
            )
        painted = _to_image(np.asarray(output.images)[0], plan.size)
        if plan.source is None or plan.area is None:
            return painted
        return plan.area.leave(painted, plan.source, plan.mask)

    def _cut_prompt(self, prompt: str) -> tuple[str, ...]:
        """Warn if no text encoder can take the whole prompt."""
        over = []
        most = self._loaded.source.spec.family.prompt_tokens
        for name in ("tokenizer", "tokenizer_2", "tokenizer_3"):
            tokenizer = getattr(self._loaded.base, name, None)
            if tokenizer is not None:
                limit = min(int(tokenizer.model_max_length), most)
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
        text = (str(error).splitlines() or [""])[0][:200]
        if is_out_of_memory(error):
            free_cache()
            return OutOfMemory(
                "The request does not fit into memory.",
                hint="Ask for a smaller size, or use a smaller model.",
            )
        logger.exception("painting failed")
        return GenerationFailed(
            f"Painting failed: {type(error).__name__}: {text}.",
            hint="Other requests are not affected; try other settings.",
        )


class RunStage:
    """One pipeline call's way to the computing thread, its clock and its step counter.

    A context manager: the run is known to the coalescer while it is open.
    """

    def __init__(self, painter: Painter, job: Job, runs: int) -> None:
        self.view: Any = None
        self.size = (0, 0)
        self.warnings: tuple[str, ...] = ()
        self.timings = {"text": 0.0, "denoise": 0.0, "decode": 0.0}
        self._job, self._runs = job, runs
        self._coalescer, self._preview = painter._coalescer, painter._preview
        loaded = painter._loaded
        self.run = Run(
            job,
            shareable=not job.request.deterministic,
            exclusive=loaded.exclusive,
            steps=job.request.params.num_inference_steps or loaded.source.spec.steps,
        )
        self._started = self._last = 0.0
        self._first: float | None = None

    def __enter__(self) -> RunStage:
        self._started = self._last = time.perf_counter()
        self._coalescer.begin(self.run)
        return self

    def __exit__(self, *error: object) -> None:
        self._coalescer.end(self.run)
        first = self._last if self._first is None else self._first
        self.timings["text"] = first - self._started
        self.timings["denoise"] = self._last - first
        self.timings["decode"] = time.perf_counter() - self._last

    def forward(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute a denoiser's forward on the computing thread."""
        if self._first is None:
            self._first = time.perf_counter()
            self.run.steps = self._total()
            self._job.expect(self._runs * self.run.steps)
        return self._coalescer.forward(self.run, module, args, kwargs)

    def alone(self, kind: str, compute: Callable[[], Any]) -> Any:
        """Run `compute` on the computing thread, by itself."""
        return self._coalescer.alone(self.run, kind, compute)

    def on_step(self, result: Any) -> None:
        """Count a step of the sampler."""
        self.run.done_steps += 1
        self._last = time.perf_counter()
        self._job.checkpoint()
        every = self._job.request.preview_every
        preview = None
        if every and (self.run.done_steps % every == 0) and self.run.done_steps < self.run.steps:
            preview = self._preview.picture(result, self.size, self.alone)
        self._job.step(preview)

    def _total(self) -> int:
        """Steps of this run; with `strength` the sampler's first ones are skipped."""
        known = self.view.__dict__.get("_num_timesteps")
        if isinstance(known, int):
            return known
        scheduler = self.view.scheduler
        return len(scheduler.timesteps) - (getattr(scheduler, "begin_index", None) or 0)


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
    import transformers

    return {
        "torch": str(torch.__version__),
        "diffusers": str(diffusers.__version__),
        "transformers": str(transformers.__version__),
    }
