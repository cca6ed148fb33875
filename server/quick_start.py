"""Starting without Python's collector: what is imported lives as long as the process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """Import and build without looking for garbage, which takes a tenth of a server's start.

    Afterwards the collector runs again and leaves alone what is there now.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
