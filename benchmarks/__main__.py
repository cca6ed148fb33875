"""Run every benchmark, or the named ones: `python -m benchmarks [recolor starter ...]`."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = {
    "recolor": "benchmarks.recolor",
    "starter": "engine.starter.evaluate",
    "mixed_load": "benchmarks.mixed_load",
    "personas": "benchmarks.personas",
    "throughput": "benchmarks.throughput",
    "kb_export": "benchmarks.kb_export",
    "kb_eval": "benchmarks.kb_eval",
    "kb_kill": "benchmarks.kb_kill",
    "protocol": "benchmarks.protocol",
}


def main() -> None:
    """Run them one after another, each in a process of its own, and fail if one fails."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"Unknown: {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}.")
    failed = []
    for name in names:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", BENCHMARKS[name]], check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
