"""An engine on another machine, behind an OpenAI-compatible Images API.

vLLM-Omni, SGLang, a hosted service or another agent-tools server can paint. See
docs/remote-engines.md for what each of them takes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

from engine.errors import (
    Busy,
    DeadlineExceeded,
    EngineClosed,
    EngineError,
    GenerationFailed,
    InvalidRequest,
    ModelNotLoaded,
    RemoteUnavailable,
    RequestCancelled,
)
from engine.remote_client import ImagesClient
from engine.remote_keys import Extras, RemoteKeys
from engine.remote_painting import RemoteJob, RemotePainting
from engine.remote_plan import check_remote_request, make_remote_plan
from engine.request import Done, ImageEvent, ImageRequest, ImageResult, Queued
from engine.stats import Health

logger = logging.getLogger(__name__)
_MAX_UNDER_WAY = 256
_LOAD_S = 60.0


class RemoteEngine:
    """Paint through POST /images/generations and /images/edits of another server.

    Nothing is opened before the first `load` or `submit`. It may be used from several event
    loops. A cancelled request closes its connections, which is what tells the server to stop.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        model: str | None = None,
        extras: Extras = "auto",
        timeout_s: float = 600.0,
        attempts: int = 4,
        backoff_s: float = 0.5,
    ) -> None:
        """Remember the settings; connect to nothing.

        Args:
            base_url: address up to "/v1"; https, or http on this machine.
            api_key: bearer token; kept out of logs, errors and reprs.
            model: model to ask for; the server's only one if None.
            extras: whether keys that the API does not have (seed, negative_prompt,
                num_inference_steps, guidance_scale, strength) are sent: "auto" leaves out those
                that the server refuses, "on" insists on them, "off" sends none.
            timeout_s: longest time for one request, all attempts together.
            attempts: how often a call that the server did not take is sent in all.
            backoff_s: bound of the first pause between attempts, seconds; doubles with each.

        Raises:
            ValueError: if the address or the key is malformed.
        """
        self._client = ImagesClient(base_url, api_key, attempts=attempts, backoff_s=backoff_s)
        self._model = model
        self._timeout_s = timeout_s
        self._jobs: dict[str, RemoteJob] = {}
        self._keys = RemoteKeys(extras)
        self._closed = False

    @property
    def model(self) -> str:
        """The name of the model it asks for; before that is known, the server's host."""
        return self._model or self._client.host

    @property
    def revision(self) -> str:
        """What is known of the weights: whose they are."""
        return f"remote:{self._client.host}"

    async def load(self) -> None:
        """Ask the server which models it has. Idempotent.

        Raises:
            ModelNotLoaded: if ours is not among them, or none is set and there are several.
            RemoteRefused: if the server does not let us in.
            RemoteUnavailable: if it cannot be reached.
            EngineClosed: after `close`.
        """
        self._check_open()
        limit_s = min(self._timeout_s, _LOAD_S)
        ends_at = asyncio.get_running_loop().time() + limit_s
        try:
            async with asyncio.timeout(limit_s), self._client.session(ends_at) as session:
                names = await session.model_names()
        except TimeoutError:
            raise RemoteUnavailable(
                f"The remote server ({self._client.host}) did not answer within {limit_s:g} s.",
                hint="Is it still starting? Try again.",
            ) from None
        except GenerationFailed as error:
            raise ModelNotLoaded(str(error.args[0]), hint=error.hint) from None
        self._choose_model(names)

    async def submit(self, request: ImageRequest) -> AsyncIterator[ImageEvent]:
        """Send a request and iterate over its events: `Queued`, `StepEvent`..., `Done`.

        A `StepEvent` counts pictures and previews that arrived, not denoising steps: the API
        says no more. Leaving the iterator early (aclose, task cancellation) closes the
        connections.

        Raises:
            Busy: if the server or this engine has too much to do.
            DeadlineExceeded: if the request's own deadline passed.
            RemoteRefused: if the server does not let us in.
            RemoteUnavailable: if it fails, is not there, or takes longer than `timeout_s`.
            EngineError: if the request is wrong or cannot be served.
        """
        check_remote_request(request)
        if request.model not in (None, self.model):
            raise ModelNotLoaded(
                f"There is no model '{str(request.model)[:80]}' here.",
                hint=f"This engine paints with {self.model}.",
            )
        job = self._take(request)
        try:
            yield Queued(request.request_id, 0, 0.0)
            job.task = asyncio.get_running_loop().create_task(self._drive(job))
            while True:
                event = await job.subscription.next_event()
                yield event
                if isinstance(event, Done):
                    return
        finally:
            await self._leave(job)

    def health(self) -> Health:
        """Say that it is well: how the other server is, only its answers tell."""
        return Health(True, "")

    async def cancel(self, request_id: str) -> bool:
        """Stop a request; return, once its connections are closed, whether it was known.

        Its iterator raises `RequestCancelled`; no event comes out of it afterwards.
        """
        job = self._jobs.pop(request_id, None)
        if job is None:
            return False
        await job.stop(RequestCancelled("The request was cancelled."))
        return True

    async def close(self) -> None:
        """Cancel everything. Idempotent."""
        self._closed = True
        error = EngineClosed("The engine was closed.", hint="Make a new one.")
        await asyncio.gather(*(job.stop(error) for job in [*self._jobs.values()]))

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed("The engine is closed.", hint="Make a new one.")

    def _take(self, request: ImageRequest) -> RemoteJob:
        self._check_open()
        if request.request_id in self._jobs:
            raise InvalidRequest(
                f"Request id '{request.request_id}' is in use.", hint="Leave request_id unset."
            )
        if len(self._jobs) >= _MAX_UNDER_WAY:
            raise Busy(
                f"{_MAX_UNDER_WAY} requests are under way.",
                retry_after_s=5.0,
                hint="Try again after retry_after_s seconds.",
            )
        job = self._jobs[request.request_id] = RemoteJob(request)
        return job

    async def _leave(self, job: RemoteJob) -> None:
        """Take a job off the books when its iterator ends; its connections are closed then."""
        task = job.task
        try:
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait([task])
        finally:
            if self._jobs.get(job.request.request_id) is job:
                del self._jobs[job.request.request_id]
            job.finish()

    def _choose_model(self, names: tuple[str, ...] | None) -> None:
        some = ", ".join(repr(name[:80]) for name in (names or ())[:10])
        if self._model is None and names is not None and len(names) == 1:
            self._model = names[0]
        elif self._model is None:
            raise ModelNotLoaded(
                f"The remote server has {'several models' if names else 'no list of models'}.",
                hint=f"Set AGENT_TOOLS_ENGINE_MODEL{f' to one of {some}' if some else ''}.",
            )
        elif names is not None and self._model not in names:
            raise ModelNotLoaded(
                f"The remote server has no model '{self._model}'.",
                hint=f"Set AGENT_TOOLS_ENGINE_MODEL to one of {some or 'its models'}.",
            )

    async def _drive(self, job: RemoteJob) -> None:
        """Run a job to its last event."""
        try:
            job.subscription.send(Done(job.request.request_id, await self._paint(job)))
        except EngineError as error:
            job.subscription.send(error)
        except Exception as error:
            logger.exception("request %s failed", job.request.request_id)
            failed = GenerationFailed(
                f"Painting failed: {type(error).__name__}.", hint="The log has the details."
            )
            job.subscription.send(failed)

    async def _paint(self, job: RemoteJob) -> ImageResult:
        """Make a request's pictures within its time."""
        request = job.request
        own = request.deadline_s is not None and request.deadline_s < self._timeout_s
        limit_s = request.deadline_s if own and request.deadline_s is not None else self._timeout_s
        try:
            async with asyncio.timeout(limit_s - job.age_s):
                if self._model is None:
                    await self.load()
                plan = await asyncio.to_thread(make_remote_plan, request)
                ends_at = asyncio.get_running_loop().time() + limit_s - job.age_s
                async with self._client.session(ends_at) as session:
                    painting = RemotePainting(job, plan, session, self.model, self._keys)
                    images = await painting.run()
        except TimeoutError:
            if own:
                raise DeadlineExceeded(
                    f"The deadline of {limit_s:g} s has passed.", hint="Allow more time."
                ) from None
            raise RemoteUnavailable(
                f"The remote server did not finish within {limit_s:g} s.", hint="Try again later."
            ) from None
        total = job.age_s
        timings = {"queued": 0.0, "text": 0.0, "denoise": total, "decode": 0.0, "total": total}
        return ImageResult(
            images=images,
            seeds=request.seeds,
            model=self.model,
            revision=f"remote:{self._client.host}",
            params=replace(request.params, sampler=None),
            timings_s=timings,
            warnings=tuple(dict.fromkeys((*plan.warnings, *painting.warnings))),
            precision="remote",
        )
