"""Render the training and test pictures: `python -m engine.starter.render --out FOLDER`.

Writes for `train` and `test`:

- `NAME.npy` (N, side, side, 3) uint8 and `NAME.jsonl`, one {"domain", "attributes"} a line.
  Pictures 2k and 2k+1 are an exact pair: they differ in one thing, most often a color, and share
  every pixel that this thing does not touch.
- `NAME-sketches.npy` (N, side, side) uint8: the line drawing of the same scene, ink on white.
- `NAME-masks.npy` (N, side, side / 8) uint8: where the object is, packed bits (numpy.packbits).

Training never holds a pair of vocabulary.HELD_OUT_PAIRS; the test pictures are other draws and
hold all pairs. A finished shape is kept when the command is interrupted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from engine.starter import vocabulary as words
from engine.starter.vocabulary import FULL, KINDS, Vocabulary

Item = dict[str, Any]
Pixels = npt.NDArray[np.uint8]
_SUFFIXES: Final = ("", "-sketches", "-masks")
Shape = tuple[str, bool, str]  # kind, whether the second shape, view

# What the second picture of a pair changes, and how often.
_PRODUCT_EDITS: Final = {"color": 6, "finish": 1.5, "pattern": 2, "background": 1}
_PERSON_EDITS: Final = {
    "expression": 5,
    "clothing_color": 2,
    "clothing": 1,
    "glasses": 1,
    "beard": 1,
    "headwear": 1,
    "hair_color": 1,
    "hair_style": 1,
    "background": 1,
}
_MASCOT_EDITS: Final = {k: v for k, v in _PERSON_EDITS.items() if k not in words.ONLY_PERSONS} | {
    "fur": 2
}


def draw_product(rng: random.Random, known: Vocabulary = FULL) -> dict[str, str]:
    """Choose a product; defaults come more often, so that short captions are trained well."""
    name = rng.choice(tuple(known.kinds))
    kind = known.kinds[name]
    a = {
        "kind": name,
        "color": rng.choice(known.colors),
        "finish": kind.finishes[0] if rng.random() < 0.3 else rng.choice(kind.finishes),
        "shape": rng.choice(("default", "default", "other")),
        "view": known.views[0] if rng.random() < 0.5 else rng.choice(known.views),
        "pattern": "plain" if rng.random() < 0.55 else rng.choice(kind.patterns),
        "background": "white" if rng.random() < 0.4 else rng.choice(known.backgrounds),
    }
    if a["pattern"] != "plain":
        a["second_color"] = second_color(rng, a["color"])
    return a


def second_color(rng: random.Random, color: str) -> str:
    """Choose a second color that stands off the first; the default one more often."""
    values = [value for value in FULL.second_colors if value != color]
    return values[0] if rng.random() < 0.25 else rng.choice(values)


def draw_avatar_attributes(rng: random.Random, known: Vocabulary = FULL) -> dict[str, str]:
    """Choose an avatar; three in ten are mascots, if they are known."""
    figures = known.avatar.get("figure", ("person",))
    figure = "person" if rng.random() < 0.7 else rng.choice(figures[1:] or figures)
    barred = words.ONLY_MASCOTS if figure == "person" else words.ONLY_PERSONS
    a = {k: rng.choice(v) for k, v in known.avatar.items() if k not in barred}
    a["figure"] = figure
    if rng.random() < 0.3:
        a["background"] = "white"
    if rng.random() < 0.4:
        a["headwear"] = "none"
    if "fur" in a and rng.random() < 0.4:
        a["fur"] = "natural"
    return a


def edited(item: Item, rng: random.Random) -> Item:
    """Return an item that differs in one thing that can be seen."""
    a = dict(item["attributes"])
    if item["domain"] == "product":
        table, values = dict(_PRODUCT_EDITS), dict(FULL.product)
        kind = KINDS[a["kind"]]
        values |= {"finish": kind.finishes, "pattern": kind.patterns}
    else:
        table = dict(_PERSON_EDITS if a["figure"] == "person" else _MASCOT_EDITS)
        values = dict(FULL.avatar)
        if a.get("hair_style") == "bald" and a["beard"] == "no":
            table.pop("hair_color")
    table = {name: weight for name, weight in table.items() if len(values[name]) > 1}
    name = rng.choices(tuple(table), tuple(table.values()))[0]
    a[name] = rng.choice([value for value in values[name] if value != a[name]])
    if item["domain"] == "product":
        if a["pattern"] == "plain":
            a.pop("second_color", None)
        elif a.get("second_color") in (None, a["color"]):
            a["second_color"] = second_color(rng, a["color"])
    return {"domain": item["domain"], "attributes": a}


def draw_items(count: int, share_products: float, seed: int, *, held_out: bool) -> list[Item]:
    """Choose what to render, in pairs; with `held_out` False, the judge's pairs are left out."""

    def allowed(item: Item) -> bool:
        a = item["attributes"]
        return held_out or (a.get("color"), a.get("kind")) not in words.HELD_OUT_PAIRS

    rng = random.Random(seed)
    items: list[Item] = []
    while len(items) < count:
        if rng.random() < share_products:
            first = {"domain": "product", "attributes": draw_product(rng)}
        else:
            first = {"domain": "avatar", "attributes": draw_avatar_attributes(rng)}
        second = edited(first, rng)
        if allowed(first) and allowed(second):
            items += [first, second]
    return items[:count]


