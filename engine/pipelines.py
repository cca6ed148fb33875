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
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import EngineError, ModelNotLoaded
from engine.options import DEFAULT_OPTIONS, ModelOptions, place, quantization_config
from engine.samplers import new_scheduler
from engine.sources import OWN_MODULES
from engine.ways import NO_COMPANIONS, Companions

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from engine.sources import Source
    from engine.stats import EngineStats
    from engine.text import EmbeddingCache

logger = logging.getLogger(__name__)
DENOISERS = ("unet", "transformer")
CONTROLNET = "controlnet"


@dataclass(slots=True)
class LoadedModel:
    """A model in memory: one set of weights, a pipeline for each mode.

    Attributes:
        source: where it came from.
        base: the pipeline that was loaded; never called itself, only its views are.
        device: where it computes.
        dtype: number format of the weights.
        embeddings: prompts that were encoded already.
        exclusive: whether its networks keep state between forwards, so that runs must not mix.
        companions: what was loaded beside it.
        extras: components that sibling pipelines take and `base` has not, by name.
        upscaler: the second stage's own diffusers model, or None.
        enlarge: the second stage's plain network, or None.
    """

    source: Source
    base: Any
    device: torch.device
    dtype: torch.dtype
    embeddings: EmbeddingCache
    exclusive: bool = False
    companions: Companions = NO_COMPANIONS
    extras: dict[str, Any] = field(default_factory=dict)
    upscaler: LoadedModel | None = None
    enlarge: Callable[[Image.Image], Image.Image] | None = None
    _by_class: dict[str, Any] = field(default_factory=dict)
    _offloaded: bool = False

    def pipeline(self, class_name: str) -> Any:
        """Return the shared pipeline of a diffusers class."""
        if class_name not in self._by_class:
            self._by_class[class_name] = _sibling(self.base, class_name, self.extras)
        return self._by_class[class_name]

    def view(self, pipeline: Any, *, sampler: str | None, stage: Stage) -> Any:
        """Return a shallow copy of `pipeline` for one run: own scheduler, networks behind proxies.

        Args:
            pipeline: from `pipeline`.
            sampler: name of the sampler, None for the model's own.
            stage: where the run's computations go.

        Raises:
            InvalidRequest: if no such sampler fits.
        """
        from engine.denoiser import AutoencoderProxy, DenoiserProxy
        from engine.text import cached_encoder

        scheduler = new_scheduler(pipeline.scheduler, sampler)
        step = scheduler.step

        # Pipelines inspect the signature of step (eta, generator): keep it.
        @functools.wraps(step)
        def counted_step(*args: Any, **kwargs: Any) -> Any:
            result = step(*args, **kwargs)
            stage.on_step(result)
            return result

        scheduler.step = counted_step
        view = copy.copy(pipeline)
        # Not by setattr: that would write to the config that all views share.
        view.__dict__["scheduler"] = scheduler
        for name in DENOISERS:
            inner = pipeline.__dict__.get(name)
            if inner is not None:
                view.__dict__[name] = DenoiserProxy(inner, self.device, stage.forward)
        controlnet = pipeline.__dict__.get(CONTROLNET)
        if controlnet is not None:
            view.__dict__[CONTROLNET] = _guided_through(controlnet, stage.forward)
        if pipeline.__dict__.get("vae") is not None:
            view.__dict__["vae"] = AutoencoderProxy(pipeline.vae, self.device, stage.alone)
        if hasattr(view, "encode_prompt"):
            view.__dict__["encode_prompt"] = cached_encoder(
                view.encode_prompt, type(view).__name__, self.embeddings, stage.alone
            )
        return view

    def weights_bytes(self) -> int:
        """Return the memory that the weights of all networks take, bytes."""
        import torch

        networks = [*self.base.components.values(), *self.extras.values()]
        own = sum(
            weight.numel() * weight.element_size()
            for network in networks
            if isinstance(network, torch.nn.Module)
            for weight in network.parameters()
        )
        return own + (0 if self.upscaler is None else self.upscaler.weights_bytes())

    def prepare(self, kind: str) -> None:
        """Bring the networks that a kind of computation needs to the device, the others away.

        Does nothing unless `offload` was called.
        """
        if not self._offloaded:
            return
        import torch

        for name, component in {**self.base.components, **self.extras}.items():
            if isinstance(component, torch.nn.Module):
                here = _kind_of(name) == kind
                component.to(self.device if here else torch.device("cpu"))

    def offload(self) -> bool:
        """From now on keep only the networks that compute on the device.

        Returns:
            Whether that changed anything: on the CPU there is nowhere else to put them.
        """
        if self._offloaded or self.device.type == "cpu":
            return False
        logger.warning("from now on networks leave the device between stages")
        self._offloaded = True
        return True


