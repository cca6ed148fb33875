"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".writing-"  # a file of that beginning was left by a crash


def write_atomically(path: Path, data: bytes, *, sync: bool = True, mode: int = 0o600) -> None:
    """Write to a temporary file beside `path`, bring it to the disk, rename it into place.

    Args:
        path: in a folder that is there.
        data: all of the file.
        sync: whether to return only when a power cut could not undo it.
        mode: the file's permissions.

    Raises:
        OSError: if it cannot be written; what was there stays.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        if mode != 0o600:  # what mkstemp gives
            os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if sync:
        _sync_directory(path.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file that others may read, unless the same bytes are there already.

    Raises:
        OSError: if it cannot be written; what was there stays.
    """
    with suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data, mode=0o644)


def _sync_directory(path: Path) -> None:
    """Bring a rename to the disk; where directories cannot be opened it is there already."""
    if hasattr(os, "O_DIRECTORY"):
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
