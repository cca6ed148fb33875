"""The whole job, by clients that speak one revision of the protocol each, with the starter model.

Neither uses the SDK's client, which would speak whatever the server offers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx2
import pytest
from real_server import environment, http_process
from stdio_peer import Peer, started

from agent_tools.gallery import Gallery

MODERN = "2026-07-28"
LONG = {"prompt": "a red mug", "steps": 150, "count": 4}


class Caller(Protocol):
    """A client that can call a tool, and begin a call that it then cancels."""

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]: ...

    def cancel(self, tool: str, arguments: dict[str, Any]) -> None: ...


class Legacy:
    """2025-11-25 over stdio: one handshake, then lines."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.number = 10
        answer = peer.ask(
            1,
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "old", "version": "1"},
            },
        )
        assert answer["result"]["protocolVersion"] == "2025-11-25"
        peer.send(None, "notifications/initialized")

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.number += 1
        return self.peer.call(self.number, tool, arguments)

    def cancel(self, tool: str, arguments: dict[str, Any]) -> None:
        self.number += 1
        self.peer.begin(self.number, tool, arguments, lambda message: "step" in message)
        self.peer.send(None, "notifications/cancelled", {"requestId": self.number})


class Modern:
    """2026-07-28 over HTTP: every request stands alone; dropping the answer cancels."""

    def __init__(self, http: httpx2.Client, url: str) -> None:
        self.http = http
        self.url = f"{url}/mcp"

    def _request(
        self, method: str, name: str, arguments: dict[str, Any], **meta: Any
    ) -> dict[str, Any]:
        prefix = "io.modelcontextprotocol/"
        own = {
            f"{prefix}protocolVersion": MODERN,
            f"{prefix}clientInfo": {"name": "new", "version": "1"},
            f"{prefix}clientCapabilities": {},
            **meta,
        }
        params = {"name": name, "arguments": arguments, "_meta": own}
        return {
            "headers": {
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": MODERN,
                "MCP-Method": method,
                "MCP-Name": name,
            },
            "json": {"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        }

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post(self.url, **self._request("tools/call", tool, arguments))
        assert answer.status_code == 200, answer.text
        assert "mcp-session-id" not in answer.headers
        result = answer.json()["result"]
        assert not result.get("isError"), result["content"][0]["text"]
        content: dict[str, Any] = result["structuredContent"]
        return content

    def cancel(self, tool: str, arguments: dict[str, Any]) -> None:
        request = self._request("tools/call", tool, arguments, progressToken="p")
        with self.http.stream("POST", self.url, **request) as answer:
            for line in answer.iter_lines():
                if line.startswith("data:") and "step" in line:
                    message = json.loads(line.removeprefix("data:"))
                    assert message["method"] == "notifications/progress"
                    return  # leaving closes the connection
        pytest.fail("the call ended before it could be cancelled")


@contextmanager
def legacy(data: Path) -> Iterator[Caller]:
    command = [sys.executable, "-m", "server.cli", "serve"]
    with started(command, **environment(data, "starter")) as peer:
        yield Legacy(peer)


@contextmanager
def modern(data: Path) -> Iterator[Caller]:
    with http_process(data, "starter") as (url, _), httpx2.Client(timeout=120) as http:
        yield Modern(http, url)


@pytest.mark.weights
@pytest.mark.parametrize("connect", [legacy, modern], ids=["2025-11-25-stdio", "2026-07-28-http"])
def test_one_revision_is_enough_to_generate_vary_export_search_and_cancel(
    connect: Any, tmp_path: Path
) -> None:
    with connect(tmp_path / "data") as client:
        painted = client.call(
            "generate_image",
            {"prompt": "a purple teapot on a white background", "steps": 2, "seed": 7},
        )
        teapot = painted["images"][0]["image_id"]
        varied = client.call(
            "create_product_variants",
            {"product": "teapot", "colors": ["red", "blue"], "steps": 2, "seed": 7},
        )
        assert [variant["color"] for variant in varied["variants"]] == ["red", "blue"]
        client.cancel("generate_image", LONG)
        found = client.call("find_images", {"query": "purple teapot", "images": "none"})
        assert found["hits"][0]["image"]["image_id"] == teapot
        everything = client.call("find_images", {"images": "none"})
        assert everything["matched"] == 2  # the teapot and the variants; nothing of what stopped
        exported = client.call("export_to_kb", {"image_ids": [teapot]})
        assert exported["exported"] == [teapot]
        hits = client.call("search_kb", {"question": "purple teapot"})["hits"]
        assert [hit["image_id"] for hit in hits] == [teapot]
    assert all("mug" not in r.caption for r in Gallery(tmp_path / "data").list())
