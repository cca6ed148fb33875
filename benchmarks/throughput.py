"""Images per second at 1, 2, 4 and 8 requests at a time: engine against a pipeline loop.

Both ways take turns in one process, same weights, same settings (8 steps, guidance). Also: how
much of the device's measured matrix-multiplication peak the denoiser reaches with 8 at a time.
Run it with `make bench-engine`.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import engine_jobs
from benchmarks.engine_jobs import EngineServer, JobSpec, PlainServer
from benchmarks.report import hand_over
from engine.devices import thread_count

OUT = Path("benchmarks/out/throughput.json")
CONCURRENCY = (1, 2, 4, 8)
KIND = "usual"
engine_jobs.SETTINGS[KIND] = (8, 2.5)


def matmul_peak(torch: Any, device: Any, dtype: Any, threads: int) -> float:
    """Return the best GFLOP/s of square matrix products, the device's practical peak."""
    torch.set_num_threads(threads)
    best = 0.0
    for side in (512, 1024, 2048):
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        for _ in range(6):
            started = time.perf_counter()
            torch.mm(a, b)
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * side**3 / (time.perf_counter() - started) / 1e9)
    return best


def gflop_per_row(plain: PlainServer) -> float:
    """Return the denoiser's GFLOP for one row at the model's default size."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from engine.calibrate import _first_forward
    from engine.collate import Digests, signature
    from engine.request import ImageRequest, SamplingParams

    request = ImageRequest("a mug", params=SamplingParams(2, guidance_scale=0.0))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module, arguments = _first_forward(plain.loaded, request)
        before = counter.get_total_flops()
        module(*arguments[0], **arguments[1])
        flops = counter.get_total_flops() - before
    return flops / signature(id(module), *arguments, Digests()).rows / 1e9


async def measure(model: str, threads: int, rounds: int, images: int) -> dict[str, Any]:
    """Return images per second both ways, by concurrency, and the share of the peak."""
    import torch

    plain, ours = PlainServer(model, threads), EngineServer(model, threads)
    await ours.load()
    plain.serve([JobSpec(KIND, 0.0, 1)])
    rates: dict[str, dict[int, list[float]]] = {
        way: {count: [] for count in CONCURRENCY} for way in ("plain", "engine")
    }
    shares = []
    work = gflop_per_row(plain)
    peak = matmul_peak(torch, plain.loaded.device, plain.loaded.dtype, threads)
    for _ in range(rounds):
        for count in CONCURRENCY:
            total = max(images, count)
            specs = [JobSpec(KIND, 0.0, seed) for seed in range(total)]
            started = time.perf_counter()
            await asyncio.to_thread(plain.serve, specs)
            rates["plain"][count].append(total / (time.perf_counter() - started))
            limit = asyncio.Semaphore(count)
            before = ours.engine.stats()

            async def one(spec: JobSpec, limit: asyncio.Semaphore = limit) -> None:
                async with limit:
                    await ours.paint(spec)

            started = time.perf_counter()
            await asyncio.gather(*(one(spec) for spec in specs))
            rates["engine"][count].append(total / (time.perf_counter() - started))
            after = ours.engine.stats()
            if count == max(CONCURRENCY):
                rows = after["denoise_rows"] - before["denoise_rows"]
                seconds = after["denoise_seconds"] - before["denoise_seconds"]
                shares.append(rows * work / seconds / peak)
    await ours.engine.close()
    medians = {
        way: {count: statistics.median(values) for count, values in found.items()}
        for way, found in rates.items()
    }
    return {
        **{
            # Of each round by itself: the machine's speed drifts from round to round.
            f"ratio_{count}": round(
                statistics.median(
                    engine / plain
                    for engine, plain in zip(
                        rates["engine"][count], rates["plain"][count], strict=True
                    )
                ),
                3,
            )
            for count in CONCURRENCY
        },
        "peak_share": round(statistics.median(shares), 3),
        "images_per_s": medians,
        "gflop_per_row": round(work, 2),
        "matmul_peak_gflop_per_s": round(peak, 1),
        "model": model,
        "threads": threads,
        "precision": f"{str(plain.loaded.dtype).removeprefix('torch.')} on {plain.loaded.device}",
    }


def show(found: dict[str, Any]) -> None:
    """Print the table."""
    console = Console()
    table = Table(title=f"throughput ({found['precision']}, {found['threads']} threads)")
    for column in ("requests at a time", "plain images/s", "engine images/s", "engine / plain"):
        table.add_column(column, justify="right")
    for count in CONCURRENCY:
        plain, ours = (found["images_per_s"][way][count] for way in ("plain", "engine"))
        table.add_row(str(count), f"{plain:.2f}", f"{ours:.2f}", f"{ours / plain:.2f}x")
    console.print(table)
    console.print(
        f"denoiser at 8: {found['peak_share']:.0%} of the matrix-multiplication peak of "
        f"{found['matmul_peak_gflop_per_s']} GFLOP/s ({found['gflop_per_row']} GFLOP a row)"
    )


def main() -> None:
    """Measure, print and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="starter")
    parser.add_argument("--threads", type=int, default=thread_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=8, help="pictures per measurement")
    parser.add_argument("--json", action="store_true", help="print the JSON instead of a table")
    arguments = parser.parse_args()
    found = asyncio.run(
        measure(arguments.model, arguments.threads, arguments.rounds, arguments.images)
    )
    hand_over(found, OUT, show, as_json=arguments.json)


if __name__ == "__main__":
    main()
