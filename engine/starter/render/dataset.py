"""Render the training and test pictures: `python -m engine.starter.render --out FOLDER`.

Writes `train.npy` and `test.npy` (N, side, side, 3) uint8 and, beside each, a `.jsonl` with one
{"domain", "attributes"} a line. Training never holds a pair of vocabulary.HELD_OUT_PAIRS; the
test pictures are other draws and hold all pairs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from engine.starter import vocabulary as words

Item = dict[str, Any]


def draw_items(count: int, share_products: float, seed: int, *, held_out: bool) -> list[Item]:
    """Choose what to render; with `held_out` False, pairs kept for the judge are left out."""
    rng = random.Random(seed)
    items: list[Item] = []
    while len(items) < count:
        if rng.random() < share_products:
            a = {k: rng.choice(v) for k, v in words.PRODUCT_ATTRIBUTES.items()}
            if rng.random() < 0.35:
                a["background"] = "white"
            if rng.random() < 0.3:
                a["finish"] = "matte"
            if not held_out and (a["color"], a["kind"]) in words.HELD_OUT_PAIRS:
                continue
            items.append({"domain": "product", "attributes": a})
        else:
            a = {k: rng.choice(v) for k, v in words.AVATAR_ATTRIBUTES.items()}
            if rng.random() < 0.3:
                a["background"] = "white"
            if rng.random() < 0.4:
                a["headwear"] = "none"
            items.append({"domain": "avatar", "attributes": a})
    return items


def _render_group(job: tuple[tuple[str, bool] | None, list[tuple[int, Item]], int]) -> Any:
    """Render all items of one shape (or avatars, for None)."""
    shape, group, side = job
    pictures = np.empty((len(group), side, side, 3), np.uint8)
    if shape is None:
        from engine.starter.render.avatars import draw_avatar

        for i, (_, item) in enumerate(group):
            pictures[i] = np.asarray(draw_avatar(item["attributes"], side))
    else:
        import torch

        from engine.starter.render.scene import build_geometry, shade

        torch.set_num_threads(1)
        geometry = build_geometry(*shape, side)
        for i, (_, item) in enumerate(group):
            a = item["attributes"]
            picture = shade(geometry, a["color"], a["finish"], a["background"])
            pictures[i] = (picture.permute(1, 2, 0) * 255).round().byte().numpy()
    return [i for i, _ in group], pictures


def _jobs(items: list[Item], side: int) -> Iterator[Any]:
    groups: dict[Any, list[tuple[int, Item]]] = {}
    for i, item in enumerate(items):
        a = item["attributes"]
        shape = (a["kind"], a["shape"] == "other") if item["domain"] == "product" else None
        groups.setdefault(shape, []).append((i, item))
    for shape, group in groups.items():
        for start in range(0, len(group), 400):
            yield shape, group[start : start + 400], side


def render(items: list[Item], path: Path, side: int, processes: int) -> None:
    """Render `items` to `path` with a progress bar, N processes of one thread each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.npy")
    shape = (len(items), side, side, 3)
    array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool, tqdm(total=len(items), desc=path.stem) as bar:
        for indices, pictures in pool.imap_unordered(_render_group, _jobs(items, side)):
            array[indices] = pictures
            bar.update(len(indices))
    array.flush()
    path.with_suffix(".jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    temporary.rename(path)


def main() -> None:
    """Render what is not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=12000, help="training pictures")
    parser.add_argument("--test", type=int, default=1500, help="test pictures")
    parser.add_argument("--side", type=int, default=256, help="pixels")
    parser.add_argument("--products", type=float, default=0.6, help="share of products")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    for name, count, seed, held_out in (
        ("train", options.train, 1, False),
        ("test", options.test, 2, True),
    ):
        path = options.out / f"{name}.npy"
        if not path.exists():
            items = draw_items(count, options.products, seed, held_out=held_out)
            render(items, path, options.side, options.processes)
