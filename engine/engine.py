"""The engine's seam: `Engine` is what tools know; `LocalEngine` paints in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from engine.request import ImageEvent, ImageRequest


class Engine(Protocol):
    """Makes pictures. Every implementation is safe to use from one asyncio event loop."""

    @property
    def model(self) -> str:
        """The name of the model it paints with."""

    async def load(self) -> None:
        """Load the model now instead of at the first request. Idempotent.

        Raises:
            EngineError: if the model cannot be loaded.
        """

    def submit(self, request: ImageRequest) -> AsyncIterator[ImageEvent]:
        """Queue a request and iterate over its events: `Queued`, `StepEvent`..., `Done`.

        Leaving the iterator early (aclose, task cancellation) cancels the request.

        Raises:
            Busy: if the queue is full; from the first iteration.
            EngineError: if the request is wrong or cannot be served; from the iteration.
        """

    async def cancel(self, request_id: str) -> bool:
        """Stop a request within one denoising step; return whether it was known."""

    async def close(self) -> None:
        """Cancel everything, free the model. Idempotent."""