class Stage(Protocol):
    """Where the computations of one run go."""

    def forward(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute a denoiser's forward."""

    def alone(self, kind: str, compute: Callable[[], Any]) -> Any:
        """Run `compute`, which is of kind "text", "encode" or "decode", by itself."""

    def on_step(self, result: Any) -> None:
        """Hear that the sampler made a step, and what it returned."""


def _kind_of(component: str) -> str:
    """Return the kind of computation that a pipeline's component takes part in."""
    if component in (*DENOISERS, CONTROLNET):
        return "denoise"
    return "decode" if component == "vae" else "text"


def load_model(
    source: Source,
    device: torch.device,
    dtype: torch.dtype,
    stats: EngineStats,
    options: ModelOptions = DEFAULT_OPTIONS,
) -> LoadedModel:
    """Read a checked folder into memory.

    Raises:
        ModelNotLoaded: if diffusers cannot read it or it does not fit.
    """
    from transformers.utils import logging as transformers_logging

    from engine.processors import substitutes
    from engine.text import EmbeddingCache

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
            **_quantization(pipeline_class, device, dtype, options),
            **substitutes(source.folder),
        )
        if not is_accelerate_available():
            _cast_stragglers(base, dtype)
        denoisers = [name for name in DENOISERS if getattr(base, name, None) is not None]
        place(base, device, options, denoisers)
        for name, component in base.components.items():
            if isinstance(component, torch.nn.Module):
                component.eval().requires_grad_(False)
                # Only images have such a layout, not the video autoencoder of Qwen-Image.
                flat = all(weight.ndim <= 4 for weight in component.parameters())
                if name in ("unet", "vae") and flat:
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
    vae = getattr(base, "vae", None)
    if dtype == torch.float16 and vae is not None and vae.config.get("force_upcast"):
        # Its activations overflow in float16; bfloat16 has the range.
        vae.to(torch.float32)
    base.set_progress_bar_config(disable=True)
    loaded = LoadedModel(source, base, device, dtype, EmbeddingCache(stats))
    loaded.exclusive = options.exclusive
    loaded._by_class[class_name] = base
    if options.offload == "stages":
        loaded.offload()
    return loaded


def _cast_stragglers(base: Any, dtype: torch.dtype) -> None:
    """Bring weights to `dtype` that diffusers has left in the format of the file.

    Without accelerate it does so to models with persistent buffers, such as Stable Diffusion 3's.
    """
    import diffusers

    for component in base.components.values():
        if isinstance(component, diffusers.ModelMixin):
            precise = tuple(component._keep_in_fp32_modules or ())
            for name, weight in component.named_parameters():
                if weight.is_floating_point() and not any(part in name for part in precise):
                    weight.data = weight.data.to(dtype)


def _quantization(
    pipeline_class: Any, device: torch.device, dtype: torch.dtype, options: ModelOptions
) -> dict[str, Any]:
    """Return what from_pretrained must be told to pack the denoiser's weights."""
    if options.quantization is None:
        return {}
    components, _ = pipeline_class._get_signature_keys(pipeline_class)
    denoisers = [name for name in DENOISERS if name in components]
    return {
        "quantization_config": quantization_config(options.quantization, denoisers, device, dtype)
    }


def _guided_through(controlnet: Any, forward: Callable[..., Any]) -> Any:
    """Return a copy of a ControlNet that shares its weights and computes by way of `forward`.

    Not a proxy: pipelines ask whether it is an instance of ControlNetModel.
    """
    guide = copy.copy(controlnet)
    guide.forward = lambda *args, **kwargs: forward(controlnet, args, kwargs)
    return guide


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
