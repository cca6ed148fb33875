"""A stdio server as its own process: what it writes where, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_tools

from agent_tools.gallery import Gallery
from agent_tools.settings import Settings

ROOT = Path(__file__).parents[2]
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Peer:
    """A client that writes and reads raw lines."""

    def __init__(self, settings: Settings) -> None:
        command = [sys.executable, small_tools.__file__, settings.model_dump_json()]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
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

    def begin_to_hold(self, number: int) -> None:
        """Call a tool that never ends and wait until it has begun."""
        params = {"name": "hold", "arguments": {"color": "red"}, "_meta": {"progressToken": "p"}}
        self.send(number, "tools/call", params)
        while self.read().get("method") != "notifications/progress":
            pass

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait for the process; return its exit code and the log lines."""
        assert self.process.stderr is not None
        code = self.process.wait()
        return code, [json.loads(line) for line in self.process.stderr.read().splitlines()]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


@pytest.fixture
def peer(settings: Settings) -> Iterator[Peer]:
    peer = Peer(settings)
    yield peer
    peer.process.kill()
    peer.process.wait()
    for stream in (peer.process.stdin, peer.process.stdout, peer.process.stderr):
        assert stream is not None
        stream.close()


def test_stdout_has_only_the_protocol_and_every_log_line_its_request_id(peer: Peer) -> None:
    peer.greet()
    arguments = {"color": "red", "title": "CANARY-PROMPT"}
    answer = peer.ask(2, "tools/call", {"name": "paint_square", "arguments": arguments})
    assert answer["result"]["content"][0]["text"].startswith("Painted img_")
    peer.ask(3, "tools/call", {"name": "broken", "arguments": {"color": "red"}})
    peer.process.stdin.close()
    assert peer.process.stdout.read() == ""
    code, lines = peer.end()
    assert code == 0
    assert all("request_id" in line for line in lines)
    calls = [line for line in lines if line["message"] == "tool call"]
    assert [call["outcome"] for call in calls] == ["ok", "internal"]
    assert len({call["request_id"] for call in calls} - {"-"}) == 2
    # The fault's trace is in the log, where the operator needs it, under the id the model was told.
    fault = next(line for line in lines if "exception" in line)
    assert fault["request_id"] == calls[1]["request_id"]
    assert "CANARY-PROMPT" not in json.dumps(lines)


def test_malformed_lines_do_not_end_the_server(peer: Peer) -> None:
    peer.greet()
    for line in (
        "",
        "{",
        "null",
        "[]",
        "\x00",
        '{"jsonrpc":"2.0"}',
        "[" * 100_000,
        "x" * 3_000_000,
    ):
        peer.write(line)
    assert peer.ask(9, "tools/list")["result"]["tools"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_while_the_client_still_holds_stdin(
    number: signal.Signals, peer: Peer, settings: Settings
) -> None:
    peer.greet()
    peer.begin_to_hold(2)
    peer.process.send_signal(number)
    code, lines = peer.end()
    assert code == 0
    assert lines[-1]["message"] == "Stopped"
    assert Gallery(settings.data).list() == []


def test_a_client_that_goes_away_during_a_call_ends_the_call_and_the_server(
    peer: Peer, settings: Settings
) -> None:
    peer.greet()
    peer.begin_to_hold(2)
    peer.process.stdin.close()
    code, lines = peer.end()
    assert code == 0
    assert [line["outcome"] for line in lines if line["message"] == "tool call"] == ["cancelled"]
    assert Gallery(settings.data).list() == []
