"""What our server adds to a tool call and to a start, beside the bare SDK's own minimal server.

Both servers run at the same time and are asked in turn, so that a busy machine slows both:
`overhead_ratio` compares the medians of get_image of a stored picture with a bare tool that returns
the very same content (`cpu_ratio`: their processor time, which says more on a busy machine),
`calls_per_s` is our server at 16 connections, `start_ratio` compares the
time from process start to the answer of tools/list over stdio. Writes benchmarks/out/protocol.json.
Run it with `python -m benchmarks.protocol`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.raw_http import Connection, calls_per_second, tool_call
from benchmarks.report import hand_over

OUT = Path("benchmarks/out/protocol.json")
OURS = [sys.executable, "-m", "server.cli", "serve"]
BARE = [sys.executable, "-m", "benchmarks.bare_mcp_server"]
CONNECTIONS = 16
BLOCK = 10  # calls of one server before the other's turn
GREETING = (
    {
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "benchmark", "version": "1"},
        },
    },
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/list", "params": {}},
)


def environment(data: Path) -> dict[str, str]:
    """Return the environment of our server: one thread, no settings of this machine."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AGENT_TOOLS_")}
    return kept | {"AGENT_TOOLS_DATA": str(data), "AGENT_TOOLS_THREADS": "1"}


def fill(data: Path) -> str:
    """Put one picture of the starter model's size and detail into a gallery; return its id."""
    from PIL import Image

    from agent_tools.gallery import Gallery
    from agent_tools.pictures import encode_png

    noise = Image.effect_noise((64, 64), 60).convert("RGB")
    gallery = Gallery(data)
    record = gallery.add_upload(encode_png(noise.resize((512, 512))), title="A cached picture")
    gallery.close()
    return record.image_id


