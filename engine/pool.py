"""Several models behind one engine, under one memory budget: the least recently used one leaves."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from engine.errors import Busy, EngineClosed, InvalidRequest, ModelNotLoaded, RequestCancelled
from engine.registry import short_name
from engine.request import ImageEvent, ImageRequest
from engine.stats import Health

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from engine.engine import LocalEngine

logger = logging.getLogger(__name__)
# Opens an engine for a model; the lock lets the engines of one device compute in turns.
Opener = Callable[[str, threading.Lock], "LocalEngine"]


class ModelPool:
    """Serve each request with the model that it names; load on demand, unload what is idle.

    Only the models it was given can be asked for: a request is no way to load another.
    """

    def __init__(self, models: Sequence[str], budget_bytes: int, open_engine: Opener) -> None:
        """Remember the settings; load nothing.

        Args:
            models: what may be asked for; the first is the default.
            budget_bytes: what the loaded models' weights may take in all. A single model that
                takes more is loaded alone.
            open_engine: makes a `LocalEngine` for one of `models`.

        Raises:
            ValueError: if there is no model.
        """
        if not models:
            raise ValueError("a pool needs at least one model")
        self._names = tuple(dict.fromkeys(models))
        self._budget = budget_bytes
        self._open = open_engine
        self._turn = threading.Lock()
        self._engines: OrderedDict[str, LocalEngine] = OrderedDict()
        self._in_use: dict[str, int] = {}
        self._requests: dict[str, str] = {}
        self._cancelled: set[str] = set()
        self._changing = asyncio.Lock()
        self._closed = False

    @property
    def model(self) -> str:
        """The name of the default model."""
        return short_name(self._names[0])

    @property
    def revision(self) -> str:
        """The revision of the default model's weights; empty before it is loaded."""
        engine = self._engines.get(self._names[0])
        return "" if engine is None else engine.revision

    @property
    def models(self) -> tuple[str, ...]:
        """The names of what may be asked for, the default first."""
        return tuple(short_name(name) for name in self._names)

    @property
    def loaded(self) -> tuple[str, ...]:
        """The models in memory, the least recently used first."""
        return tuple(self._engines)

    async def load(self) -> None:
        """Load the default model now. Idempotent.

        Raises:
            EngineError: as `LocalEngine.load`.
        """
        name = self._names[0]
        await self._take(name)
        self._give_back(name)

    async def submit(self, request: ImageRequest) -> AsyncIterator[ImageEvent]:
        """Queue a request at the model it names; see `Engine.submit`.

        Raises:
            ModelNotLoaded: if the model is not one of the pool's, or cannot be loaded.
            Busy: if there is no room for the model because the others are at work.
            EngineError: as `LocalEngine.submit`.
        """
        name = self._named(request.model)
        if request.request_id in self._requests:
            raise InvalidRequest(
                f"Request id '{request.request_id}' is in use.", hint="Leave request_id unset."
            )
        # While the model is loading, too: it can be cancelled then.
        self._requests[request.request_id] = name
        engine = None
        try:
            engine = await self._take(name)
            if request.request_id in self._cancelled:
                raise RequestCancelled("The request was cancelled.")
            events = cast("AsyncGenerator[ImageEvent, None]", engine.submit(request))
            async with aclosing(events):
                async for event in events:
                    yield event
        finally:
            del self._requests[request.request_id]
            self._cancelled.discard(request.request_id)
            if engine is not None:
                self._give_back(name)

    async def cancel(self, request_id: str) -> bool:
        """Stop a request within one denoising step; return whether it was known.

        One whose model is still loading ends when it is loaded.
        """
        name = self._requests.get(request_id)
        if name is None:
            return False
        engine = self._engines.get(name)
        if engine is None or not await engine.cancel(request_id):
            self._cancelled.add(request_id)
        return True

    async def close(self) -> None:
        """Cancel everything, free all models. Idempotent."""
        self._closed = True
        async with self._changing:
            for engine in self._engines.values():
                await engine.close()
            self._engines.clear()

    def health(self) -> Health:
        """Say whether all loaded engines make progress. Never waits."""
        for engine in [*self._engines.values()]:
            health = engine.health()
            if not health.ok:
                return health
        return Health(True, "")

    def stats(self) -> dict[str, float]:
        """Return the counters of the loaded engines, added up, and how many there are."""
        total: dict[str, float] = {"models_loaded": len(self._engines)}
        for engine in [*self._engines.values()]:
            for name, value in engine.stats().items():
                merge = max if name.startswith("rows_") else _add
                total[name] = merge(total.get(name, 0.0), value)
        return total

    def _named(self, asked: str | None) -> str:
        if asked is None:
            return self._names[0]
        for name in self._names:
            if asked in (name, name.partition("@")[0], short_name(name)):
                return name
        raise ModelNotLoaded(
            f"There is no model '{asked[:80]}' here.",
            hint=f"Models: {', '.join(short_name(name) for name in self._names)}.",
        )

    async def _take(self, name: str) -> LocalEngine:
        """Return the engine of a model, loaded, and count a use."""
        async with self._changing:
            if self._closed:
                raise EngineClosed("The engine is closed.", hint="Make a new one.")
            engine = self._engines.get(name)
            if engine is None:
                engine = self._open(name, self._turn)
                try:
                    await self._make_room(engine.weights_bytes())
                    await engine.load()
                except BaseException:
                    await engine.close()
                    raise
                self._engines[name] = engine
                await self._make_room(0, keep=name)
            self._engines.move_to_end(name)
            self._in_use[name] = self._in_use.get(name, 0) + 1
            return engine

    def _give_back(self, name: str) -> None:
        self._in_use[name] -= 1

    async def _make_room(self, needed: int, keep: str | None = None) -> None:
        """Unload idle models, the least recently used first, until `needed` bytes fit."""
        while self._engines and self._used() + needed > self._budget:
            idle = [n for n in self._engines if not self._in_use.get(n) and n != keep]
            if not idle:
                if keep is not None or (len(self._engines) == 1 and not needed):
                    return
                raise Busy(
                    f"There is no room for another model: {len(self._engines)} are at work.",
                    retry_after_s=10.0,
                    hint="Try again when they are done, or ask for one of those.",
                )
            logger.info("unloading %s to make room", short_name(idle[0]))
            await self._engines.pop(idle[0]).close()

    def _used(self) -> int:
        return sum(engine.weights_bytes() for engine in self._engines.values())


def _add(one: float, other: float) -> float:
    return one + other
