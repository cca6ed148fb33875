"""Counters for Prometheus at /metrics, in its text format; never waits on the engine.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import agent_tools
from agent_tools.call_counts import BUCKETS_S, Histogram
from agent_tools.studio import Studio
from server.warm_up import WarmUp

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NAME = "agent_tools"
# What the engine counts as they are now; everything else it counts only grows.
_GAUGES = frozenset({"waiting", "running", "outstanding_seconds", "rows_mean", "rows_max"})

_Labels = Mapping[str, str]
_Number = tuple[_Labels, float]


class Metrics:
    """Count HTTP requests. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[int] = Counter()
        self._durations = Histogram()

    def request(self, status: int, seconds: float) -> None:
        """Count one answered request; status 0 is one that was not answered."""
        with self._lock:
            self._requests[status] += 1
            self._durations.add(seconds)

    def snapshot(self) -> tuple[dict[int, int], Histogram]:
        """Return copies: requests by status, and their durations."""
        with self._lock:
            durations = Histogram([*self._durations.counts], self._durations.total_s)
            return dict(self._requests), durations


def metrics_route(studio: Studio, metrics: Metrics, warm_up: WarmUp) -> Route:
    """Return GET /metrics of a studio."""

    async def show(_: Request) -> Response:
        # On a thread: the knowledge base's numbers come from its database.
        text = await to_thread.run_sync(lambda: render(studio, metrics, warm_up.state == "ready"))
        return Response(text, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})

    return Route("/metrics", show, methods=["GET"])


def render(studio: Studio, metrics: Metrics, ready: bool) -> str:
    """Write all numbers as Prometheus reads them."""
    lines: list[str] = []

    def family(name: str, kind: str, about: str, samples: Iterable[_Number]) -> None:
        lines.append(f"# HELP {_NAME}_{name} {about}")
        lines.append(f"# TYPE {_NAME}_{name} {kind}")
        lines.extend(_sample(f"{_NAME}_{name}", labels, value) for labels, value in samples)

    def histogram(name: str, about: str, found: Mapping[str, Histogram], label: str) -> None:
        lines.append(f"# HELP {_NAME}_{name} {about}")
        lines.append(f"# TYPE {_NAME}_{name} histogram")
        for value, durations in sorted(found.items()):
            labels = {label: value} if label else {}
            lines.extend(_buckets(f"{_NAME}_{name}", labels, durations))

    calls, durations = studio.calls.snapshot()
    requests, request_s = metrics.snapshot()
    health = studio.engine.health()
    family("info", "gauge", "Version and model.", [(_about(studio), 1)])
    family("ready", "gauge", "Whether the model is loaded.", [({}, ready)])
    family("engine_ok", "gauge", "Whether the engine makes progress.", [({}, health.ok)])
    family(
        "tool_calls_total",
        "counter",
        "Tool calls by outcome.",
        [({"tool": t, "outcome": o}, n) for (t, o), n in sorted(calls.items())],
    )
    histogram("tool_seconds", "Duration of tool calls.", durations, "tool")
    family(
        "http_requests_total",
        "counter",
        "HTTP requests by status.",
        [({"status": str(status)}, count) for status, count in sorted(requests.items())],
    )
    histogram("http_seconds", "Duration of HTTP requests.", {"": request_s}, "")
    for name, number in sorted(_engine_numbers(studio).items()):
        gauge = name in _GAUGES
        ending = "" if gauge else "_total"
        family(f"engine_{name}{ending}", "gauge" if gauge else "counter", "Engine.", [({}, number)])
    pending, failed = _knowledge_numbers(studio)
    family("kb_pending", "gauge", "Pictures that wait for a knowledge base.", pending)
    family("kb_failed", "gauge", "Pictures that a knowledge base did not take.", failed)
    return "\n".join(lines) + "\n"


def _engine_numbers(studio: Studio) -> dict[str, float]:
    stats = getattr(studio.engine, "stats", None)  # a remote engine counts where it runs
    numbers: dict[str, float] = stats() if stats is not None else {}
    return numbers


def _about(studio: Studio) -> dict[str, str]:
    return {"version": agent_tools.__version__, "model": studio.engine.model}


def _knowledge_numbers(studio: Studio) -> tuple[list[_Number], list[_Number]]:
    # By kind of knowledge base: their names hold paths and addresses.
    pending: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for status in studio.knowledge.status().targets:
        kind = status.target.partition(":")[0]
        pending[kind] += status.pending
        failed[kind] += len(status.failed)
    return (
        [({"kind": kind}, number) for kind, number in sorted(pending.items())],
        [({"kind": kind}, number) for kind, number in sorted(failed.items())],
    )


def _buckets(name: str, labels: _Labels, durations: Histogram) -> Iterable[str]:
    count = 0
    for bound, found in zip((*BUCKETS_S, float("inf")), durations.counts, strict=True):
        count += found
        le = "+Inf" if bound == float("inf") else f"{bound:g}"
        yield _sample(f"{name}_bucket", {**labels, "le": le}, count)
    yield _sample(f"{name}_sum", labels, durations.total_s)
    yield _sample(f"{name}_count", labels, count)


def _sample(name: str, labels: _Labels, value: float) -> str:
    said = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
    number = str(int(value)) if value == int(value) else repr(float(value))
    return f"{name}{{{said}}} {number}" if said else f"{name} {number}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
