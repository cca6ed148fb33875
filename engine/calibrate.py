"""Measuring c(rows), the cost of a forward by its rows, once per model, shape and machine.

One pipeline call is stopped at its first forward; its arguments, repeated, are timed at 1, 2, 4
and 8 rows. So it needs to know nothing about the model. About two seconds, then kept in a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from engine.calls import painting_call
from engine.coalescer import Coalescer
from engine.collate import Arguments, Digests, NotJoinable, join, signature
from engine.cost import CostCurve
from engine.plan import make_plan
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from engine.pipelines import LoadedModel

logger = logging.getLogger(__name__)
BUDGET_S = 2.0
_ROWS = (1, 2, 4, 8)
_MAX_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class _Measured:
    key: Any
    curve: CostCurve


def calibrate(loaded: LoadedModel, coalescer: Coalescer, file: Path | None) -> float | None:
    """Fill in the cost curve of the model's default shape, measured or from `file`.

    Args:
        loaded: the model; nothing else may compute meanwhile.
        coalescer: gets the curve.
        file: JSON file of earlier measurements; None keeps nothing.

    Returns:
        Seconds per pixel, step and row, for admission; None if nothing could be measured.
    """
    mode = loaded.source.spec.modes[0]
    if mode != "text-to-image":
        return None
    spec = loaded.source.spec
    request = ImageRequest(
        "a mug", params=SamplingParams(num_inference_steps=2, guidance_scale=0.0)
    )
    try:
        with torch.inference_mode():
            module, arguments = _first_forward(loaded, request)
            described = signature(id(module), *arguments, Digests())
            backend = type(coalescer.network(module)).__name__
            name = _name(loaded, backend, coalescer.threads, described.key)
            curve = _read(file).get(name)
            if curve is None:
                network = coalescer.network(module)
                curve = _measure(network, arguments, described.rows, coalescer.synchronize)
                _write(file, name, curve)
    except NotJoinable as reason:
        logger.info("forwards of %s cannot be shared: %s", spec.name, reason)
        return None
    except Exception:
        # Whatever is wrong will be told to the first request, with what it asked for.
        logger.warning("measuring %s failed", spec.name, exc_info=True)
        return None
    coalescer.curves[described.key] = curve
    pixels = spec.size * spec.size
    rows = max(curve.measured())
    return curve.seconds(rows) / rows / pixels


class _Captured(Exception):
    """Carries a forward's arguments out of a pipeline."""


class _CapturingStage:
    """Compute everything in place, up to the first forward."""

    def __init__(self) -> None:
        self.call: tuple[Any, Arguments] | None = None

    def forward(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.call = (module, (args, kwargs))
        raise _Captured

    def alone(self, kind: str, compute: Callable[[], Any]) -> Any:
        return compute()

    def on_step(self, result: Any) -> None:
        pass


def _first_forward(loaded: LoadedModel, request: ImageRequest) -> tuple[Any, Arguments]:
    stage = _CapturingStage()
    spec = loaded.source.spec
    call = painting_call(request, make_plan(request, spec), request.prompt, 0, spec)
    view = loaded.view(loaded.pipeline(call.class_name), sampler=None, stage=stage)
    arguments = call.arguments(view)
    with contextlib.suppress(_Captured):
        view(**arguments)
    if stage.call is None:
        raise NotJoinable("the pipeline calls no denoiser that is known")
    return stage.call


def _measure(
    module: Any, arguments: Arguments, rows: int, synchronize: Callable[[], None]
) -> CostCurve:
    curve = CostCurve()
    started = time.perf_counter()
    for count in _ROWS:
        args, kwargs = join([arguments] * count)
        best = float("inf")
        for _ in range(3):
            before = time.perf_counter()
            module(*args, **kwargs)
            synchronize()
            best = min(best, time.perf_counter() - before)
            if time.perf_counter() - started > BUDGET_S:
                break
        curve.observe(rows * count, best)
        # The next size takes up to twice as long, three times over.
        if time.perf_counter() - started + 2 * best > BUDGET_S:
            break
    return curve


def _name(loaded: LoadedModel, backend: str, threads: int, key: Any) -> str:
    device = loaded.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu x{threads}"
    parts = (
        loaded.source.revision,
        backend,
        where,
        str(loaded.dtype),
        torch.__version__,
        key[1:],
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _read(file: Path | None) -> dict[str, CostCurve]:
    """Return the curves in a file; a file that cannot be read holds none."""
    if file is None:
        return {}
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return {
            str(name): CostCurve({int(rows): float(value) for rows, value in points.items()})
            for name, points in entries.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _write(file: Path | None, name: str, curve: CostCurve) -> None:
    if file is None:
        return
    curves = {**_read(file), name: curve}
    entries = {key: value.measured() for key, value in [*curves.items()][-_MAX_ENTRIES:]}
    partial = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(entries), encoding="utf-8")
        os.replace(partial, file)
    except OSError as error:
        logger.warning("the measured costs could not be kept: %s", error.strerror)
        partial.unlink(missing_ok=True)
