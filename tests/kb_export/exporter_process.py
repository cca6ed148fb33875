"""Run as a process of its own: export what is owed, saying so row by row, until killed."""

from __future__ import annotations

import sys
from pathlib import Path

from agent_tools.gallery import Gallery
from kb_export.exporter import Exporter
from kb_export.outbox import Outbox
from kb_export.targets import open_target


def main(data: str, spec: str, endpoint: str) -> None:
    """Print one line when ready and one for each acknowledged row."""
    gallery = Gallery(Path(data))
    target = open_target(spec, {"endpoint": endpoint} if endpoint else None)
    exporter = Exporter(Outbox(gallery), target, gallery.read_bytes)
    report = exporter.run(report=lambda done, total, what: print(done, total, what, flush=True))
    print("finished", report.pending, report.problem, report.failed, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
