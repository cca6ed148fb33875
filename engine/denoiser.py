"""The proxy that stands in for a pipeline's `unet` or `transformer` during one request.

Everything that must happen between two denoiser calls (stopping a request, counting time, later
sharing the call with other requests) happens here, so it works for every diffusers pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

Forward = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Any]


class DenoiserProxy(nn.Module):
    """Pass every call of a denoiser through `forward_through`; look like it in all else.

    Pipelines read `config`, `dtype`, `device`, `add_embedding`, `cache_context`, ... from the
    denoiser, and find the execution device only on a real `nn.Module`.
    """

    def __init__(self, inner: nn.Module, forward_through: Forward) -> None:
        super().__init__()
        self.inner = inner
        self.training = inner.training
        self._forward_through = forward_through

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the denoiser by way of `forward_through`."""
        return self._forward_through(self.inner, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return the proxy's own attribute, else the denoiser's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)
