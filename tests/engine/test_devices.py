"""Threads follow the CPU quota; number formats follow the hardware."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engine.devices import cpu_quota, pick_dtype, thread_count


def test_a_quota_of_any_level_counts(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("0::/outer/inner\n")
    root = tmp_path / "fs"
    (root / "outer" / "inner").mkdir(parents=True)
    (root / "outer" / "inner" / "cpu.max").write_text("max 100000\n")
    assert cpu_quota(root, own) == math.inf
    (root / "outer" / "cpu.max").write_text("150000 100000\n")
    assert cpu_quota(root, own) == 1.5
    (root / "cpu.max").write_text("50000 100000\n")
    assert cpu_quota(root, own) == 0.5


def test_the_old_control_groups_are_read_too(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("3:cpu,cpuacct:/box\n0::/\n")
    box = tmp_path / "fs" / "cpu" / "box"
    box.mkdir(parents=True)
    (box / "cpu.cfs_period_us").write_text("100000\n")
    (box / "cpu.cfs_quota_us").write_text("-1\n")
    assert cpu_quota(tmp_path / "fs", own) == math.inf
    (box / "cpu.cfs_quota_us").write_text("400000\n")
    assert cpu_quota(tmp_path / "fs", own) == 4


@pytest.mark.parametrize("text", ["", "0:", "garbage", "0::/../../etc\n"])
def test_an_unreadable_quota_is_no_quota(tmp_path: Path, text: str) -> None:
    own = tmp_path / "cgroup"
    own.write_text(text)
    assert cpu_quota(tmp_path / "none", own) == math.inf


def test_threads_never_exceed_what_the_environment_allows(monkeypatch) -> None:
    assert thread_count(7) == 7
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert thread_count() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "nonsense")
    assert thread_count() >= 1


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
    ],
)
def test_bfloat16_only_where_the_cpu_multiplies_it(monkeypatch, capabilities, expected) -> None:
    import torch

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert pick_dtype(torch.device("cpu")) == getattr(torch, expected)
