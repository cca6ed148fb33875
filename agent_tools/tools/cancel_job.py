"""cancel_job: stop a call that went on in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from agent_tools.results import ToolResult
from agent_tools.tools.base import Arguments, Progress, Tool
from agent_tools.tools.get_job import GetJobOutput, job_result

if TYPE_CHECKING:
    from agent_tools.studio import Studio


class CancelJobArguments(Arguments):
    """Which job."""

    job_id: str = Field(max_length=100, description="From the answer of a call that took long.")


class CancelJob(Tool):
    """Stop a job."""

    name = "cancel_job"
    title = "Cancel job"
    description = (
        "Stop a call that goes on in the background, when the user no longer wants its result or "
        "wants something else first. It stops within one step and keeps no picture. A job that "
        "has ended stays as it is, and its result is returned. "
        'Example: {"job_id": "job_0123456789abcdef0123456789abcdef01234567"}.'
    )
    Arguments = CancelJobArguments
    Output = GetJobOutput
    about_jobs = True

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Cancel, and describe what is left."""
        asked: CancelJobArguments = arguments
        return await job_result(studio, await studio.jobs.cancel(asked.job_id))
