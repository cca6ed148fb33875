"""Who holds a lease, whether they still live, and how long to wait before another try."""

from __future__ import annotations

import os
import random
import socket
import uuid

BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 60.0


def full_jitter(attempts: int) -> float:
    """Return seconds to wait before the next try: uniform below an exponential bound.

    "Full jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return random.uniform(0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0**attempts))


def new_owner() -> str:
    """Return an owner's id: machine, process, and a random part for this exporter."""
    return f"{socket.gethostname()}|{os.getpid()}|{uuid.uuid4().hex[:12]}"


def is_gone(owner: str) -> bool:
    """Tell whether an owner is a process of this machine that has ended.

    A wrong "no" only means that the lease runs its time; a wrong "yes" (another container with
    this host's name) that a record is put twice, which changes nothing at the target.
    """
    host, _, rest = owner.partition("|")
    process = rest.partition("|")[0]
    # On Windows os.kill(pid, 0) is no question but a signal.
    if os.name != "posix" or host != socket.gethostname() or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
