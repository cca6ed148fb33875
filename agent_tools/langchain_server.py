"""The tools of a running server for LangChain, over MCP (streamable HTTP)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.tools import ToolException

from agent_tools.errors import AgentToolsError, InvalidArguments
from agent_tools.tools.base import Progress, ProgressEvent
from engine.remote_address import check_address, check_key

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, Tool


class ToolsOfServer:
    """Lists and calls the tools of a server; every call has a connection of its own.

    So a server that was restarted between two calls is noticed by nobody.
    """

    def __init__(self, url: str, token: str | None) -> None:
        """Remember where the server is; nothing is connected yet.

        Args:
            url: such as https://pictures.example, with or without /mcp; plain http on this
                machine only, for tokens must not be read on the way.
            token: what `agent-tools token create` printed, or an access token.

        Raises:
            InvalidArguments: if one of them cannot be used.
        """
        try:
            address = check_address(url)
            self._token = None if token is None else check_key(token)
        except ValueError as error:
            raise InvalidArguments(
                f"The server's address or token cannot be used: {error}.",
                hint="Give an address such as https://pictures.example and the token it printed.",
            ) from None
        self._url = address if address.endswith("/mcp") else f"{address}/mcp"

    async def tools(self) -> list[Tool]:
        """Return the server's tools.

        Raises:
            AgentToolsError: if it cannot be reached or does not let us in.
        """
        async with self._connected() as client:
            return (await client.list_tools()).tools

    async def call(
        self, name: str, arguments: dict[str, Any], tell: Progress
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Call a tool and return content blocks and artifact; see `agent_tools.langchain`.

        Raises:
            ToolException: with what the server tells the model.
            AgentToolsError: as `tools`.
        """

        async def report(
            progress: float, total: float | None = None, message: str | None = None
        ) -> None:
            await tell(ProgressEvent(progress, total or 1.0, message or ""))

        async with self._connected() as client:
            result = await client.call_tool(name, arguments, progress_callback=report)
        if result.is_error:
            raise ToolException(
                " ".join(block.text for block in result.content if block.type == "text")
            )
        return _content(result), {"data": result.structured_content or {}, "files": {}}

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        import httpx2
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client
        from mcp.shared.exceptions import MCPError

        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        # Reading has no limit: a picture may take minutes, and the caller can cancel.
        timeout = httpx2.Timeout(30, read=None)
        try:
            async with (
                httpx2.AsyncClient(headers=headers, timeout=timeout) as http,
                Client(streamable_http_client(self._url, http_client=http)) as client,
            ):
                yield client
        except Exception as error:
            known = _innermost(error)
            if not isinstance(known, (httpx2.HTTPError, MCPError, OSError)):
                raise
            raise AgentToolsError(
                f"The server at {self._url} did not answer: {known}.",
                code="unavailable",
                retryable=True,
                hint="See that it runs (agent-tools serve --http) and that the token is right.",
            ) from error


def _content(result: CallToolResult) -> list[dict[str, Any]]:
    """Return standard content blocks, without links: providers reject schemes they do not know."""
    blocks: list[dict[str, Any]] = []
    for block in result.content:
        if block.type == "text":
            blocks.append({"type": "text", "text": block.text})
        elif block.type == "image":
            blocks.append({"type": "image", "base64": block.data, "mime_type": block.mime_type})
    return blocks


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
