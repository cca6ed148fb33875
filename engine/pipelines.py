"""Loading a diffusers pipeline, and one view of it for each request."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, ModelNotLoaded
from engine.samplers import new_scheduler
from engine.sources import OWN_MODULES
from engine.ways import NO_COMPANIONS, Companions

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from engine.denoiser import Forward
    from engine.sources import Source

logger = logging.getLogger(__name__)
_DENOISERS = ("unet", "transformer")


@dataclass(slots=True)
class LoadedModel:
    """A model in memory: one set of weights, a pipeline for each mode.

    Attributes:
        source: where it came from.
        base: the pipeline that was loaded; never called itself, only its views are.
        device: where it computes.
        dtype: number format of the weights.
        companions: what was loaded beside it.
        extras: components that sibling pipelines take and `base` has not, by name.
        upscaler: the second stage's own diffusers model, or None.
        enlarge: the second stage's plain network, or None.
    """

    source: Source
    base: Any
    device: torch.device
    dtype: torch.dtype
    companions: Companions = NO_COMPANIONS
    extras: dict[str, Any] = field(default_factory=dict)
    upscaler: LoadedModel | None = None
    enlarge: Callable[[Image.Image], Image.Image] | None = None
    _by_class: dict[str, Any] = field(default_factory=dict)
    _dtypes: dict[str, Any] = field(default_factory=dict)

    def pipeline(self, class_name: str) -> Any:
        """Return the shared pipeline of a diffusers class."""
        if class_name not in self._by_class:
            self._by_class[class_name] = _sibling(self.base, class_name, self.extras)
        return self._by_class[class_name]

    def view(
        self, pipeline: Any, *, sampler: str | None, forward: Forward, on_step: Callable[[], None]
    ) -> Any:
        """Return a shallow copy of `pipeline` for one run: own scheduler, denoiser behind a proxy.

        Args:
            pipeline: from `pipeline`.
            sampler: name of the sampler, None for the model's own.
            forward: what every denoiser call goes through.
            on_step: called after each step of the sampler.

        Raises:
            InvalidRequest: if no such sampler fits.
        """
        from engine.denoiser import DenoiserProxy

        scheduler = new_scheduler(pipeline.scheduler, sampler)
        step = scheduler.step

        # Pipelines inspect the signature of step (eta, generator): keep it.
        @functools.wraps(step)
        def counted_step(*args: Any, **kwargs: Any) -> Any:
            result = step(*args, **kwargs)
            on_step()
            return result

        scheduler.step = counted_step
        view = copy.copy(pipeline)
        # Not by setattr: that would write to the config that all views share.
        view.__dict__["scheduler"] = scheduler
        for name in _DENOISERS:
            inner = pipeline.__dict__.get(name)
            if inner is not None:
                view.__dict__[name] = DenoiserProxy(inner, forward)
        return view

    def restore(self) -> None:
        """Undo what an interrupted run left behind.

        SDXL pipelines cast the shared VAE to float32 and back; an error in between leaves it.
        """
        for name, dtype in self._dtypes.items():
            module = getattr(self.base, name)
            if module.dtype != dtype:
                module.to(dtype)
        if self.upscaler is not None:
            self.upscaler.restore()


def load_model(source: Source, device: torch.device, dtype: torch.dtype) -> LoadedModel:
    """Read a checked folder into memory.

    Raises:
        ModelNotLoaded: if diffusers cannot read it or it does not fit.
    """
    from transformers.utils import logging as transformers_logging

    # Bars and advice of every load and request would flood the server's log, whose lines are JSON;
    # TRANSFORMERS_VERBOSITY and DIFFUSERS_VERBOSITY bring them back. Importing diffusers already
    # makes transformers speak.
    transformers_logging.disable_progress_bar()
    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        transformers_logging.set_verbosity_error()
    import diffusers
    import torch
    from diffusers.utils import is_accelerate_available
    from diffusers.utils import logging as diffusers_logging

    diffusers_logging.disable_progress_bar()
    if "DIFFUSERS_VERBOSITY" not in os.environ:
        diffusers_logging.set_verbosity_error()
    spec = source.spec
    class_name = next(iter(spec.family.classes.values()))
    pipeline_class: Any = getattr(diffusers, class_name, None)
    known = inspect.isclass(pipeline_class)
    if not (known and issubclass(pipeline_class, diffusers.DiffusionPipeline)):
        raise ModelNotLoaded(
            f"Model '{spec.name}' needs '{class_name}', which diffusers "
            f"{diffusers.__version__} does not have.",
            hint="Use a model of another family.",
        )
    for module in OWN_MODULES:
        importlib.import_module(module)
    try:
        base = pipeline_class.from_pretrained(
            str(source.folder),
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            variant=source.variant,
            low_cpu_mem_usage=is_accelerate_available(),
        )
        base.to(device)
        dtypes = {}
        for name, component in base.components.items():
            if isinstance(component, torch.nn.Module):
                dtypes[name] = component.dtype
                component.eval().requires_grad_(False)
                if name in ("unet", "vae"):
                    # Module.to's type stubs know no memory_format.
                    torch.nn.Module.to(component, memory_format=torch.channels_last)  # type: ignore[call-overload]
    except EngineError:
        raise
    except Exception as error:
        logger.exception("model %s could not be loaded", spec.name)
        reason = (str(error).splitlines() or [""])[0].replace(str(source.folder), spec.name)
        raise ModelNotLoaded(
            f"Model '{spec.name}' could not be loaded: {type(error).__name__}: {reason[:200]}.",
            hint="Check that the folder is complete and was saved by diffusers.",
        ) from error
    base.set_progress_bar_config(disable=True)
    return LoadedModel(source, base, device, dtype, _by_class={class_name: base}, _dtypes=dtypes)


def _sibling(base: Any, class_name: str, extras: dict[str, Any]) -> Any:
    """Build another pipeline class around the same components.

    `DiffusionPipeline.from_pipe` is not used: without an explicit dtype it casts the shared
    weights to float32.
    """
    import diffusers

    pipeline_class = getattr(diffusers, class_name)
    components, options = pipeline_class._get_signature_keys(pipeline_class)
    sibling = pipeline_class(
        **{name: extras.get(name, getattr(base, name, None)) for name in components},
        **{name: base.config[name] for name in options if name in base.config},
    )
    sibling.set_progress_bar_config(disable=True)
    return sibling
