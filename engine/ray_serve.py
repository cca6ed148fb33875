"""Scale-out: the local engine in the replicas of a Ray Serve deployment.

Every replica holds one whole `LocalEngine`, which batches the requests it gets step by step, so
Serve's own batching stays off and a replica takes many requests at a time. Serve spreads requests
over replicas, restarts the ones that die, and starts more when there is more to do.
https://docs.ray.io/en/latest/serve/model_composition.html (streaming handles)

Needs Ray: `pip install "ray[serve]"`. Nothing of it is imported before `deploy`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from engine import errors
from engine.checks import check_request
from engine.errors import (
    Busy,
    EngineClosed,
    EngineError,
    InvalidRequest,
    ModelNotLoaded,
    RemoteUnavailable,
    RequestCancelled,
)
from engine.request import Done, ImageEvent, ImageRequest
from engine.sources import known_revision
from engine.stats import Health

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_ONGOING = 256


@dataclass(frozen=True, slots=True)
class RayReplicas:
    """How many replicas there are and what each may use.

    Attributes:
        lowest: replicas that are always there.
        highest: replicas at most; more than `lowest` turns autoscaling on.
        target_ongoing: requests per replica above which another one is started.
        cpus: CPUs of one replica; also its threads, rounded down.
        gpus: GPUs of one replica.
    """

    lowest: int = 1
    highest: int = 1
    target_ongoing: int = 8
    cpus: float = 1.0
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class SentError:
    """An engine's error on its way between processes: exceptions with keywords do not travel."""

    kind: str
    message: str
    hint: str
    retry_after_s: float | None

    @classmethod
    def of(cls, error: EngineError) -> SentError:
        """Take an error apart."""
        retry_after_s = getattr(error, "retry_after_s", None)
        return cls(type(error).__name__, str(error.args[0]), error.hint, retry_after_s)

    def error(self) -> EngineError:
        """Put it together again."""
        if self.retry_after_s is not None:
            return Busy(self.message, retry_after_s=self.retry_after_s, hint=self.hint)
        kind = getattr(errors, self.kind, EngineError)
        return cast(EngineError, kind(self.message, hint=self.hint))


class Replica:
    """One process of the deployment: a `LocalEngine` behind two methods that Serve can call."""

    def __init__(self, model: str, threads: int, max_queue_s: float, licenses: tuple[str, ...]):
        from engine.engine import LocalEngine

        self._engine = LocalEngine(
            model, threads=threads, max_queue_s=max_queue_s, accept_license=licenses
        )

    async def load(self) -> str | SentError:
        """Load the model and return its name."""
        try:
            await self._engine.load()
        except EngineError as error:
            return SentError.of(error)
        return self._engine.model

    async def submit(self, request: ImageRequest) -> AsyncIterator[ImageEvent | SentError]:
        """Paint; Serve closes this generator when the caller cancels, which stops the request."""
        events = cast("AsyncGenerator[ImageEvent, None]", self._engine.submit(request))
        try:
            async with aclosing(events):
                async for event in events:
                    yield event
        except EngineError as error:
            yield SentError.of(error)

    def stats(self) -> dict[str, float]:
        """Return this replica's counters."""
        return self._engine.stats()

    def check_health(self) -> None:
        """Let Serve replace this replica when its engine makes no progress any more.

        Raises:
            RuntimeError: with the engine's reason.
        """
        health = self._engine.health()
        if not health.ok:
            raise RuntimeError(health.reason)


