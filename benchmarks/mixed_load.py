"""Long and short jobs at once: plain diffusers, first in first out, against the engine.

Closed part: 3 long jobs (50 steps, guidance) arrive together, 9 short ones (4 steps) after them;
both ways take turns in one process, repeated. Open part: Poisson arrivals, a quarter of them long,
at 0.8 of what the plain way can serve, two rounds. Run it with `make bench-engine`.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.engine_jobs import (
    LONG,
    SHORT,
    EngineServer,
    JobSpec,
    PlainServer,
    Served,
    largest_difference,
    latencies,
)
from benchmarks.mixed_load_picture import draw
from benchmarks.report import hand_over
from engine.devices import thread_count

OUT = Path("benchmarks/out/mixed_load.json")
OPEN_ROUNDS = 2


def closed_jobs(long_s: float) -> list[JobSpec]:
    """3 long jobs at once, then 9 short ones while plain serving works on the long ones."""
    longs = [JobSpec(LONG, 0.0, seed) for seed in range(3)]
    shorts = [JobSpec(SHORT, (0.1 + 0.2 * k) * long_s, 10 + k) for k in range(9)]
    return longs + shorts


def open_jobs(count: int, long_s: float, short_s: float, load: float, seed: int) -> list[JobSpec]:
    """Poisson arrivals, a quarter long, that keep plain serving busy a share `load` of the time."""
    chance = np.random.default_rng(seed)
    kinds = chance.permutation([LONG] * (count // 4) + [SHORT] * (count - count // 4))
    mean_s = (0.25 * long_s + 0.75 * short_s) / load
    arrivals = np.cumsum(chance.exponential(mean_s, count))
    return [
        JobSpec(str(kind), float(arrival), 100 + number)
        for number, (kind, arrival) in enumerate(zip(kinds, arrivals, strict=True))
    ]


def summary(served: list[Served]) -> dict[str, float]:
    """Return what matters of one run, seconds."""
    short, long = latencies(served, SHORT), latencies(served, LONG)
    return {
        "short_p50_s": float(np.percentile(short, 50)),
        "short_p95_s": float(np.percentile(short, 95)),
        "long_p50_s": float(np.percentile(long, 50)),
        "long_max_s": float(long.max()),
        "makespan_s": max(job.finished_s for job in served),
    }


def median_of(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over repeats."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


async def measure(model: str, threads: int, repeats: int, open_count: int) -> dict[str, Any]:
    """Run both parts and return all figures."""
    plain, ours = PlainServer(model, threads), EngineServer(model, threads)
    await ours.load()
    alone: dict[str, float] = {}
    for kind in (LONG, SHORT):
        plain.serve([JobSpec(kind, 0.0, 998)])
        alone[kind] = min(plain.serve([JobSpec(kind, 0.0, 998)])[0].latency_s for _ in range(3))
    jobs = closed_jobs(alone[LONG])
    runs: dict[str, list[dict[str, float]]] = {"plain": [], "engine": []}
    points: dict[str, dict[str, list[float]]] = {}
    shares, differences, rows = [], [], []
    references = {job.seed: await ours.paint(job, deterministic=True) for job in jobs}
    for _ in range(repeats):
        served = await asyncio.to_thread(plain.serve, jobs)
        runs["plain"].append(summary(served))
        points["plain"] = {kind: latencies(served, kind).tolist() for kind in (LONG, SHORT)}
        before, cpu = ours.engine.stats(), time.process_time()
        loop_cpu = time.thread_time()
        served = await ours.serve(jobs)
        loop_cpu = time.thread_time() - loop_cpu
        cpu = time.process_time() - cpu
        after = ours.engine.stats()
        runs["engine"].append(summary(served))
        points["engine"] = {kind: latencies(served, kind).tolist() for kind in (LONG, SHORT)}
        shares.append((after["overhead_seconds"] - before["overhead_seconds"] + loop_cpu) / cpu)
        forwards = after["denoise_computations"] - before["denoise_computations"]
        rows.append((after["denoise_rows"] - before["denoise_rows"]) / forwards)
        differences += [largest_difference(job.image, references[job.spec.seed]) for job in served]
    open_served: dict[str, list[Served]] = {"plain": [], "engine": []}
    for seed in range(OPEN_ROUNDS if open_count else 0):
        arriving = open_jobs(open_count, alone[LONG], alone[SHORT], 0.8, seed)
        open_served["plain"] += await asyncio.to_thread(plain.serve, arriving)
        open_served["engine"] += await ours.serve(arriving)
    open_runs = {name: summary(served) for name, served in open_served.items() if served}
    await ours.engine.close()
    closed = {name: median_of(found) for name, found in runs.items()}
    figures: dict[str, Any] = {
        "short_p50_ratio": closed["plain"]["short_p50_s"] / closed["engine"]["short_p50_s"],
        "short_p95_ratio": closed["plain"]["short_p95_s"] / closed["engine"]["short_p95_s"],
        "makespan_ratio": closed["plain"]["makespan_s"] / closed["engine"]["makespan_s"],
        "long_max_ratio": closed["engine"]["long_max_s"] / closed["plain"]["long_max_s"],
        "non_forward_share": statistics.median(shares),
        "equal_images": max(differences) <= 1,
        "bitwise_equal_share": sum(d == 0 for d in differences) / len(differences),
        "largest_difference": max(differences),
    }
    if open_runs:
        figures["open_loop_short_p50_ratio"] = (
            open_runs["plain"]["short_p50_s"] / open_runs["engine"]["short_p50_s"]
        )
        figures["open_loop_short_p95_ratio"] = (
            open_runs["plain"]["short_p95_s"] / open_runs["engine"]["short_p95_s"]
        )
        figures["open_loop_long_max_ratio"] = (
            open_runs["engine"]["long_max_s"] / open_runs["plain"]["long_max_s"]
        )
    return {
        **{k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()},
        "closed": closed,
        "repeats": runs,
        "open": open_runs,
        "alone_s": alone,
        "latencies_s": points,
        "rows_per_forward": round(statistics.median(rows), 2),
        "model": model,
        "threads": threads,
        "precision": f"{str(plain.loaded.dtype).removeprefix('torch.')} on {plain.loaded.device}",
    }


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    console = Console()
    for part in ("closed", "open"):
        if not found[part]:
            continue
        table = Table(
            title=f"mixed load, {part} ({found['precision']}, {found['threads']} threads)"
        )
        for column in ("seconds", "plain FIFO", "engine", "plain / engine"):
            table.add_column(column, justify="left" if column == "seconds" else "right")
        for name, plain in found[part]["plain"].items():
            ours = found[part]["engine"][name]
            table.add_row(
                name.removesuffix("_s"), f"{plain:.2f}", f"{ours:.2f}", f"{plain / ours:.2f}x"
            )
        console.print(table)
    for name, value in found.items():
        if not isinstance(value, dict):
            console.print(f"{name:28} {value}")


def main() -> None:
    """Measure, print, write the JSON, and draw the picture if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="starter")
    parser.add_argument("--threads", type=int, default=thread_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--open-jobs", type=int, default=40, help="a round; 0 leaves it out")
    parser.add_argument("--picture", type=Path, help="write an SVG of the latencies here")
    parser.add_argument("--json", action="store_true", help="print the JSON instead of tables")
    arguments = parser.parse_args()
    found = asyncio.run(
        measure(arguments.model, arguments.threads, arguments.repeats, arguments.open_jobs)
    )
    if arguments.picture is not None:
        arguments.picture.write_text(draw(found), encoding="utf-8")
    hand_over(found, OUT, show, as_json=arguments.json)


if __name__ == "__main__":
    main()
