"""Run as a process of its own: keep pictures, owe each to a knowledge base, until killed."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from kb_pictures import new_picture

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings


def main(data: str, start: str) -> None:
    """Print the two ids of every call that was acknowledged."""
    gallery = Gallery(Path(data))
    knowledge = Knowledge(gallery, Settings(data=Path(data)))
    for number in itertools.count(int(start), 2):
        pair = [new_picture(f"teapot {n}") for n in (number, number + 1)]
        records = gallery.add(pair, knowledge.enqueue)
        print(*(record.image_id for record in records), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
