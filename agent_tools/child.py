"""Processes of our own for work on bytes from strangers: a bare environment and hard limits."""

from __future__ import annotations

import os
import sys

# No key or token of the server goes along.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMPDIR",
                "PYTHONHASHSEED", "PYTHONHOME")  # fmt: skip


def child_command(module: str) -> list[str]:
    """Return the command that runs `main()` of one of our modules."""
    return [sys.executable, "-P", "-c", f"from {module} import main; main()"]


def child_environment() -> dict[str, str]:
    """Return the environment of such a process: ours without anything secret, one thread."""
    return {
        **{name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def limit_resources(memory_bytes: int) -> None:
    """Bound the address space of this process, and let it dump no core."""
    try:
        import resource
    except ImportError:  # Windows: the clocks of those who started it still hold
        return
    for kind, wanted in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]  # the server may run under a stricter limit of its own
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (limit, limit))


def limit_cpu(seconds: float) -> None:
    """Let this process compute for `seconds` more; after that it is killed."""
    try:
        import resource
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    wanted = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
