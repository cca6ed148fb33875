"""Make the starter model from nothing: `python -m engine.starter.train --work FOLDER`.

Runs every stage in order, each as its own process. A stage that was interrupted goes on from its
last checkpoint, a finished one is passed over: start the same command again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.starter import JUDGE, WEIGHTS

# With two processes of one thread each, no thread ever waits for another in a busy loop: on cores
# shared with other work, OpenMP's own threads make the same training ten times slower.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Plan:
    """What to make, where, and for how long.

    Attributes:
        work: folder for renders, latents and checkpoints (about 10 GB).
        weights: folder for the finished model.
        judge: folder for the classifier that evaluate.py asks.
        minutes: computing time of all stages together, without rendering.
        pictures: pictures to render for training.
        side: their width and height, pixels, at least 128.
        start_from: work folder of an earlier model, whose autoencoder is kept and whose other
            weights are the first guess.
    """

    work: Path
    weights: Path = WEIGHTS
    judge: Path = JUDGE
    minutes: float = 240
    pictures: int = 24000
    side: int = 256
    start_from: Path | None = None


def stages(plan: Plan) -> Iterator[tuple[str, list[str]]]:
    """Yield each stage's module and arguments, in order."""
    data, work = str(plan.work / "data"), str(plan.work)

    def share(of_hundred: float) -> str:
        return f"{plan.minutes * of_hundred / 100:.3f}"

    counts = ["--train", str(plan.pictures), "--test", str(max(8, plan.pictures // 10))]
    places = ["--data", data, "--work", work]
    earlier, decoder_only, first_guess = [], [], []
    if plan.start_from is not None:
        earlier = ["--start-from", str(plan.start_from)]
        decoder_only = ["--decoder-only", *earlier]
        first_guess = ["--start-from", str(plan.start_from / "denoiser.pt")]
    yield "train_text", ["--work", work, "--minutes", share(2), *earlier]
    yield "render", ["--out", data, "--side", str(plan.side), *counts]
    yield "train_autoencoder", [*places, "--minutes", share(8), *decoder_only]
    yield "train_denoiser", [*places, "--minutes", share(57), *first_guess]
    yield "train_denoiser", [*places, "--minutes", share(17), "--cooldown"]
    large = ["--out", str(plan.work / "data-large"), "--side", str(2 * plan.side)]
    few = ["--train", str(max(8, plan.pictures // 16)), "--test", str(max(8, plan.pictures // 200))]
    yield "render", [*large, *few]
    yield "train_upscaler", ["--data", large[1], "--work", work, "--minutes", share(5)]
    yield "judge", [*places, "--out", str(plan.judge), "--minutes", share(11)]
    yield "export", ["--work", work, "--out", str(plan.weights)]


def main() -> None:
    """Run the stages and stop at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--judge", type=Path, default=JUDGE)
    parser.add_argument("--minutes", type=float, default=Plan.minutes)
    parser.add_argument("--pictures", type=int, default=Plan.pictures)
    parser.add_argument("--side", type=int, default=Plan.side)
    parser.add_argument("--start-from", type=Path)
    plan = Plan(**vars(parser.parse_args()))
    for module, arguments in stages(plan):
        print(f"== engine.starter.{module}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"engine.starter.{module}", *arguments]
        done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, check=False)
        if done.returncode != 0:
            sys.exit(f"{module} failed; what is done is kept: run the same command to go on.")
    print("Done. Measure it with: python -m engine.starter.evaluate")


if __name__ == "__main__":
    main()
