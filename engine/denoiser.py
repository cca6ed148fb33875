"""The proxies that stand in for a pipeline's networks during one run.

Everything that must happen between two denoiser calls (stopping a request, sharing the call with
other requests, counting) happens here, so it works for every diffusers pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Forward = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Any]
Alone = Callable[[str, Callable[[], Any]], Any]


class NetworkProxy(nn.Module):
    """Look like a network in all that pipelines read.

    They read `config`, `dtype`, `add_embedding`, `cache_context`, ..., and find the execution
    device only on a real `nn.Module`. `device` is where things are computed, even while an
    offloaded network waits elsewhere.
    """

    def __init__(self, inner: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.inner = inner
        self.training = inner.training
        self.device = device

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Do nothing: the network is shared, no run may move or cast it."""
        return self

    def __getattr__(self, name: str) -> Any:
        """Return the proxy's own attribute, else the network's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)


class DenoiserProxy(NetworkProxy):
    """Pass every call of a denoiser (or ControlNet) through `forward_through`."""

    def __init__(self, inner: nn.Module, device: torch.device, forward_through: Forward) -> None:
        super().__init__(inner, device)
        self._forward_through = forward_through

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the denoiser by way of `forward_through`."""
        return self._forward_through(self.inner, args, kwargs)


class AutoencoderProxy(NetworkProxy):
    """Encode and decode by way of `alone`, in the autoencoder's own number format.

    A float16 model may keep a float32 autoencoder (SDXL's overflows in float16).
    """

    def __init__(self, inner: nn.Module, device: torch.device, alone: Alone) -> None:
        super().__init__(inner, device)
        self._alone = alone

    def encode(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Encode pictures, (batch, channels, height, width) in [-1, 1]."""
        inner: Any = self.inner
        return self._alone("encode", lambda: inner.encode(x.to(inner.dtype), *args, **kwargs))

    def decode(self, z: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Decode latents into pictures in [-1, 1]."""
        inner: Any = self.inner
        return self._alone("decode", lambda: inner.decode(z.to(inner.dtype), *args, **kwargs))