def shape_of(item: Item) -> Shape | None:
    """Return the geometry that a product needs; None for an avatar."""
    a = item["attributes"]
    return (a["kind"], a["shape"] == "other", a["view"]) if item["domain"] == "product" else None


def _render_group(job: tuple[Shape | None, list[tuple[int, Item]], int]) -> Any:
    """Render all items of one shape (or avatars, for None): pictures, sketches, packed masks."""
    shape, group, side = job
    pictures = np.empty((len(group), side, side, 3), np.uint8)
    sketches = np.empty((len(group), side, side), np.uint8)
    masks = np.empty((len(group), side, side), bool)
    if shape is None:
        from engine.starter.render.avatars import draw_avatar
        from engine.starter.render.sketches import drawn_lines

        for i, (_, item) in enumerate(group):
            pictures[i] = np.asarray(draw_avatar(item["attributes"], side))
            sketches[i] = drawn_lines(pictures[i])
            masks[i] = (pictures[i] != pictures[i][2, 2]).any(axis=-1)
    else:
        import torch

        from engine.starter.render.geometry import build_geometry
        from engine.starter.render.shading import look_of, shade
        from engine.starter.render.sketches import geometry_lines

        torch.set_num_threads(1)
        geometry = build_geometry(*shape, side)
        sketches[:] = geometry_lines(geometry)
        masks[:] = geometry.mask.view(side, 2, side, 2).float().mean(dim=(1, 3)).numpy() > 0.3
        for i, (_, item) in enumerate(group):
            picture = shade(geometry, look_of(item["attributes"]))
            pictures[i] = (picture.permute(1, 2, 0) * 255).round().byte().numpy()
    return np.array([i for i, _ in group]), pictures, sketches, np.packbits(masks, axis=-1)


def _jobs(items: list[Item], side: int, done: set[int]) -> Iterator[Any]:
    groups: dict[Any, list[tuple[int, Item]]] = {}
    for i, item in enumerate(items):
        groups.setdefault(shape_of(item), []).append((i, item))
    for shape, group in groups.items():
        for start in range(0, len(group), 400):
            part = group[start : start + 400]
            if part[0][0] not in done:
                yield shape, part, side


def _part(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.stem}{suffix}.part.npy")


class _Files:
    """The memory-mapped files of one set, those of an interrupted run if they are there."""

    def __init__(self, path: Path, items: list[Item], side: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.items = path, items
        count = len(items)
        shapes = ((count, side, side, 3), (count, side, side), (count, side, side // 8))
        self._arrays = [
            np.lib.format.open_memmap(part, "r+" if part.exists() else "w+", np.uint8, shape)
            for part, shape in zip((_part(path, s) for s in _SUFFIXES), shapes, strict=True)
        ]

    def write(self, rows: Pixels, made: list[Pixels]) -> None:
        for array, values in zip(self._arrays, made, strict=True):
            array[rows] = values

    def finish(self) -> None:
        for array in self._arrays:
            array.flush()
        lines = "".join(json.dumps(item) + "\n" for item in self.items)
        self.path.with_suffix(".jsonl").write_text(lines)
        for suffix in reversed(_SUFFIXES):  # the pictures last: their name says that all is there
            name = self.path.with_name(f"{self.path.stem}{suffix}.npy")
            _part(self.path, suffix).rename(name)


def render(sets: dict[Path, list[Item]], side: int, processes: int) -> None:
    """Render each set to its path and companions, N processes of one thread each.

    The sets share their geometries, which cost most.
    """
    files = [_Files(path, items, side) for path, items in sets.items()]
    items = [item for part in sets.values() for item in part]
    starts = np.cumsum([0, *(len(part) for part in sets.values())])
    ledger = next(iter(sets)).with_name("rendered.part.txt")
    done = {int(line) for line in ledger.read_text().split()} if ledger.exists() else set()
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(processes) as pool,
        tqdm(total=len(items), desc="rendering", mininterval=30) as bar,
        ledger.open("a") as record,
    ):
        for indices, *made in pool.imap_unordered(_render_group, _jobs(items, side, done)):
            for file, start, end in zip(files, starts, starts[1:], strict=False):
                here = (indices >= start) & (indices < end)
                file.write(indices[here] - start, [values[here] for values in made])
            record.write(f"{indices[0]}\n")
            record.flush()
            bar.update(len(indices))
    for file in files:
        file.finish()
    ledger.unlink()


def main() -> None:
    """Render what is not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=24000, help="training pictures")
    parser.add_argument("--test", type=int, default=2400, help="test pictures")
    parser.add_argument("--side", type=int, default=256, help="pixels")
    parser.add_argument("--products", type=float, default=0.65, help="share of products")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    sets = {
        options.out / f"{name}.npy": draw_items(count, options.products, seed, held_out=held_out)
        for name, count, seed, held_out in (
            ("test", options.test, 2, True),
            ("train", options.train, 1, False),
        )
    }
    if not all(path.exists() for path in sets):
        render(sets, options.side, options.processes)
