"""A tool's result as MCP content: text, thumbnails, links, structured data.

Hosts keep only one half of a result (some the text, some the structured content), so each half is
complete on its own; settings switch each part off for hosts that mishandle it.
"""

from __future__ import annotations

import base64
from typing import Any

from mcp.types import (
    CallToolResult,
    ContentBlock,
    ImageContent,
    ResourceLink,
    TextContent,
)

from agent_tools.errors import AgentToolsError
from agent_tools.inline import inline_pictures
from agent_tools.results import ToolImage, ToolResult
from agent_tools.settings import Settings
from server.apps.gallery import IMAGE_ID_META

ERROR_META = "agent-tools/error"


_JOB = {
    "type": "object",
    "description": "Set instead of all else if the call goes on in the background; see get_job.",
    "properties": {name: {"type": "string"} for name in ("job_id", "status", "message")},
    "required": ["job_id", "status", "message"],
}


def or_job(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the output schema of a tool whose call may be answered with `job` instead.

    The answer has either all that the tool's own schema requires or the property "job", so hosts
    can check both; the root stays a plain object, as MCP wants it.
    """
    return {
        **{name: value for name, value in schema.items() if name != "required"},
        "properties": {**schema.get("properties", {}), "job": _JOB},
        "anyOf": [{"required": schema.get("required", [])}, {"required": ["job"]}],
    }


def success(result: ToolResult, settings: Settings) -> CallToolResult:
    """Shape a tool's result for an MCP client as `settings` say."""
    text = result.text
    blocks: list[ContentBlock] = []
    if settings.images in ("inline", "both"):
        inline = inline_pictures(result.images)
        text += inline.note
        blocks += [
            ImageContent(
                data=base64.b64encode(picture.data).decode(),
                mime_type="image/webp",
                _meta={IMAGE_ID_META: picture.image_id} if picture.image_id else None,
            )
            for picture in inline.pictures
        ]
    if settings.images in ("link", "both"):
        if settings.links == "text":
            text += "".join(f"\n{_address(image, settings)}" for image in result.images)
        else:
            blocks += [_link(image, settings) for image in result.images]
    return CallToolResult(
        content=[TextContent(text=text), *blocks],
        structured_content=result.data.model_dump(mode="json") if settings.structured else None,
    )


def failure(error: AgentToolsError) -> CallToolResult:
    """Tell the model what went wrong and what to do next.

    Programs find code, hint and data in `_meta`, not in structured content: clients check that
    against the tool's output schema even when the call failed.
    """
    text = str(error)
    retry_after_s = error.data.get("retry_after_s")
    if retry_after_s is not None:
        text += f" Try again in {retry_after_s:.0f} seconds."
    return CallToolResult(
        content=[TextContent(text=text)],
        is_error=True,
        _meta={ERROR_META: error_data(error)},
    )


def error_data(error: AgentToolsError) -> dict[str, Any]:
    """Return an error as programs read it."""
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        "data": error.data,
    }


def _address(image: ToolImage, settings: Settings) -> str:
    if settings.public_url and image.info.url:
        return image.info.url
    return image.info.uri


def _link(image: ToolImage, settings: Settings) -> ResourceLink:
    info = image.info
    return ResourceLink(
        uri=_address(image, settings) if settings.links == "https" else info.uri,
        name=info.image_id,
        title=info.caption,
        description=info.alt,
        mime_type="image/png",
    )
