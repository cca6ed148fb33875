"""The tools for LangChain: `ImageToolkit(settings).get_tools()`, in this process.

The engine belongs to one event loop, and an application may use several (one for each
`asyncio.run`) or none. So the toolkit runs every call on one background loop of its own; callers
wait for it from wherever they are.
"""

from __future__ import annotations

import asyncio
import base64
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Literal, TypeVar

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.tools import BaseTool, BaseToolkit, ToolException
from pydantic import PrivateAttr, ValidationError

from agent_tools.errors import AgentToolsError
from agent_tools.inline import inline_pictures
from agent_tools.results import ToolResult
from agent_tools.settings import Settings
from agent_tools.studio import Studio, explain_arguments
from agent_tools.tools.base import ProgressEvent, Tool

PROGRESS_EVENT = "image_progress"
T = TypeVar("T")
Content = list[dict[str, Any]]


class ImageToolkit(BaseToolkit):
    """Every picture tool as a LangChain tool.

    Use it as a context manager or call `close` to free the model:

        with ImageToolkit(load_settings()) as toolkit:
            agent = create_agent(model, toolkit.get_tools())
    """

    _studio: Studio = PrivateAttr()
    _owns_studio: bool = PrivateAttr()
    _loop: _BackgroundLoop = PrivateAttr()

    def __init__(self, studio: Studio | Settings) -> None:
        """Use a studio, or open one of its own with `studio` as its settings.

        A studio passed in must not be used from another event loop while the toolkit is open.
        """
        super().__init__()
        self._owns_studio = isinstance(studio, Settings)
        self._studio = Studio.open(studio) if isinstance(studio, Settings) else studio
        self._loop = _BackgroundLoop()

    def get_tools(self) -> list[BaseTool]:
        """Return one LangChain tool for each tool of the studio.

        Those about jobs are left out: a call here is answered when it is done, never before.
        """
        tools = [tool for tool in self._studio.tools.values() if not tool.about_jobs]
        return [StudioTool(tool, self._studio, self._loop) for tool in tools]

    def close(self) -> None:
        """Cancel running calls and close a studio opened here. Idempotent."""
        if self._owns_studio and self._loop.running:
            self._loop.submit(self._studio.close()).result()
        self._loop.stop()

    def __enter__(self) -> ImageToolkit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class StudioTool(BaseTool):
    """One tool of a studio.

    The content holds what the model needs: text and thumbnails as standard content blocks. The
    artifact holds the whole structured result and the files' paths for the application. Errors
    come back as a tool message with status "error" that says what to do next. Progress is
    dispatched as the custom event "image_progress" with `done`, `total` and `message`.
    """

    response_format: Literal["content_and_artifact"] = "content_and_artifact"
    _tool: Tool = PrivateAttr()
    _studio: Studio = PrivateAttr()
    _loop: _BackgroundLoop = PrivateAttr()

    def __init__(self, tool: Tool, studio: Studio, loop: _BackgroundLoop) -> None:
        """Wrap `tool`; its calls run on `loop`."""

        def explain(error: Any) -> str:
            return (
                str(explain_arguments(tool, error))
                if isinstance(error, ValidationError)
                else str(error)
            )

        super().__init__(
            name=tool.name,
            description=tool.description,
            args_schema=tool.Arguments,
            handle_tool_error=True,
            handle_validation_error=explain,
            metadata={"read_only": tool.read_only, "destructive": tool.destructive},
        )
        self._tool = tool
        self._studio = studio
        self._loop = loop

    def _run(self, **arguments: Any) -> tuple[Content, dict[str, Any]]:
        """Call the tool and wait; progress is dispatched from the calling thread."""
        events: queue.SimpleQueue[ProgressEvent | None] = queue.SimpleQueue()
        future = self._loop.submit(self._call(arguments, events.put))
        future.add_done_callback(lambda _: events.put(None))
        try:
            while (event := events.get()) is not None:
                dispatch_custom_event(PROGRESS_EVENT, _event_data(event))
            return _outcome(future)
        finally:
            future.cancel()  # an interrupt while waiting stops the work

    async def _arun(self, **arguments: Any) -> tuple[Content, dict[str, Any]]:
        """Call the tool; progress is dispatched in the caller's event loop."""
        here = asyncio.get_running_loop()
        events: asyncio.Queue[ProgressEvent | None] = asyncio.Queue()

        def forward(event: ProgressEvent | None) -> None:
            here.call_soon_threadsafe(events.put_nowait, event)

        future = self._loop.submit(self._call(arguments, forward))
        future.add_done_callback(lambda _: forward(None))
        try:
            while (event := await events.get()) is not None:
                await adispatch_custom_event(PROGRESS_EVENT, _event_data(event))
            return _outcome(future)
        finally:
            future.cancel()

    async def _call(
        self, arguments: dict[str, Any], report: Callable[[ProgressEvent], None]
    ) -> tuple[Content, dict[str, Any]]:
        async def progress(event: ProgressEvent) -> None:
            report(event)

        try:
            result = await self._studio.call(self._tool.name, arguments, progress)
        except AgentToolsError as error:
            raise ToolException(str(error)) from error
        return _content(result, self._studio.settings), _artifact(result)


def _outcome(future: Future[T]) -> T:
    """Return what a finished call returned, or raise what it raised."""
    try:
        return future.result()
    except CancelledError:
        raise ToolException("The toolkit was closed during the call.") from None


class _BackgroundLoop:
    """An event loop on a daemon thread, started with the first call."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether it can still take work."""
        return not self._stopped

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run `work` on the loop; cancelling the future cancels it there."""
        with self._lock:
            if self._stopped:
                work.close()
                raise ToolException("The toolkit is closed. Make a new ImageToolkit.")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="image-toolkit", daemon=True
                )
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """Cancel what runs and end the thread. Idempotent."""
        with self._lock:
            self._stopped = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _content(result: ToolResult, settings: Settings) -> Content:
    """Return standard content blocks, never links: providers reject schemes they do not know."""
    blocks: Content = [{"type": "text", "text": result.text}]
    if settings.images in ("inline", "both"):
        inline = inline_pictures(result.images)
        blocks[0]["text"] += inline.note
        blocks += [
            {
                "type": "image",
                "base64": base64.b64encode(picture.data).decode(),
                "mime_type": "image/webp",
            }
            for picture in inline.pictures
        ]
    return blocks


def _artifact(result: ToolResult) -> dict[str, Any]:
    return {
        "data": result.data.model_dump(mode="json"),
        "files": {image.info.image_id: str(image.path) for image in result.images},
    }


def _event_data(event: ProgressEvent) -> dict[str, Any]:
    return {"done": event.done, "total": event.total, "message": event.message}
