"""How a model is held and computed: number format, offload, attention, compilation, backend.

Everything here is passed on to diffusers, torch or OpenVINO. Loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from engine.errors import ModelNotLoaded

if TYPE_CHECKING:
    import torch

QUANTIZATIONS = ("bitsandbytes-4bit", "bitsandbytes-8bit", "torchao-int8", "torchao-float8")
OFFLOADS = ("stages", "model", "group")
BACKENDS = ("torch", "openvino")
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Settings of one loaded model; None leaves the choice to the engine or to diffusers.

    Attributes:
        precision: number format of the weights; the fastest safe one of the device if None.
        quantization: how the denoiser's weights are packed; needs the named package.
        offload: "stages" keeps only the networks of the current stage on the device and still
            shares forwards; "model" and "group" are diffusers' own, one request at a time.
        attention: a diffusers attention backend, such as "native" or "flash".
        compile: compile the denoiser's repeated blocks on the first forwards (CUDA).
        backend: what computes the denoiser.
    """

    precision: str | None = None
    quantization: str | None = None
    offload: str | None = None
    attention: str | None = None
    compile: bool = False
    backend: str = "torch"

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ModelNotLoaded: naming what is allowed.
        """
        for name, allowed in (
            ("precision", PRECISIONS),
            ("quantization", QUANTIZATIONS),
            ("offload", OFFLOADS),
            ("backend", BACKENDS),
        ):
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise ModelNotLoaded(
                    f"The setting {name} cannot be {str(value)[:40]!r}.",
                    hint=f"Allowed: {', '.join(allowed)}.",
                )
        if self.backend == "openvino" and (self.quantization or self.offload or self.compile):
            raise ModelNotLoaded(
                "OpenVINO computes on its own copy of the weights.",
                hint="Leave quantization, offload and compile unset, or use the torch backend.",
            )

    @property
    def exclusive(self) -> bool:
        """Whether hooks move weights about during a run, so that runs must not mix."""
        return self.offload in ("model", "group")

    def words(self) -> str:
        """Return what differs from the defaults, for logs."""
        changed = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        return ", ".join(f"{name} {value}" for name, value in changed.items())


DEFAULT_OPTIONS = ModelOptions()


def quantization_config(
    name: str, components: list[str], device: torch.device, dtype: torch.dtype
) -> Any:
    """Return diffusers' pipeline quantization for the named components.

    Raises:
        ModelNotLoaded: if the package or the device it needs is not there.
    """
    import diffusers

    if not diffusers.utils.is_accelerate_available():
        raise ModelNotLoaded(
            f"Quantization '{name}' needs the package accelerate.",
            hint="Install it with: pip install accelerate.",
        )
    package, _, kind = name.partition("-")
    if package == "bitsandbytes" and device.type != "cuda":
        raise ModelNotLoaded(
            f"Quantization '{name}' (bitsandbytes) needs a CUDA device, not '{device.type}'.",
            hint="Use torchao-int8, or leave quantization unset.",
        )
    try:
        if package == "bitsandbytes":
            four = kind == "4bit"
            config: Any = diffusers.BitsAndBytesConfig(
                load_in_4bit=four,
                load_in_8bit=not four,
                **({"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype} if four else {}),
            )
        else:
            from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

            packed = Int8WeightOnlyConfig() if kind == "int8" else Float8WeightOnlyConfig()
            config = diffusers.TorchAoConfig(packed)
        return diffusers.PipelineQuantizationConfig(quant_mapping=dict.fromkeys(components, config))
    except ImportError as error:
        raise ModelNotLoaded(
            f"Quantization '{name}' needs the package {package}: {error}.",
            hint=f"Install it, for example with: pip install {package}.",
        ) from error


def place(base: Any, device: torch.device, options: ModelOptions, denoisers: list[str]) -> None:
    """Bring a loaded pipeline to the device as the options say.

    Raises:
        ModelNotLoaded: if an option cannot be followed here.
    """
    if options.exclusive and device.type == "cpu":
        raise ModelNotLoaded(
            f"Offload '{options.offload}' moves weights between a device and main memory; "
            "the device is the CPU.",
            hint="Leave offload unset.",
        )
    if options.offload == "model":
        base.enable_model_cpu_offload(device=device)
    elif options.offload == "group":
        import torch

        base.enable_group_offload(
            onload_device=device,
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            use_stream=device.type == "cuda",
        )
    elif options.offload is None:
        import torch

        placed_by_loading = (options.quantization or "").startswith("bitsandbytes")
        for name, component in base.components.items():
            if isinstance(component, torch.nn.Module) and not (
                placed_by_loading and name in denoisers
            ):
                component.to(device)
    for name in denoisers:
        network = getattr(base, name)
        if options.attention is not None:
            try:
                network.set_attention_backend(options.attention)
            except (AttributeError, ValueError, RuntimeError, ImportError) as error:
                raise ModelNotLoaded(
                    f"Attention backend '{options.attention[:40]}' cannot be used: {error}.",
                    hint="Leave attention unset.",
                ) from error
        if options.compile and device.type == "cuda":
            # Dynamic: the rows of a forward change all the time.
            network.compile_repeated_blocks(fullgraph=True, dynamic=True)
