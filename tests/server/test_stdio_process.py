"""A stdio server as its own process: what it writes where, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import small_tools
from stdio_peer import Peer, started

from agent_tools.gallery import Gallery
from agent_tools.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


@pytest.fixture
def peer(settings: Settings) -> Iterator[Peer]:
    command = [sys.executable, small_tools.__file__, settings.model_dump_json()]
    with started(command) as peer:
        yield peer


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
    peer.begin(2, "hold", {"color": "red"})
    peer.process.send_signal(number)
    code, lines = peer.end()
    assert code == 0
    assert lines[-1]["message"] == "Stopped"
    assert Gallery(settings.data).list() == []


def test_a_client_that_goes_away_during_a_call_ends_the_call_and_the_server(
    peer: Peer, settings: Settings
) -> None:
    peer.greet()
    peer.begin(2, "hold", {"color": "red"})
    peer.process.stdin.close()
    code, lines = peer.end()
    assert code == 0
    assert [line["outcome"] for line in lines if line["message"] == "tool call"] == ["cancelled"]
    assert Gallery(settings.data).list() == []
