"""The model inside: what it can draw, how its pictures are rendered, trained and judged."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = Path(__file__).resolve().parent / "weights"
JUDGE = Path(__file__).resolve().parent / "judge"