@contextlib.contextmanager
def our_server(data: Path) -> Iterator[tuple[int, int]]:
    """Start our HTTP server, wait until its model is loaded, and yield its port and process id."""
    command = [*OURS, "--http", "127.0.0.1:0"]
    process = subprocess.Popen(
        command, env=environment(data), stderr=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stderr is not None
    port = 0
    try:
        for line in process.stderr:
            entry = json.loads(line)
            port = int(entry["url"].rpartition(":")[2]) if "url" in entry else port
            if entry["message"] == "The model is loaded":
                break
        with open(os.devnull, "w") as nowhere:
            # Logs go on being written and read, as they are where the server runs.
            drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=nowhere)
            yield port, process.pid
            process.terminate()
            process.wait()
            drain.wait()
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def bare_server(content: dict[str, Any], folder: Path) -> Iterator[tuple[int, int]]:
    """Start the bare server, whose tool returns `content`; yield its port and process id."""
    file = folder / "content.json"
    file.write_text(json.dumps(content))
    process = subprocess.Popen([*BARE, "http", str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.wait()


def cpu_ms(pid: int) -> float:
    """Return the processor time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask_block(peer: Connection, request: bytes, spent: list[float]) -> None:
    """Ask some times; the first is not counted, for the other server still tidies up then."""
    for number in range(BLOCK + 1):
        started = time.perf_counter()
        peer.ask(request)
        if number:
            spent.append(1000 * (time.perf_counter() - started))


def measure_calls(calls: int, seconds: float) -> dict[str, Any]:
    """Ask both servers in turn on one connection each, then load ours."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = {"image_id": fill(folder / "data")}
        with our_server(folder / "data") as (port, our_pid):
            request = tool_call(port, "get_image", arguments)
            ours = Connection(port)
            content = json.loads(ours.ask(request))["result"]
            with bare_server(content, folder) as (other, bare_pid):
                bare = Connection(other)
                bare_request = tool_call(other, "get_image", arguments)
                sizes = [len(ours.ask(request)), len(bare.ask(bare_request))]
                times: tuple[list[float], list[float]] = ([], [])
                before = cpu_ms(our_pid), cpu_ms(bare_pid)
                for _ in range(max(1, calls // BLOCK)):
                    ask_block(ours, request, times[0])
                    ask_block(bare, bare_request, times[1])
                after = cpu_ms(our_pid), cpu_ms(bare_pid)
                ours.close()
                bare.close()
                bare_rate = calls_per_second(other, bare_request, CONNECTIONS, seconds)
            rate = calls_per_second(port, request, CONNECTIONS, seconds)
    own, plain = (statistics.median(spent) for spent in times)
    own_cpu, plain_cpu = (
        (end - start) / (len(spent) * (BLOCK + 1) / BLOCK)
        for start, end, spent in zip(before, after, times, strict=True)
    )
    return {
        "overhead_ratio": round(own / plain, 2),
        "call_ms": round(own, 2),
        "bare_call_ms": round(plain, 2),
        "cpu_ratio": round(own_cpu / plain_cpu, 2),
        "call_cpu_ms": round(own_cpu, 2),
        "bare_call_cpu_ms": round(plain_cpu, 2),
        "answer_bytes": sizes[0],
        "bare_answer_bytes": sizes[1],
        "calls_per_s": round(rate, 1),
        "bare_calls_per_s": round(bare_rate, 1),
        "connections": CONNECTIONS,
    }


def time_to_list(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Return the seconds, and those of the processor, from start to the answer of tools/list."""
    used = children_s()
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        for message in GREETING:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        process.stdin.flush()
        while (answer := json.loads(process.stdout.readline())).get("id") != 2:
            pass
        assert answer["result"]["tools"]
        seconds = time.perf_counter() - started
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    return seconds, children_s() - used


def children_s() -> float:
    """Return the processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_start(rounds: int) -> dict[str, Any]:
    """Start both servers in turn; the first round only warms the disk's cache."""
    with tempfile.TemporaryDirectory() as name:
        env = environment(Path(name))
        pairs = [
            (time_to_list(OURS, env), time_to_list([*BARE, "stdio"], env))
            for _ in range(rounds + 1)
        ][1:]
    own, plain = (statistics.median(pair[k][0] for pair in pairs) for k in (0, 1))
    own_cpu, plain_cpu = (statistics.median(pair[k][1] for pair in pairs) for k in (0, 1))
    return {
        "start_ratio": round(own / plain, 2),
        "start_cpu_ratio": round(own_cpu / plain_cpu, 2),
        "start_cpu_s": round(own_cpu, 2),
        "bare_start_cpu_s": round(plain_cpu, 2),
        "start_s": round(own, 2),
        "bare_start_s": round(plain, 2),
    }


def show(found: dict[str, Any]) -> None:
    """Print the figures side by side."""
    print(f"{'':34}{'ours':>9}{'bare SDK':>10}{'ratio':>8}")
    for label, own, plain, ratio in (
        ("call of a stored picture, ms", "call_ms", "bare_call_ms", "overhead_ratio"),
        ("processor time of a call, ms", "call_cpu_ms", "bare_call_cpu_ms", "cpu_ratio"),
        ("process start to tools/list, s", "start_s", "bare_start_s", "start_ratio"),
        ("processor time of that, s", "start_cpu_s", "bare_start_cpu_s", "start_cpu_ratio"),
    ):
        print(f"{label:34}{found[own]:>9}{found[plain]:>10}{found[ratio]:>7}x")
    label = f"calls a second, {found['connections']} connections"
    print(f"{label:34}{found['calls_per_s']:>9}{found['bare_calls_per_s']:>10}")


def main() -> None:
    """Measure, and write benchmarks/out/protocol.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300, help="Calls of each server.")
    parser.add_argument("--seconds", type=float, default=5, help="Time under load.")
    parser.add_argument("--starts", type=int, default=7, help="Starts of each server.")
    parser.add_argument("--json", action="store_true", help="Print the figures as JSON.")
    options = parser.parse_args()
    found = measure_calls(options.calls, options.seconds) | measure_start(options.starts)
    hand_over(found, OUT, show, as_json=options.json)


if __name__ == "__main__":
    main()
