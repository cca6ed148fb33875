"""One denoiser forward of every family: joined with others', it answers each as if alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_helpers import box_mask, photograph
from tiny_models import BUILDERS

from engine import ImageRequest, SamplingParams
from engine.calls import painting_call
from engine.collate import Arguments, Digests, join, signature, split
from engine.pipelines import LoadedModel, load_model
from engine.plan import make_plan
from engine.sources import check_folder
from engine.stats import EngineStats

pytestmark = pytest.mark.usefixtures("small_references")


class Captured(Exception):
    """Ends a pipeline call at the forward that was wanted."""


class CapturingStage:
    """Compute in place; keep the arguments of forward number `wanted`."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.arguments: Arguments = ((), {})
        self.module: Any = None

    def forward(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.wanted -= 1
        if self.wanted == 0:
            self.module, self.arguments = module, (args, kwargs)
            raise Captured
        return module(*args, **kwargs)

    def alone(self, kind: str, compute: Callable[[], Any]) -> Any:
        return compute()

    def on_step(self, result: Any) -> None:
        pass


@pytest.fixture(scope="module")
def load(model_folder: Callable[[str], Path]) -> Callable[[str], LoadedModel]:
    """Return a loaded tiny model, each loaded once."""
    loaded: dict[str, LoadedModel] = {}

    def load_once(name: str) -> LoadedModel:
        if name not in loaded:
            source = check_folder(model_folder(name), name)
            loaded[name] = load_model(source, torch.device("cpu"), torch.float32, EngineStats())
        return loaded[name]

    return load_once


def capture(
    loaded: LoadedModel, guidance: float, seed: int, steps: int, number: int, size: tuple[int, int]
) -> tuple[Any, Arguments]:
    """Return the denoiser and the arguments of one of its forwards, of the first mode it serves."""
    stage = CapturingStage(number)
    view, arguments = open_view(loaded, stage, guidance, seed, steps, size)
    with torch.inference_mode(), contextlib.suppress(Captured):
        view(**arguments)
    assert stage.module is not None, "the pipeline made no such forward"
    return stage.module, stage.arguments


def open_view(
    loaded: LoadedModel,
    stage: CapturingStage,
    guidance: float,
    seed: int,
    steps: int,
    size: tuple[int, int],
) -> tuple[Any, dict[str, Any]]:
    """Return a pipeline view of the first mode that a model serves, and what to call it with."""
    spec = loaded.source.spec
    params = SamplingParams(num_inference_steps=steps, guidance_scale=guidance)
    pictures: dict[str, Any] = {
        "edit": {"references": (photograph((64, 64)),), "width": size[0], "height": size[1]},
        "inpaint": {"image": photograph(size), "mask": box_mask(size, (0, 0, 20, 20))},
        "text-to-image": {"width": size[0], "height": size[1]},
    }
    mode = spec.modes[0]
    request = ImageRequest("a red mug", params=params, **pictures[mode])
    call = painting_call(request, make_plan(request, spec), request.prompt, seed, spec)
    view = loaded.view(loaded.pipeline(call.class_name), sampler=None, stage=stage)
    return view, call.arguments(view)


def tensors(output: Any) -> list[torch.Tensor]:
    """All tensors of a denoiser's output."""
    if isinstance(output, torch.Tensor):
        return [output]
    return [tensor for item in output for tensor in tensors(item)]


@pytest.mark.parametrize("family", BUILDERS)
def test_a_joined_forward_answers_each_call_as_if_alone(family, load) -> None:
    """Guided and unguided, first and second forward, of other seeds and step counts."""
    loaded = load(family)
    asked = [(4.0, 1, 5, 1), (1.0, 2, 3, 2), (2.0, 3, 4, 1)]
    captured = [capture(loaded, *one, (64, 32)) for one in asked]
    module = captured[0][0]
    calls = [arguments for _, arguments in captured]
    described = [signature(id(module), *call, Digests()) for call in calls]
    assert len({one.key for one in described}) == 1
    with torch.inference_mode():
        alone = [module(*args, **kwargs) for args, kwargs in calls]
        args, kwargs = join(calls)
        together = split(module(*args, **kwargs), calls)
    for one, other in zip(alone, together, strict=True):
        assert type(one) is type(other)
        for expected, given in zip(tensors(one), tensors(other), strict=True):
            assert given.shape == expected.shape
            assert (given - expected).abs().max() < 1e-4 * max(1.0, expected.abs().max())


@pytest.mark.parametrize("family", BUILDERS)
def test_a_family_computes_in_bfloat16_from_float32_files(family, model_folder) -> None:
    source = check_folder(model_folder(family), family)
    loaded = load_model(source, torch.device("cpu"), torch.bfloat16, EngineStats())
    denoiser = getattr(loaded.base, "unet", None) or loaded.base.transformer
    assert {weight.dtype for weight in denoiser.parameters()} == {torch.bfloat16}
    assert loaded.base.vae.dtype == torch.bfloat16
    view, arguments = open_view(loaded, CapturingStage(99), 3.0, 1, 2, (64, 32))
    with torch.inference_mode():
        image = torch.tensor(view(**arguments).images[0])
    assert image.shape == (32, 64, 3)
    assert image.isfinite().all()


@pytest.mark.parametrize("family", [name for name in BUILDERS if name != "z-image"])
def test_wide_and_tall_pictures_are_not_joined(family, load) -> None:
    loaded = load(family)
    (module, wide), (_, tall) = [
        capture(loaded, 1.0, 1, 2, 1, size) for size in ((64, 32), (32, 64))
    ]
    keys = {signature(id(module), *call, Digests()).key for call in (wide, tall)}
    # FLUX.2 carries the position of each token as a row of its own.
    assert len(keys) == (1 if family.startswith("flux2-klein") else 2)


def test_z_image_joins_pictures_of_any_shape(load) -> None:
    loaded = load("z-image")
    sizes = ((64, 32), (32, 64), (96, 96))
    captured = [capture(loaded, 3.0, 1, 2, 1, size) for size in sizes]
    module = captured[0][0]
    calls = [arguments for _, arguments in captured]
    assert len({signature(id(module), *call, Digests()).key for call in calls}) == 1
    with torch.inference_mode():
        args, kwargs = join(calls)
        together = split(module(*args, **kwargs), calls)
        for (args, kwargs), other in zip(calls, together, strict=True):
            for expected, given in zip(
                tensors(module(*args, **kwargs)), tensors(other), strict=True
            ):
                assert given.shape == expected.shape
                assert (given - expected).abs().max() < 1e-4
