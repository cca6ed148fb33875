"""get_job: what has become of a call that went on in the background."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from agent_tools.errors import NotFound
from agent_tools.results import ToolImage, ToolResult
from agent_tools.tools.base import Arguments, Progress, Tool

if TYPE_CHECKING:
    from agent_tools.jobs import Job, Outcome
    from agent_tools.studio import Studio

MAX_WAIT_S = 45


class JobInfo(BaseModel):
    """Where a job stands."""

    job_id: str = Field(description="For get_job and cancel_job.")
    tool: str = Field(description="The tool that was called.")
    status: Literal["working", "input_required", "completed", "failed", "cancelled"]
    message: str = Field(description="How far it is, or how it ended.")
    created_at: str = Field(description="ISO 8601, UTC.")


class JobError(BaseModel):
    """Why a job failed."""

    code: str
    message: str
    hint: str = Field(description="What to do next.")
    retryable: bool = Field(description="Whether the same call may succeed later.")


class GetJobArguments(Arguments):
    """Which job, and how long to wait for it."""

    job_id: str = Field(max_length=100, description="From the answer of a call that took long.")
    wait_s: float = Field(
        default=30,
        ge=0,
        le=MAX_WAIT_S,
        description="Seconds to wait for its end; it may answer before.",
    )


class GetJobOutput(BaseModel):
    """Where the job stands and, once it is completed, what the tool returned."""

    job: JobInfo
    result: dict[str, Any] | None = Field(
        description="What the tool returned, as its own output schema says; null until completed."
    )
    error: JobError | None = Field(description="Why it failed; null unless it did.")


class GetJob(Tool):
    """Wait for a job, and hand over its result."""

    name = "get_job"
    title = "Get job"
    description = (
        "Get the result of a call that was answered with a job_id because it took long. Waits up "
        "to wait_s seconds and answers as soon as the job has ended, with the very result of the "
        "tool that was called, pictures included; while it works, with how far it is. Call it "
        "again until the status is no longer 'working', and do not repeat the first call "
        "meanwhile. Changes nothing. Jobs are kept for a day. "
        'Example: {"job_id": "job_0123456789abcdef0123456789abcdef01234567", "wait_s": 40}.'
    )
    Arguments = GetJobArguments
    Output = GetJobOutput
    read_only = True
    about_jobs = True

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Wait, then read."""
        asked: GetJobArguments = arguments
        # Its own answer must not take longer than any other.
        seconds = min(asked.wait_s, studio.settings.answer_within_s)
        job = await studio.jobs.wait(asked.job_id, seconds, progress)
        return await job_result(studio, job)


async def job_result(studio: Studio, job: Job) -> ToolResult:
    """Describe a job, with the tool's own result once there is one."""
    info = job_info(job)
    images: tuple[ToolImage, ...] = ()
    text = f"{job.tool} is {info.status} (job_id={job.job_id}): {info.message}"
    outcome = job.outcome
    if outcome is None:
        text += "\nCall get_job again to wait for its end, or cancel_job to stop it."
    elif info.status == "completed":
        images = await asyncio.to_thread(_images, studio, outcome)
        text = outcome.text
        gone = len(outcome.image_ids) - len(images)
        if gone:
            text += f"\nNote: {gone} of its pictures were removed since."
    data = GetJobOutput(
        job=info,
        result=outcome.data if outcome and info.status == "completed" else None,
        error=JobError.model_validate(outcome.error) if outcome and outcome.error else None,
    )
    return ToolResult(text=text, data=data, images=images)


def job_info(job: Job) -> JobInfo:
    """Describe where a job stands; a tool that refused its work counts as failed."""
    refused = job.outcome is not None and job.outcome.error is not None
    created = datetime.fromtimestamp(job.created_at, UTC)
    return JobInfo(
        job_id=job.job_id,
        tool=job.tool,
        status="failed" if refused else job.status,
        message=job.message,
        created_at=created.isoformat(timespec="seconds"),
    )


def _images(studio: Studio, outcome: Outcome) -> tuple[ToolImage, ...]:
    found = []
    for image_id in outcome.image_ids:
        try:
            found.append(studio.show(studio.gallery.get(image_id)))
        except NotFound:
            continue
    return tuple(found)
