"""Which process a row of the database belongs to, and whether that process still lives.

Several processes may share a data directory (a server, the command line). Each that owes others an
end, of a job say, marks its rows with a name and holds an operating system's lock on a file of
that name. The lock goes with the process however it ends, so a row whose lock can be had is
nobody's: no clock, no heartbeat, no reused process id.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path


class ProcessMark:
    """Hold this process's lock; tell whether another's is held. Made on first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name: str | None = None
        self._handle: int | None = None

    @property
    def name(self) -> str:
        """Return this process's name, whose lock is held from now until `close`."""
        if self._name is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = secrets.token_hex(8)
            handle = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            if not _try_lock(handle):  # cannot be: nobody else knows the name
                raise OSError(f"the lock of {name} is taken")
            self._name, self._handle = name, handle
        return self._name

    def lives(self, name: str) -> bool:
        """Return whether the process of that name still runs; forgets it if not."""
        if name == self._name:
            return True
        path = self._folder / f"{name}.lock"
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            if not _try_lock(handle):
                return True
        finally:
            os.close(handle)
        path.unlink(missing_ok=True)
        return False

    def close(self) -> None:
        """Let go: to others this process's rows are nobody's from now on. Idempotent."""
        if self._handle is None:
            return
        os.close(self._handle)
        (self._folder / f"{self._name}.lock").unlink(missing_ok=True)
        self._name = self._handle = None


def _try_lock(handle: int) -> bool:
    """Take the lock of an open file without waiting; return whether it was free."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
