"""Exact recolor against rendered truth, beside the usual HSV shortcut.

A second render with another albedo says what the recolored picture should look like.
Run it with `make bench-recolor`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agent_tools.color import parse_color
from agent_tools.color_space import delta_e_2000, lab_from_linear, linear_from_srgb
from agent_tools.recolor import color_difference, recolor
from agent_tools.recolor_checks import outside_max_change
from benchmarks.rendered_truth import Rendered, mug, recolored_by_hsv, sneaker, tee

SCENES: tuple[tuple[Callable[..., Rendered], str], ...] = (
    (mug, "#B3201C"),
    (tee, "#2E5FA8"),
    (sneaker, "#B3201C"),
)
TARGETS = ("#008080", "#DC143C", "#1F2A5A", "#D9A521", "#F2EEE6", "#36383D")
SIDE = 1024


def mask_of(source: Rendered) -> Image.Image:
    """Return what is recolored: the product, of the sneaker only the upper."""
    return source.body_mask if source.two_colors else source.mask


def exactly(source: Rendered, target: str) -> Image.Image:
    """Recolor as the product does."""
    return recolor(source.image, mask_of(source), parse_color(target)).image


def by_hsv(source: Rendered, target: str) -> Image.Image:
    """Recolor as most scripts do."""
    return recolored_by_hsv(source.image, mask_of(source), target)


WAYS = {"exact": exactly, "hsv": by_hsv}


def measure(made: Image.Image, source: Rendered, truth: Rendered, target: str) -> dict[str, float]:
    """Return the differences of one recolored picture to what it should be."""
    mask = mask_of(source)
    inside = np.asarray(mask) > 127
    lab, wanted = (
        lab_from_linear(linear_from_srgb(np.asarray(image.convert("RGB"))[inside]))
        for image in (made, truth.image)
    )
    return {
        "mean_delta_e": float(delta_e_2000(lab, wanted).mean()),
        "midtone_delta_e": color_difference(made, mask, parse_color(target)),
        "outside_max_change": outside_max_change(source.image, made, mask),
    }


def run(repeats: int, side: int = SIDE) -> dict[str, Any]:
    """Return the figures of both ways over all scenes and targets."""
    rows: dict[str, list[dict[str, float]]] = {"exact": [], "hsv": []}
    times: dict[str, list[float]] = {"exact": [], "hsv": []}
    for render, own in SCENES:
        source = render(own, side)
        for target in TARGETS:
            truth = render(target, side)
            for name, way in WAYS.items():
                for _ in range(repeats):
                    started = time.perf_counter()
                    made = way(source, target)
                    times[name].append(1000 * (time.perf_counter() - started))
                rows[name].append(measure(made, source, truth, target))
    return {
        name: {
            "mean_delta_e": round(statistics.mean(r["mean_delta_e"] for r in found), 2),
            "midtone_delta_e": round(max(r["midtone_delta_e"] for r in found), 2),
            "outside_max_change": max(r["outside_max_change"] for r in found),
            "ms_1024": round(statistics.median(times[name]), 1),
        }
        for name, found in rows.items()
    }


def main() -> None:
    """Print both ways side by side and write benchmarks/out/recolor.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    options = parser.parse_args()
    found = run(options.repeats)
    exact, hsv = found["exact"], found["hsv"]
    print(f"{'':28}{'exact':>10}{'HSV':>10}{'HSV/exact':>11}")
    for key, label in (
        ("mean_delta_e", "mean CIEDE2000 to the truth"),
        ("midtone_delta_e", "worst mid-tone CIEDE2000"),
        ("outside_max_change", "largest change outside"),
        ("ms_1024", f"ms at {SIDE}x{SIDE}"),
    ):
        ratio = f"{hsv[key] / exact[key]:10.2f}x" if exact[key] else ""
        print(f"{label:28}{exact[key]:>10}{hsv[key]:>10}{ratio:>11}")
    options.out.mkdir(parents=True, exist_ok=True)
    result = {**exact, **{f"hsv_{key}": value for key, value in hsv.items()}}
    (options.out / "recolor.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
