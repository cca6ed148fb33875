"""One request through the model: completed prompt, pipeline runs, pictures out."""

from __future__ import annotations

import concurrent.futures
import importlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from PIL import Image

from engine.calls import PipelineCall, paint_picture
from engine.coalescer import Coalescer
from engine.errors import EngineError, GenerationFailed, ModelNotLoaded, OutOfMemory
from engine.jobs import Job
from engine.memory import free_cache, is_out_of_memory
from engine.plan import make_plan
from engine.preview import LatentPreview
from engine.request import ImageResult
from engine.runs import STAGES, JobWork, RunStage

if TYPE_CHECKING:
    from engine.pipelines import LoadedModel

logger = logging.getLogger(__name__)
Completer = Callable[[str], tuple[str, tuple[str, ...]]]
# Runs of one request that are under way at a time; more would only hold memory.
_MAX_RUNS = 8
_Made = TypeVar("_Made")


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
            job: its request was checked by `engine.checks.check_request`.

        Returns:
            The pictures, and seconds of computing.

        Raises:
            EngineError: if the request does not fit the model or painting fails.
        """
        request, spec = job.request, self._loaded.source.spec
        started = time.perf_counter()
        try:
            plan = make_plan(request, spec, self._loaded.companions)
            prompt, warnings = request.prompt, plan.warnings
            if self._completer is not None:
                prompt, more = self._completer(prompt)
                warnings += tuple(more)
            prepared_s = time.perf_counter() - started
            work = JobWork(job, len(request.seeds) * plan.picture_steps)
            pictures = [PictureRuns(self, work) for _ in request.seeds]
            images = self.side_by_side(
                [
                    partial(
                        paint_picture,
                        request,
                        plan,
                        prompt,
                        seed,
                        spec,
                        runs.run,
                        runs.enlarge,
                    )
                    for seed, runs in zip(request.seeds, pictures, strict=True)
                ]
            )
        except Exception as error:
            raise self._explain(error) from error
        timings = {name: max(runs.timings[name] for runs in pictures) for name in STAGES}
        timings["text"] += prepared_s
        result = ImageResult(
            images=tuple(images),
            seeds=request.seeds,
            model=spec.name,
            revision=self._loaded.source.revision,
            params=plan.params,
            timings_s=timings,
            libraries=dict(self._libraries),
            warnings=tuple(dict.fromkeys((*warnings, *work.warnings))),
            precision=f"{str(self._loaded.dtype).removeprefix('torch.')} "
            f"on {self._loaded.device.type}",
            shared_forwards=work.shared_forwards,
        )
        return result, work.busy_s

    def paint_call(self, call: PipelineCall, work: JobWork) -> tuple[Image.Image, RunStage]:
        """Run one pipeline; return what it painted and the clock of the run.

        Raises:
            EngineError: if it must stop or cannot paint.
        """
        loaded = self._loaded.upscaler if call.network == "upscaler" else self._loaded
        if loaded is None:
            raise ModelNotLoaded("There is no upscaler.", hint="Set 'upscaler'.")
        with self._stage(work, call, exclusive=loaded.exclusive) as stage:
            if loaded is self._loaded:
                work.warn(stage.alone("text", lambda: self._cut_prompt(call.wanted["prompt"])))
            view = loaded.view(loaded.pipeline(call.class_name), sampler=call.sampler, stage=stage)
            stage.view = view
            output = view(**call.arguments(view))
        if any(getattr(output, "nsfw_content_detected", None) or ()):
            raise GenerationFailed(
                "The model's own safety checker blocked the picture.",
                hint="Change the prompt or the seed.",
            )
        return _to_image(np.asarray(output.images)[0], call.size), stage

    def enlarge_tile(self, tile: Image.Image, work: JobWork) -> tuple[Image.Image, RunStage]:
        """Run the plain network of the second stage over one tile."""
        enlarge = self._loaded.enlarge
        if enlarge is None:
            raise ModelNotLoaded("There is no upscale network.", hint="Set 'upscaler'.")
        with self._stage(work, None, exclusive=False) as stage:
            return stage.alone("enlarge", lambda: enlarge(tile)), stage

    def _stage(self, work: JobWork, call: PipelineCall | None, *, exclusive: bool) -> RunStage:
        return RunStage(self._coalescer, self._preview, work, call, exclusive=exclusive)

    def side_by_side(self, tasks: Sequence[Callable[[], _Made]]) -> list[_Made]:
        """Run tasks on threads of their own, if there are several, and return what they made."""

        def run(task: Callable[[], _Made]) -> _Made:
            # The computing thread has the cores; this one only pushes numbers around.
            torch.set_num_threads(1)
            before = time.thread_time()
            try:
                with torch.inference_mode():
                    return task()
            finally:
                self._coalescer.stats.spent("overhead", time.thread_time() - before)

        if len(tasks) == 1:
            return [run(tasks[0])]
        with concurrent.futures.ThreadPoolExecutor(
            min(len(tasks), _MAX_RUNS), thread_name_prefix="engine-run"
        ) as pool:
            made = [pool.submit(run, task) for task in tasks]
            try:
                return [one.result() for one in made]
            except BaseException:
                for one in made:
                    one.cancel()
                raise

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


class PictureRuns:
    """The runs of one picture, and the time that each of their stages took."""

    def __init__(self, painter: Painter, work: JobWork) -> None:
        self.timings = dict.fromkeys(STAGES, 0.0)
        self._painter, self._work = painter, work

    def run(self, calls: Sequence[PipelineCall]) -> list[Image.Image]:
        """Run pipelines side by side: tiles of equal size share their forwards."""
        paint = self._painter.paint_call
        if len(calls) == 1:
            made = [paint(calls[0], self._work)]
        else:
            made = self._painter.side_by_side([partial(paint, call, self._work) for call in calls])
        for name in STAGES:
            self.timings[name] += max(stage.timings[name] for _, stage in made)
        return [picture for picture, _ in made]

    def enlarge(self, tile: Image.Image) -> Image.Image:
        """Run the plain network of the second stage."""
        picture, stage = self._painter.enlarge_tile(tile, self._work)
        self.timings["decode"] += stage.timings["decode"]
        return picture


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
