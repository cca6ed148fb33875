"""/metrics: what Prometheus reads, whatever the engine does."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import httpx2
import pytest
from small_tools import http_server, small_studio

from agent_tools.call_counts import BUCKETS_S
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.metrics import Metrics, render

pytestmark = pytest.mark.anyio

SAMPLE = re.compile(
    r'([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? '
    r"(-?[0-9.e+-]+|[+-]Inf|NaN)"
)


def samples(text: str) -> dict[str, float]:
    """Read the text format; every line must fit it and every family be typed before its samples."""
    found: dict[str, float] = {}
    typed: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in typed, f"{name} twice"
            typed[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            family = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert match[1] in typed or typed.get(family) == "histogram", line
            key = line.rpartition(" ")[0]
            assert key not in found, f"{key} twice"
            found[key] = float(match[3])
    assert text.endswith("\n")
    return found


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return small_studio(Settings(data=tmp_path))


async def test_calls_are_counted_by_tool_and_outcome_and_timed(studio: Studio) -> None:
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:
        from mcp import Client

        async with Client(f"{url}/mcp") as client:
            for color in ("red", "red", "pink"):
                await client.call_tool("paint_square", {"color": color})
            for name in ("full", "broken", "no_such_tool"):
                await client.call_tool(name, {"color": "red"})
        answer = await http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = samples(answer.text)

    def calls(tool: str, outcome: str) -> float:
        return found[f'agent_tools_tool_calls_total{{tool="{tool}",outcome="{outcome}"}}']

    assert calls("paint_square", "ok") == 2
    assert calls("paint_square", "invalid_arguments") == 1
    assert calls("full", "busy") == calls("broken", "internal") == 1
    assert calls("(unknown)", "not_found") == 1
    assert found['agent_tools_tool_seconds_count{tool="paint_square"}'] == 3
    assert found['agent_tools_tool_seconds_bucket{tool="paint_square",le="+Inf"}'] == 3
    assert found['agent_tools_http_requests_total{status="200"}'] >= 6
    assert found["agent_tools_ready"] == 1
    buckets = [
        found[f'agent_tools_tool_seconds_bucket{{tool="paint_square",le="{bound:g}"}}']
        for bound in BUCKETS_S
    ]
    assert buckets == sorted(buckets)
    assert (
        "CANARY" not in answer.text and "/" not in answer.text.replace("http://", "").split("#")[0]
    )


def test_what_is_painted_and_what_waits_for_knowledge_bases_is_there(
    tmp_path: Path,
) -> None:
    real = Studio.open(Settings(data=tmp_path, kb=f"folder:{tmp_path / 'secret-kb'}"))
    found = samples(render(real, Metrics(), ready=False))
    assert found["agent_tools_engine_waiting"] == found["agent_tools_engine_running"] == 0
    assert found['agent_tools_kb_pending{kind="folder"}'] == 0
    assert found["agent_tools_ready"] == 0
    assert "secret-kb" not in render(real, Metrics(), ready=False)
    real.gallery.close()


async def test_numbers_come_while_the_engine_and_every_decoder_thread_are_stuck(
    studio: Studio,
) -> None:
    """The engine's own thread holds its lock for ever; nobody asks it."""
    stuck = threading.Event()

    class Stuck(type(studio.engine)):  # type: ignore[misc]
        async def load(self) -> None:
            import asyncio

            await asyncio.to_thread(stuck.wait)

        def stats(self) -> dict[str, float]:
            return {"running": 1, "denoise_computations": 1234567}

    studio.engine = Stuck()
    try:
        async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:
            found = samples((await http.get("/metrics")).text)
            assert found["agent_tools_ready"] == 0
            assert found["agent_tools_engine_denoise_computations_total"] == 1_234_567
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/readyz")).status_code == 503
            stuck.set()
    finally:
        stuck.set()


def test_names_are_escaped(studio: Studio) -> None:
    studio.calls.add('a"b\\c\nd', "ok", 0.1)
    found = samples(render(studio, Metrics(), ready=True))
    assert any(r"a\"b\\c\nd" in name for name in found)
