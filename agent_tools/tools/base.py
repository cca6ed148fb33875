"""The shape of a tool: written once, served by MCP, LangChain and the command line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from agent_tools.callers import Scope
from agent_tools.results import ToolResult

if TYPE_CHECKING:
    from PIL import Image

    from agent_tools.studio import Studio


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far a call is: `done` of `total` (it only grows) and a line for people.

    Attributes:
        step: denoising steps done, of `steps`, while a picture is painted.
        seconds_left: estimate of what remains of it.
        preview: a small picture of the state so far, if somebody looks.
    """

    done: float
    total: float
    message: str
    step: int | None = None
    steps: int | None = None
    seconds_left: float | None = None
    preview: Image.Image | None = None


Progress = Callable[[ProgressEvent], Awaitable[None]]


async def no_progress(event: ProgressEvent) -> None:
    """Ignore progress."""


class Arguments(BaseModel):
    """Base of every tool's arguments: flat, closed, described field by field."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tool(ABC):
    """One thing an agent can ask for.

    A new tool is one file in this folder with one subclass, listed in `tools/__init__.py`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    Arguments: ClassVar[type[BaseModel]]
    Output: ClassVar[type[BaseModel]]
    read_only: ClassVar[bool] = False
    destructive: ClassVar[bool] = False
    idempotent: ClassVar[bool] = True
    open_world: ClassVar[bool] = False
    # Whether it speaks of jobs: of use only behind doors that answer before a long call is done.
    about_jobs: ClassVar[bool] = False
    # Whether its results carry pictures, so that doors let a call choose how they travel.
    shows_pictures: ClassVar[bool] = True
    needs: ClassVar[Scope | None] = None

    @property
    def scope(self) -> Scope:
        """What a caller's token must allow: `needs`, or "read" or "generate" as the tool does."""
        return self.needs or ("read" if self.read_only else "generate")

    @abstractmethod
    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Do the job with validated `arguments`.

        Raises:
            AgentToolsError: with the next step for the caller.
        """
