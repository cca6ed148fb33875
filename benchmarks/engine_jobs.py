"""What the engine's benchmarks share: the jobs, and both ways of serving them.

"plain" is the usual server: one diffusers pipeline, requests first in, first out. "engine" is
`engine.LocalEngine` on weights of its own. Both see the same jobs at the same moments.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from engine import Done, ImageRequest, LocalEngine, SamplingParams

LONG, SHORT = "long", "short"
SETTINGS = {LONG: (50, 2.5), SHORT: (4, 1.0)}
PRODUCTS = ("red mug", "teal teapot", "green armchair", "navy sneaker", "yellow lamp", "white vase")


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job: what kind, when it arrives (seconds from the start), its seed."""

    kind: str
    arrival_s: float
    seed: int

    @property
    def prompt(self) -> str:
        """What it paints."""
        return f"a {PRODUCTS[self.seed % len(PRODUCTS)]}"

    def request(self) -> ImageRequest:
        """Return it as the engine takes it."""
        steps, guidance = SETTINGS[self.kind]
        return ImageRequest(
            self.prompt,
            seeds=(self.seed,),
            params=SamplingParams(num_inference_steps=steps, guidance_scale=guidance),
        )


@dataclass(frozen=True, slots=True)
class Served:
    """How a job went: seconds from its arrival to its picture, and the picture."""

    spec: JobSpec
    latency_s: float
    finished_s: float
    image: Image.Image


class PlainServer:
    """A diffusers pipeline behind a queue."""

    def __init__(self, model: str, threads: int) -> None:
        """Load the model as the engine does: same folder, number format, layout, completer."""
        import torch

        from engine.devices import pick_device, pick_dtype
        from engine.painter import _import_completer
        from engine.pipelines import load_model
        from engine.sources import open_source
        from engine.stats import EngineStats

        source = open_source(model)
        device = pick_device(None)
        self.loaded = load_model(source, device, pick_dtype(device), EngineStats())
        self._pipeline = self.loaded.base
        self._completer = _import_completer(source.spec.completer)
        self._threads = threads
        self._torch = torch

    def paint(self, spec: JobSpec) -> Image.Image:
        """Call the pipeline, as any script would."""
        steps, guidance = SETTINGS[spec.kind]
        prompt = self._completer(spec.prompt)[0] if self._completer else spec.prompt
        with self._torch.inference_mode():
            output = self._pipeline(
                prompt=prompt,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=self._torch.Generator("cpu").manual_seed(spec.seed),
                output_type="np",
            )
        return Image.fromarray((output.images[0] * 255).round().clip(0, 255).astype(np.uint8))

    def serve(self, jobs: list[JobSpec]) -> list[Served]:
        """Serve jobs first in, first out, each at its arrival or when the ones before are done."""
        waiting: queue.Queue[JobSpec | None] = queue.Queue()
        served: list[Served] = []
        started = time.perf_counter()

        def work() -> None:
            self._torch.set_num_threads(self._threads)
            while (spec := waiting.get()) is not None:
                image = self.paint(spec)
                now = time.perf_counter() - started
                served.append(Served(spec, now - spec.arrival_s, now, image))

        worker = threading.Thread(target=work)
        worker.start()
        for spec in sorted(jobs, key=lambda job: job.arrival_s):
            time.sleep(max(0.0, spec.arrival_s - (time.perf_counter() - started)))
            waiting.put(spec)
        waiting.put(None)
        worker.join()
        return served


class EngineServer:
    """`LocalEngine`, asked from one event loop."""

    def __init__(self, model: str, threads: int) -> None:
        """Prepare; call `load` before the first job."""
        self.engine = LocalEngine(model, threads=threads, max_queue_s=1e9)

    async def load(self) -> None:
        """Load and warm up."""
        await self.engine.load()
        for kind in SETTINGS:
            await self.paint(JobSpec(kind, 0.0, 999), deterministic=True)

    async def paint(self, spec: JobSpec, *, deterministic: bool = False) -> Image.Image:
        """Paint one job."""
        from dataclasses import replace

        request = replace(spec.request(), deterministic=deterministic)
        async for event in self.engine.submit(request):
            if isinstance(event, Done):
                return event.result.images[0]
        raise AssertionError("the engine ended without a picture")

    async def serve(self, jobs: list[JobSpec]) -> list[Served]:
        """Submit each job at its arrival."""
        started = time.perf_counter()

        async def one(spec: JobSpec) -> Served:
            await asyncio.sleep(max(0.0, spec.arrival_s - (time.perf_counter() - started)))
            image = await self.paint(spec)
            now = time.perf_counter() - started
            return Served(spec, now - spec.arrival_s, now, image)

        return list(await asyncio.gather(*(one(spec) for spec in jobs)))


def latencies(served: list[Served], kind: str) -> np.ndarray[Any, Any]:
    """Return the seconds that jobs of a kind took, from arrival to picture."""
    return np.array([job.latency_s for job in served if job.spec.kind == kind])


def largest_difference(one: Image.Image, other: Image.Image) -> int:
    """Return the largest difference of any channel of any pixel."""
    difference = np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int))
    return int(difference.max())
