"""export_to_kb: put pictures with their captions into the shop's knowledge base."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from agent_tools.errors import AgentToolsError
from agent_tools.results import ToolResult
from agent_tools.threads import Report, on_thread
from agent_tools.tools.base import Arguments, Progress, Tool
from kb_export.search_text import MAX_USE, MAX_USES, with_uses

if TYPE_CHECKING:
    from agent_tools.studio import Studio
    from kb_export.exporter import ExportReport

_NAMED = 50  # ids listed in a result; more are counted


class ExportToKbArguments(Arguments):
    """Which pictures. Where to is the owner's setting, never an agent's choice."""

    image_ids: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=100)]],
            Field(min_length=1, max_length=200),
        ]
        | None
    ) = Field(
        default=None,
        description="Ids from earlier results. Leave out to export every finished picture.",
    )
    uses: list[Annotated[str, Field(min_length=3, max_length=MAX_USE)]] = Field(
        default=[],
        max_length=MAX_USES,
        description="What people need these pictures for and would call them, in their own words: "
        "purpose, problem, other names, e.g. 'a pot for brewing tea', 'gift for a tea lover'. "
        "Pictures are found far better with them. All image_ids of the call get the same, so "
        "give only pictures of one thing together; leave out to keep what was said before.",
    )

    @model_validator(mode="after")
    def _uses_are_of_something(self) -> Self:
        if self.uses and self.image_ids is None:
            raise ValueError("say with image_ids which pictures the uses are of")
        return self


class FailedPicture(BaseModel):
    """A picture that needs somebody's attention."""

    image_id: str
    reason: str


class ExportToKbOutput(BaseModel):
    """What was exported."""

    target: str = Field(description="The knowledge base.")
    exported: list[str] = Field(description="Ids of pictures that were sent now (at most 50).")
    exported_count: int
    unchanged_count: int = Field(description="Pictures that were there already, unchanged.")
    failed: list[FailedPicture] = Field(description="Pictures set aside, each with the reason.")
    doubtful: list[FailedPicture] = Field(
        description="Pictures that were sent, but may not show what their captions say."
    )
    pending_count: int = Field(description="Pictures still waiting; export again to continue.")


class ExportToKb(Tool):
    """Deliver what is new, and nothing twice."""

    name = "export_to_kb"
    title = "Export to knowledge base"
    description = (
        "Put pictures with their captions, alternative texts and facts into the configured "
        "knowledge base, so that search_kb and chatbots find them later. Pictures that are there "
        "unchanged are not sent again, so calling it twice is harmless. Without image_ids every "
        "finished picture of the gallery is exported (uploads and masks are not). Say in uses what "
        "a picture is good for. Example: "
        '{"image_ids": ["img_0123456789abcdef01234567"], "uses": ["something to brew tea in"]}.'
    )
    Arguments = ExportToKbArguments
    Output = ExportToKbOutput
    open_world = True
    shows_pictures = False
    needs = "export"

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Export on a thread, passing progress on; cancellation stops after one picture."""
        asked: ExportToKbArguments = arguments
        stopped = threading.Event()

        def export(report: Report) -> ExportReport:
            for image_id in asked.image_ids or () if asked.uses else ():
                said = with_uses(studio.gallery.get(image_id).use_when, asked.uses)
                studio.gallery.rewrite(image_id, use_when=said)
            return studio.knowledge.export(asked.image_ids, None, report, stopped.is_set)

        outcome = await on_thread(export, progress, stopped)
        return _result(asked, outcome)


def _result(asked: ExportToKbArguments, outcome: ExportReport) -> ToolResult:
    sent = len(outcome.put)
    if outcome.problem is not None:
        raise AgentToolsError(
            f"{outcome.problem.args[0]} {sent} sent, {outcome.pending} still queued; nothing "
            "is lost.",
            code=outcome.problem.code,
            hint=outcome.problem.hint,
            retryable=outcome.problem.retryable,
            data={"exported": list(outcome.put[:_NAMED]), "pending_count": outcome.pending},
        )
    output = ExportToKbOutput(
        target=outcome.target.partition(":")[0],  # the rest is a path or an address of ours
        exported=list(outcome.put[:_NAMED]),
        exported_count=sent,
        unchanged_count=outcome.unchanged,
        failed=[FailedPicture(image_id=i, reason=reason) for i, reason in outcome.failed[:_NAMED]],
        doubtful=[FailedPicture(image_id=i, reason=doubt) for i, doubt in outcome.flagged[:_NAMED]],
        pending_count=outcome.pending,
    )
    lines = [
        f"Knowledge base: {output.target}. Exported now: {sent}. "
        f"Already there, unchanged: {output.unchanged_count}."
    ]
    if output.exported:
        more = f" and {sent - _NAMED} more" if sent > _NAMED else ""
        lines.append(f"Exported: {', '.join(output.exported)}{more}.")
    lines += [f"Sent, but look at {item.image_id}: {item.reason}" for item in output.doubtful]
    lines += [f"Not taken: {item.image_id}: {item.reason}" for item in output.failed]
    if output.pending_count:
        lines.append(f"Still waiting: {output.pending_count}. Export again to continue.")
    return ToolResult(text="\n".join(lines), data=output)
