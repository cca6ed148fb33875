"""One request at a remote server: its calls, what arrived of them, its end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import time
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.jobs import Subscription
from engine.remote_client import Session
from engine.remote_failures import KeysRefused
from engine.remote_keys import RemoteKeys, left_out_warnings
from engine.remote_plan import RemotePlan
from engine.remote_wire import (
    EDITS,
    GENERATIONS,
    Call,
    decode_picture,
    encode_mask,
    encode_png,
    preview_of,
)
from engine.request import ImageRequest, StepEvent

if TYPE_CHECKING:
    from PIL import Image

# Calls of one request at a time: servers batch them, hosted services limit them.
_AT_ONCE = 4
_MAX_N = 10
_MAX_PARTIALS = 3


class RemoteJob:
    """One request under way."""

    def __init__(self, request: ImageRequest) -> None:
        self.request = request
        self.subscription = Subscription(request.request_id)
        self.task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._started = time.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since it was submitted."""
        return time.monotonic() - self._started

    async def stop(self, error: EngineError) -> None:
        """Make the iterator raise `error`; return when the connections are closed."""

        def end() -> None:
            self.subscription.end(error)
            if self.task is None:
                self.finish()  # its iterator has not come that far, and never will
            else:
                self.task.add_done_callback(lambda _: self.finish())
                self.task.cancel()

        try:
            self._loop.call_soon_threadsafe(end)
        except RuntimeError:  # its event loop is gone, and its connections with it
            self.finish()
        await asyncio.shield(asyncio.wrap_future(self._ended))

    def finish(self) -> None:
        """Say that nothing of it is left."""
        if not self._ended.done():
            self._ended.set_result(None)


class RemotePainting:
    """The calls of one request: what is sent, what arrived, what to warn about."""

    def __init__(
        self, job: RemoteJob, plan: RemotePlan, session: Session, model: str, keys: RemoteKeys
    ) -> None:
        self.warnings: list[str] = []
        self._job = job
        self._request = job.request
        self._plan = plan
        self._session = session
        self._model = model
        self._keys = keys
        self._uploads: tuple[tuple[str, bytes], ...] = ()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._progress = [0] * len(self._request.seeds)
        self._partials = _partials(self._request)
        if self._request.params.sampler is not None:
            self.warnings.append("The remote server chooses the sampler.")

    async def run(self) -> tuple[Image.Image, ...]:
        """Make every picture, several at a time.

        Raises:
            EngineError: the first that one of the calls ended with; the others are stopped.
        """
        self._uploads = await asyncio.to_thread(self._encode_files)
        seeds = self._request.seeds
        groups = [range(i, i + 1) for i in range(len(seeds))]
        if not self._keys.takes("seed") and not self._partials:
            groups = [range(i, min(i + _MAX_N, len(seeds))) for i in range(0, len(seeds), _MAX_N)]
        try:
            async with asyncio.TaskGroup() as tasks:
                made = [tasks.create_task(self._make(group)) for group in groups]
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        return tuple(image for task in made for image in task.result())

    async def _make(self, indices: range) -> list[Image.Image]:
        """Make the pictures of some seeds with as few calls as the server allows."""
        images: list[Image.Image] = []
        async with self._slots:
            while len(images) < len(indices):
                rest = indices[len(images) :]
                for data in (await self._call(rest))[: len(rest)]:
                    image, more = await asyncio.to_thread(self._finish, data)
                    self.warnings += more
                    self._step(indices[len(images)], self._partials + 1)
                    images.append(image)
        return images

    async def _call(self, indices: range) -> tuple[bytes, ...]:
        """Send one call, again without the optional keys that the server refuses."""

        async def on_partial(data: bytes) -> None:
            preview = await asyncio.to_thread(preview_of, data)
            seen = self._progress[indices[0]] + 1
            self._step(indices[0], min(seen, self._partials), preview)

        while True:
            fields = self._fields(indices)
            try:
                path = EDITS if self._uploads else GENERATIONS
                files = tuple(file for file in self._uploads if self._keys.takes(file[0]))
                return await self._session.paint(Call(path, fields, files), on_partial)
            except KeysRefused as refusal:
                self._keys.refuse(refusal)

    def _fields(self, indices: range) -> dict[str, Any]:
        request, params = self._request, self._request.params
        fields: dict[str, Any] = {"model": self._model, "prompt": request.prompt}
        fields["n"] = len(indices)
        if self._plan.size is not None:
            fields["size"] = f"{self._plan.size[0]}x{self._plan.size[1]}"
        wanted = {
            "seed": request.seeds[indices[0]],
            "negative_prompt": request.negative_prompt if request.negative_prompt.strip() else None,
            "num_inference_steps": params.num_inference_steps,
            "guidance_scale": params.guidance_scale,
            "strength": params.strength,
            "output_format": "png",
            "response_format": "b64_json",
            "stream": True if self._partials else None,
            "partial_images": self._partials or None,
        }
        for key, value in wanted.items():
            if value is not None and self._keys.takes(key):
                fields[key] = value
            elif value is not None:
                self.warnings += left_out_warnings([key])
        return fields

    def _step(self, index: int, parts: int, preview: Image.Image | None = None) -> None:
        """Tell how much has arrived."""
        self._progress[index] = parts
        arrived = sum(self._progress)
        total = len(self._progress) * (self._partials + 1)
        event = StepEvent(self._request.request_id, arrived, total, preview)
        self._job.subscription.send(event)

    def _encode_files(self) -> tuple[tuple[str, bytes], ...]:
        """Encode what is uploaded; a list has another name in the API than one picture."""
        uploads = self._plan.uploads
        name = "image" if len(uploads) == 1 else "image[]"
        files = [(name, encode_png(picture)) for picture in uploads]
        if self._plan.upload_mask is not None:
            files.append(("mask", encode_mask(self._plan.upload_mask)))
            # vLLM-Omni's name for it, and its convention: white = repaint.
            files.append(("mask_image", encode_png(self._plan.upload_mask)))
        return tuple(files)

    def _finish(self, data: bytes) -> tuple[Image.Image, tuple[str, ...]]:
        return self._plan.finish(decode_picture(data))


def _partials(request: ImageRequest) -> int:
    """Return how many previews to ask for; each may cost, so none unless wanted."""
    if request.preview_every < 1:
        return 0
    steps = request.params.num_inference_steps
    if steps is None:
        return _MAX_PARTIALS
    return min(_MAX_PARTIALS, math.ceil(steps / request.preview_every))
