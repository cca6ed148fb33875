"""The demo's agent: a real MCP client, the server it starts, and a person's command line."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import agent_tools
from agent_tools.errors import AgentToolsError
from agent_tools.settings import Settings
from server.console import Bars

if TYPE_CHECKING:
    from mcp import Client


class Agent:
    """A minimal agent: it calls tools over MCP, shows progress and saves what it gets."""

    def __init__(self, client: Client, bars: Bars, pictures: Path) -> None:
        self._client = client
        self._bars = bars
        self._pictures = pictures

    async def list_tools(self) -> list[str]:
        """Return the names of the server's tools."""
        return [tool.name for tool in (await self._client.list_tools()).tools]

    async def call(self, tool: str, label: str, **arguments: Any) -> dict[str, Any]:
        """Call one tool and return its structured content.

        Raises:
            AgentToolsError: with the tool's own words if it failed.
        """
        self._bars.start(label)

        async def report(progress: float, total: float | None, message: str | None) -> None:
            self._bars.show(progress, total, message)

        result = await self._client.call_tool(tool, arguments, progress_callback=report)
        self._bars.finish()
        if result.is_error or not isinstance(result.structured_content, dict):
            text = " ".join(block.text for block in result.content if block.type == "text")
            raise AgentToolsError(f"{tool} failed: {text}", code="demo_failed")
        return result.structured_content

    async def save(self, info: dict[str, Any]) -> dict[str, Any]:
        """Read a picture as an MCP resource, write it beside the page and describe it."""
        found = await self._client.read_resource(f"image://{info['image_id']}")
        blob = getattr(found.contents[0], "blob", "")
        file = self._pictures / f"{info['image_id']}.png"
        file.write_bytes(base64.b64decode(blob))
        names = ("image_id", "width", "height", "seed", "model", "caption", "alt")
        return {
            "path": f"{self._pictures.name}/{file.name}",
            **{name: info[name] for name in names},
        }


@dataclass(frozen=True, slots=True)
class Workplace:
    """How the demo starts `agent-tools`: a data directory of its own, the caller's choices.

    Attributes:
        data: the data directory, and the processes' current directory.
        environment: of every process.
    """

    data: Path
    environment: dict[str, str]

    @classmethod
    def of(cls, settings: Settings, data: Path, knowledge_base: Path) -> Workplace:
        """Build a workplace that exports to a folder, whatever the caller's own target is."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AGENT_TOOLS_")}
        home = str(Path(agent_tools.__file__).parent.parent)
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (home, kept.get("PYTHONPATH"))))
        folder = Path(settings.model).expanduser()
        chosen = {
            "KB": f"folder:{knowledge_base}",
            "MODEL": str(folder.absolute()) if folder.is_dir() else settings.model,
            "DEVICE": settings.device,
            "THREADS": settings.threads,
            "ACCEPT_LICENSE": ",".join(settings.accept_license) or None,
        }
        named = {f"AGENT_TOOLS_{k}": str(v) for k, v in chosen.items() if v is not None}
        return cls(data, kept | named)

    @property
    def command(self) -> list[str]:
        """`agent-tools --data DATA`, with this Python."""
        # -P: a folder named "server" in the current directory must not shadow ours.
        return [sys.executable, "-P", "-m", "server.cli", "--data", str(self.data)]

    @asynccontextmanager
    async def connect(self, log: TextIO) -> AsyncIterator[Client]:
        """Start `agent-tools serve`, connect an MCP client over stdio; its logs go to `log`."""
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client

        program, *arguments = self.command
        server = StdioServerParameters(
            command=program,
            args=[*arguments, "serve"],
            env=self.environment,
            cwd=str(self.data),
        )
        async with Client(stdio_client(server, errlog=log)) as client:
            yield client

    async def take_in(self, file: Path, kind: str, title: str) -> dict[str, Any]:
        """Run `agent-tools gallery add FILE` beside the server and return the picture.

        Raises:
            AgentToolsError: with the command's own words if it failed.
        """
        process = await asyncio.create_subprocess_exec(
            *self.command,
            *("gallery", "add", str(file), "--kind", kind, "--title", title, "--json"),
            env=self.environment,
            cwd=self.data,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        stdout, stderr = await process.communicate()
        if process.returncode != 0:
            words = stderr.decode(errors="replace").strip()
            raise AgentToolsError(f"agent-tools gallery add failed: {words}", code="demo_failed")
        image: dict[str, Any] = json.loads(stdout)["images"][0]
        return image
