"""How many threads, which device, which number format. Importing it loads no torch."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def cpu_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Return how many CPUs the control groups grant this process, infinity if unlimited.

    Reads cgroup v2 (cpu.max, each level up to the root) and v1 (cpu.cfs_quota_us).
    https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    quota = math.inf
    for line in _read(own).splitlines():
        number, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        if number == "0":
            base, v2 = root, True
        elif "cpu" in controllers.split(","):
            base, v2 = root / "cpu", False
        else:
            continue
        level = base / path.lstrip("/")
        while True:
            quota = min(quota, _quota_at(level, v2))
            if level == base or base not in level.parents:
                break
            level = level.parent
    return quota


def _quota_at(level: Path, v2: bool) -> float:
    if v2:
        limit, _, period = _read(level / "cpu.max").strip().partition(" ")
    else:
        limit = _read(level / "cpu.cfs_quota_us").strip()
        period = _read(level / "cpu.cfs_period_us").strip()
    if limit.isdecimal() and period.isdecimal() and int(limit) > 0 and int(period) > 0:
        return int(limit) / int(period)
    return math.inf


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def thread_count(asked: int | None = None) -> int:
    """Return the number of CPU threads to compute with.

    Without `asked`: what affinity, control groups and OMP_NUM_THREADS allow. More threads than
    CPUs make every parallel section wait for a thread that is not running.
    """
    if asked is not None:
        return asked
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits: list[float] = [allowed or 1, cpu_quota()]
    wish = os.environ.get("OMP_NUM_THREADS", "")
    if wish.isdecimal() and int(wish) > 0:
        limits.append(int(wish))
    return max(1, math.floor(min(limits)))


def pick_device(asked: str | None) -> torch.device:
    """Return the device asked for, or CUDA, MPS or the CPU, the first there is.

    Raises:
        ModelNotLoaded: if the device asked for does not exist here.
    """
    import torch

    from engine.errors import ModelNotLoaded

    if asked is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ModelNotLoaded(
            f"Device '{asked}' cannot be used: {reason}.",
            hint="Set device to 'cpu', or leave it unset.",
        ) from None
    return device


def pick_dtype(device: torch.device, asked: str | None = None) -> torch.dtype:
    """Return the number format asked for, or the fastest that is safe for weights on `device`.

    bfloat16 where the hardware multiplies it (1.7 to 2.0 times faster on such CPUs), float16 on
    older GPUs, float32 otherwise: without the instructions bfloat16 is slower than float32.
    """
    import torch

    if asked is not None:
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[
            asked
        ]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"):
            return torch.bfloat16
        return torch.float32
    return torch.float16 if device.type == "mps" else torch.float32
