"""The two doors to set-up, make and dev.py, do the same with the same torch."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
TARGETS = [
    "install",
    "demo",
    "test",
    "test-fast",
    "test-browser",
    "test-s3",
    "test-long",
    "test-openai",
    "conformance",
    "check",
    "bench",
    "bench-engine",
    "bench-kb",
    "bench-recolor",
    "starter",
    "clean",
    "help",
]

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def torch_of(name: str, pattern: str) -> Requirement:
    """Return the torch requirement that a file writes down exactly once."""
    (found,) = re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    return Requirement(found)


def dry_run(target: str, *variables: str) -> str:
    """Return the commands that make would run for a target in a fresh clone."""
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "VENV=no-such-venv", target, *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_and_dev_install_the_same_torch_and_the_metadata_allow_it() -> None:
    by_make = torch_of("Makefile", r"^TORCH \?= (\S+)$")
    by_dev = torch_of("dev.py", r'^TORCH = "([^"]+)"')
    assert str(by_make) == str(by_dev)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [Requirement(line) for line in project["dependencies"]]
    (allowed,) = [wanted for wanted in requirements if wanted.name == "torch"]
    (pinned,) = by_make.specifier
    assert pinned.operator == "=="
    assert allowed.specifier.contains(pinned.version)
    assert all(wanted.operator != "==" for wanted in allowed.specifier)


@needs_make
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_parses(target: str) -> None:
    assert dry_run(target).strip()


@needs_make
def test_a_target_that_is_not_there_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no-such-target"):
        dry_run("no-such-target")


@needs_make
@pytest.mark.parametrize("target", ["demo", "test", "check"])
def test_a_fresh_clone_is_installed_first_with_the_torch_that_was_asked_for(target: str) -> None:
    first = dry_run(target, "TORCH=torch==2.99.0").splitlines()[0]
    tests = "" if target == "demo" else "--tests "
    assert first == f"python3 dev.py install {tests}--torch 'torch==2.99.0'"


@needs_make
def test_help_names_every_target_but_itself() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.findall(r"^  make (\S+)", done.stdout, re.MULTILINE)[1:] == TARGETS[:-1]


def test_dev_offers_set_up_demo_and_tests_without_make() -> None:
    done = subprocess.run(
        [sys.executable, "dev.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "{install,demo,test}" in done.stdout
