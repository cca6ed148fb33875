"""How fast records leave for a folder and for moto's S3 server, and in how much memory.

Each run is a process of its own; its resident memory is read after 1,000 records, after all, and
after the pages are written. Writes benchmarks/out/kb_export.json. Run it with
`python -m benchmarks.kb_export`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from agent_tools.caption_checks import ColorCheck
from agent_tools.gallery import Gallery
from benchmarks.kb_pictures import BUCKET, fill, moto_server, owe
from kb_export.exporter import Exporter
from kb_export.outbox import Outbox
from kb_export.review import Review
from kb_export.targets import open_target

OUT = Path("benchmarks/out/kb_export.json")
FIRST = 1_000
FLAT_MIB = 32.0  # more growth than this from 1,000 records to all is not flat


def resident_mib() -> float:
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def deliver(data: Path, spec: str, settings: dict[str, str]) -> dict[str, Any]:
    """Deliver everything owed in this process and return its figures."""
    memory: dict[int, float] = {}

    def report(done: int, total: int, what: str) -> None:
        if done in (min(FIRST, total), total):
            memory[done] = resident_mib()

    gallery = Gallery(data)
    exporter = Exporter(
        Outbox(gallery),
        open_target(spec, settings),
        gallery.read_bytes,
        review=Review([ColorCheck()]),
    )
    started = time.perf_counter()
    outcome = exporter.run(report=report)
    seconds = time.perf_counter() - started
    if outcome.problem is not None or outcome.failed or outcome.pending:
        raise SystemExit(f"not everything was exported: {outcome.problem} {outcome.failed[:2]}")
    count = len(outcome.put)
    return {
        "records": count,
        "seconds": round(seconds, 1),
        "records_per_s": round(count / seconds, 1),
        "rss_mib_after_1000": round(memory[min(FIRST, count)], 1),
        "rss_mib_after_all": round(memory[count], 1),
        "rss_mib_after_pages": round(resident_mib(), 1),
    }


def measure(data: Path, spec: str, settings: dict[str, str]) -> dict[str, Any]:
    """Deliver in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.kb_export", "--deliver", str(data), spec]
    done = subprocess.run(
        [*command, json.dumps(settings)], stdout=subprocess.PIPE, text=True, check=True
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def run(count: int, targets: list[str]) -> dict[str, Any]:
    """Return the figures of each target."""
    with tempfile.TemporaryDirectory(prefix="kb-export-") as folder, moto_server() as address:
        data = Path(folder) / "data"
        records = fill(data, count)
        found = {}
        for name, spec, settings in (
            ("folder", f"folder:{folder}/kb", {}),
            ("moto", f"s3://{BUCKET}/kb", {"endpoint": address}),
        ):
            if name not in targets:
                continue
            owe(data, spec, records)
            found[name] = measure(data, spec, settings)
            print(name, json.dumps(found[name]), flush=True)
        return found


def main() -> None:
    """Run, write the figures and fail if memory grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("targets", nargs="*", default=["folder", "moto"])
    parser.add_argument("--deliver", nargs=3, metavar=("DATA", "TARGET", "SETTINGS"))
    asked = parser.parse_args()
    if asked.deliver:
        data, spec, settings = asked.deliver
        print(json.dumps(deliver(Path(data), spec, json.loads(settings))))
        return
    found = run(asked.records, asked.targets)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(OUT.read_text()) if OUT.is_file() else {}
    OUT.write_text(json.dumps(known | found, indent=1) + "\n")
    grown = {
        name: row["rss_mib_after_all"] - row["rss_mib_after_1000"] for name, row in found.items()
    }
    if max(grown.values()) > FLAT_MIB:
        sys.exit(f"memory grows: {grown}")


if __name__ == "__main__":
    main()
