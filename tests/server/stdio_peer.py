"""A raw MCP client over a stdio server's process: it writes and reads lines, and can kill it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Peer:
    """A client that writes and reads raw lines."""

    def __init__(self, command: Sequence[str], **environment: str) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def send(self, number: int | None, method: str, params: dict[str, Any] | None = None) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        self.write(json.dumps(message if number is None else message | {"id": number}))

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        return message

    def ask(self, number: int, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        self.send(number, method, params)
        while (answer := self.read()).get("id") != number:
            pass
        return answer

    def greet(self) -> None:
        self.ask(1, "initialize", INITIALIZE)
        self.send(None, "notifications/initialized")

    def call(self, number: int, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool and return its structured content; an error in the result fails the test."""
        answer = self.ask(number, "tools/call", {"name": tool, "arguments": dict(arguments)})
        result: dict[str, Any] = answer["result"]
        assert not result.get("isError"), result["content"][0]["text"]
        content: dict[str, Any] = result["structuredContent"]
        return content

    def begin(
        self,
        number: int,
        tool: str,
        arguments: Mapping[str, Any],
        until: Callable[[str], bool] = lambda message: True,
    ) -> None:
        """Call a tool and return at its first progress message that satisfies `until`."""
        params = {"name": tool, "arguments": dict(arguments), "_meta": {"progressToken": "p"}}
        self.send(number, "tools/call", params)
        while True:
            heard = self.read()
            assert heard.get("id") != number, "the call ended before it could be interrupted"
            if heard.get("method") == "notifications/progress" and until(
                heard["params"].get("message", "")
            ):
                return

    def kill(self) -> None:
        """Send SIGKILL, and check that this is what ended the process."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait for the process; return its exit code and the log lines."""
        assert self.process.stderr is not None
        code = self.process.wait()
        return code, [json.loads(line) for line in self.process.stderr.read().splitlines()]


@contextmanager
def started(command: Sequence[str], **environment: str) -> Iterator[Peer]:
    """Start a server and leave nothing of it behind."""
    peer = Peer(command, **environment)
    try:
        yield peer
    finally:
        peer.process.kill()
        peer.process.wait()
        for stream in (peer.process.stdin, peer.process.stdout, peer.process.stderr):
            assert stream is not None
            stream.close()