class RayEngine:
    """Paint in the replicas of a deployment. One event loop at a time, as `Engine` says."""

    def __init__(self, handle: Any, model: str) -> None:
        """Remember where the replicas are reached.

        Args:
            handle: a `ray.serve.handle.DeploymentHandle` to `Replica`.
            model: the model's name; the loaded one's after `load`.
        """
        self._handle = handle
        self._model = model
        self._running: dict[str, Any] = {}
        self._cancelled: dict[str, EngineError] = {}
        self._closed = False

    @property
    def model(self) -> str:
        """The name of the model it paints with."""
        return self._model

    @property
    def revision(self) -> str:
        """The revision of its weights, as far as it can be seen from here."""
        return known_revision(self._model)

    async def load(self) -> None:
        """Load the model in one replica; the others load it at their first request. Idempotent.

        Raises:
            EngineError: if it cannot be loaded.
        """
        self._check_open()
        try:
            answer = await self._handle.load.remote()
        except Exception as error:
            raise ModelNotLoaded(
                f"No replica could load the model: {type(error).__name__}.",
                hint="Look at the replicas' logs.",
            ) from error
        if isinstance(answer, SentError):
            raise answer.error()
        self._model = answer

    async def submit(self, request: ImageRequest) -> AsyncIterator[ImageEvent]:
        """Queue a request at a replica and iterate over its events.

        Raises:
            Busy: if that replica's queue is full.
            RemoteUnavailable: if the replica died; the request may be sent again.
            EngineError: if the request is wrong or cannot be served.
        """
        check_request(request)
        self._check_open()
        request_id = request.request_id
        if request_id in self._running:
            raise InvalidRequest(
                f"Request id '{request_id}' is in use.", hint="Leave request_id unset."
            )
        events = self._handle.options(stream=True).submit.remote(request)
        self._running[request_id] = events
        done = False
        try:
            while not done:
                event = await self._next(request_id, events)
                done = isinstance(event, Done)
                yield event
        finally:
            if not done:
                events.cancel()
            self._running.pop(request_id, None)
            self._cancelled.pop(request_id, None)

    def health(self) -> Health:
        """Say that it is well: Ray watches over its replicas itself."""
        return Health(True, "")

    async def cancel(self, request_id: str) -> bool:
        """Stop a request within one denoising step; return whether it was known.

        Its iterator raises `RequestCancelled`; no event comes out of it afterwards.
        """
        return self._stop(request_id, RequestCancelled("The request was cancelled."))

    async def close(self) -> None:
        """Cancel this engine's requests. The deployment stays: others may use it. Idempotent."""
        self._closed = True
        for request_id in [*self._running]:
            self._stop(request_id, EngineClosed("The engine was closed.", hint="Make a new one."))

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed("The engine is closed.", hint="Make a new one.")

    def _stop(self, request_id: str, error: EngineError) -> bool:
        known = self._running.get(request_id)
        if known is None or request_id in self._cancelled:
            return False
        self._cancelled[request_id] = error
        known.cancel()
        return True

    async def _next(self, request_id: str, events: Any) -> ImageEvent:
        """Wait for a replica's next event."""
        problem: Exception | None = None
        event: ImageEvent | SentError | None = None
        try:
            event = await anext(events)
        except StopAsyncIteration:
            pass
        except asyncio.CancelledError:
            if request_id not in self._cancelled:
                raise
        except Exception as error:
            problem = error
        if request_id in self._cancelled:
            raise self._cancelled[request_id]
        if isinstance(event, SentError):
            raise event.error()
        if event is None:
            name = "it ended early" if problem is None else type(problem).__name__
            raise RemoteUnavailable(
                f"The replica that painted is gone ({name}).", hint="Send the request again."
            ) from problem
        return event


def deploy(
    model: str = "starter",
    *,
    name: str = "agent-tools",
    replicas: RayReplicas | None = None,
    max_queue_s: float = 120.0,
    accept_license: tuple[str, ...] = (),
) -> RayEngine:
    """Start the deployment on the Ray cluster of this process, without an HTTP route.

    Args:
        model: "starter", a diffusers folder that every node has, or "owner/name@commit".
        name: the application's name in Serve.
        replicas: how many, and what each may use.
        max_queue_s: waiting work of one replica, seconds, above which it says `Busy`.
        accept_license: models whose non-commercial license was accepted.

    Raises:
        ImportError: if Ray is not installed.
    """
    from ray import serve

    wanted = replicas or RayReplicas()
    scaling: dict[str, Any] = {"num_replicas": wanted.lowest}
    if wanted.highest > wanted.lowest:
        scaling = {
            "autoscaling_config": {
                "min_replicas": wanted.lowest,
                "max_replicas": wanted.highest,
                "target_ongoing_requests": wanted.target_ongoing,
            }
        }
    deployment = serve.deployment(
        name="replica",
        max_ongoing_requests=_ONGOING,
        ray_actor_options={"num_cpus": wanted.cpus, "num_gpus": wanted.gpus},
        **scaling,
    )(Replica)
    threads = max(1, int(wanted.cpus))
    bound = deployment.bind(model, threads, max_queue_s, accept_license)
    handle = serve.run(bound, name=name, route_prefix=None)
    return RayEngine(handle, model)
