"""A studio whose tools take as long as a test wants, and a client that knows Tasks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

sys.path.insert(0, str(Path(__file__).parent))

from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.types import CallToolResult, Request, RequestParams, Result
from PIL import Image
from pydantic import BaseModel, ConfigDict
from small_tools import (
    Broken,
    Full,
    PaintSquare,
    SquareArguments,
    _NoEngine,
    serve_stdio,
    small_studio,
)

from agent_tools.results import ToolResult
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import Arguments, Progress, ProgressEvent, Tool
from agent_tools.tools.cancel_job import CancelJob
from agent_tools.tools.generate_image import GenerateImage
from agent_tools.tools.get_job import GetJob
from engine.request import Done, ImageEvent, ImageRequest, ImageResult, Queued, StepEvent
from server.tasks import IDENTIFIER

RUNS = "runs.txt"


class CountingEngine(_NoEngine):
    """An engine that paints nothing but counts its steps, one every few milliseconds."""

    model = "counting"
    revision = "0"

    def __init__(self) -> None:
        self.steps = 0
        self.steps_after_cancel = 0
        self.stopped = asyncio.Event()

    async def submit(self, request: ImageRequest) -> AsyncIterator[ImageEvent]:
        yield Queued("1", 0, 0.0)
        total = request.params.num_inference_steps or 1
        cancelled = False
        try:
            for step in range(total):
                await asyncio.sleep(0.004)
                self.steps += 1
                self.steps_after_cancel += cancelled
                yield StepEvent("1", step + 1, total)
        except (asyncio.CancelledError, GeneratorExit):
            cancelled = True
            raise
        finally:
            self.stopped.set()
        pictures = tuple(Image.new("RGB", (64, 64), (seed % 256, 0, 0)) for seed in request.seeds)
        yield Done("1", ImageResult(pictures, request.seeds, self.model, "0", request.params, {}))


class StepsOutput(BaseModel):
    """What the engine counted when it stopped."""

    steps: int
    after_cancel: int
    pictures: int


class StepsWhenStopped(Tool):
    """Wait until the engine has stopped and say how far it came."""

    name = "steps_when_stopped"
    title = "Steps"
    description = "Count steps."
    Arguments = Arguments
    Output = StepsOutput
    read_only = True

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        engine: Any = studio.engine
        await engine.stopped.wait()
        data = StepsOutput(
            steps=engine.steps,
            after_cancel=engine.steps_after_cancel,
            pictures=len(studio.gallery.list()),
        )
        return ToolResult(text=str(data), data=data)


class LateArguments(SquareArguments):
    """A square to paint once the gate is open."""

    seed: int | None = None


class PaintLate(PaintSquare):
    """Write down that it runs, report, wait for the gate, paint."""

    name = "paint_late"
    Arguments = LateArguments
    gate: ClassVar[asyncio.Event]

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        with (studio.settings.data / RUNS).open("a", encoding="utf-8") as file:
            file.write(f"{arguments.seed}\n")
        await progress(ProgressEvent(0.5, 3, "waiting for the gate"))
        await type(self).gate.wait()
        return await super().run(studio, arguments, progress)


class GateOutput(BaseModel):
    """Nothing to say."""


class OpenGate(PaintSquare):
    """Let `paint_late` go on."""

    name = "open_gate"
    Arguments = Arguments
    Output = GateOutput

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        PaintLate.gate.set()
        return ToolResult(text="open", data=GateOutput())


class WhenTold:
    """Wait for the gate, close it, and go on as the next class does."""

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        await PaintLate.gate.wait()
        PaintLate.gate.clear()
        result: ToolResult = await super().run(studio, arguments, progress)  # type: ignore[misc]
        return result


class RefuseLate(WhenTold, Full):
    """Be busy, but not at once."""

    name = "refuse_late"


class BreakLate(WhenTold, Broken):
    """Fail as no tool should, but not at once."""

    name = "break_late"


def job_studio(settings: Settings) -> Studio:
    """Return the small studio with these tools and the counting engine."""
    PaintLate.gate = asyncio.Event()
    studio = small_studio(settings)
    studio.engine = CountingEngine()  # type: ignore[assignment]
    more = (
        *(GenerateImage(), StepsWhenStopped(), PaintLate(), RefuseLate(), BreakLate()),
        *(OpenGate(), GetJob(), CancelJob()),
    )
    studio.tools |= {tool.name: tool for tool in more}
    return studio


def runs(settings: Settings) -> list[str]:
    """Return the seeds that `paint_late` was run with."""
    path = settings.data / RUNS
    return path.read_text(encoding="utf-8").split() if path.exists() else []


class Task(Result):
    """A task as the server describes it; new fields come with the state."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = "task"
    task_id: str = ""
    status: str = ""
    status_message: str = ""


class TaskState(Task):
    """The answer to tasks/get."""

    result_type: Literal["complete"] = "complete"  # type: ignore[assignment]


class TaskParams(RequestParams):
    """Which task."""

    task_id: str
    input_responses: dict[str, Any] | None = None


class TaskRequest(Request[TaskParams, str]):
    """A request of the extension."""

    name_param = "taskId"


async def ask_task(session: Any, method: str, task_id: str, **more: Any) -> TaskState:
    """Send tasks/get, tasks/update or tasks/cancel."""
    params = TaskParams(task_id=task_id, **more)
    state: TaskState = await session.send_request(
        TaskRequest(method=method, params=params), TaskState
    )
    return state


class TasksClient(ClientExtension):
    """The client's half of the extension: asks until the task has ended.

    Attributes:
        seen: every state that it was told, in order.
    """

    identifier = IDENTIFIER

    def __init__(self) -> None:
        self.seen: list[Task] = []
        self.created = asyncio.Event()

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Task, resolve=self._resolve)]

    async def _resolve(self, task: Task, context: ClaimContext) -> CallToolResult:
        self.seen.append(task)
        self.created.set()
        while True:
            state = await ask_task(context.session, "tasks/get", task.task_id)
            self.seen.append(state)
            if state.status == "completed":
                return CallToolResult.model_validate(state.model_extra["result"], by_name=False)
            if state.status in ("failed", "cancelled"):
                raise RuntimeError(state.status)
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(serve_stdio(job_studio))
