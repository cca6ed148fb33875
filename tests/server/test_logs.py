"""Log lines: JSON, one a line, with the id of the request that caused them."""

from __future__ import annotations

import io
import json
import logging

import pytest

from server import logs


def lines(log_stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log_stream.getvalue().splitlines()]


def test_lines_inside_a_request_carry_its_id_and_others_a_dash(log_stream: io.StringIO) -> None:
    with logs.request("abc"):
        logging.getLogger("a").info("inside")
    logging.getLogger("a").info("outside")
    assert [(line["message"], line["request_id"]) for line in lines(log_stream)] == [
        ("inside", "abc"),
        ("outside", "-"),
    ]


def test_text_of_a_peer_cannot_forge_a_line_or_move_the_terminal(log_stream: io.StringIO) -> None:
    logging.getLogger("a").info("name %s", 'x\n{"level": "error"}\x1b[2J\u202e')
    assert len(lines(log_stream)) == 1
    assert log_stream.getvalue().strip().isprintable()


def test_libraries_that_log_sessions_and_peers_are_silent_at_info(log_stream: io.StringIO) -> None:
    logging.getLogger("mcp.server.streamable_http").info("session 123")
    logging.getLogger("mcp.server").warning("shown")
    assert [line["message"] for line in lines(log_stream)] == ["shown"]


@pytest.mark.parametrize("offered", [None, "", "a b", "a\nb", "x" * 65, "ä"])
def test_only_short_plain_ids_are_taken_from_callers(offered: str | None) -> None:
    assert logs.new_request_id(offered) != offered
    assert logs.new_request_id("good-1.2_3") == "good-1.2_3"
