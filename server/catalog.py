"""A whole price list of product variants: one CSV row, one picture, one row of results.

The result file grows row by row, each flushed to the disk, so that a killed run goes on where it
stopped; whatever fails is written down and never stops the rest.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from agent_tools.errors import AgentToolsError, InvalidArguments, NotFound, as_agent_tools_error
from agent_tools.image_record import IMAGE_ID
from server.commands.session import copy_picture, read_file, take_in

if TYPE_CHECKING:
    from agent_tools.studio import Studio

TOOL = "create_product_variants"
MAX_ROWS = 100_000
MAX_BYTES = 50_000_000
# What a column of that name means; every other column is a fact for the knowledge base.
_CALL = ("product", "mask", "point", "box", "from_color", "anchor", "mode", "format", "seed")
_CALL_MORE = ("steps", "keep_prints")
_LOOK = ("color", "material", "scene", "style", "sku")
_NUMBERS = frozenset({"seed", "steps"})
_LISTS = frozenset({"point", "box"})
COLUMNS = ("picture", "title", *_CALL, *_CALL_MORE, *_LOOK)
RESULT_COLUMNS = (
    "row",
    "sku",
    "status",
    "image_id",
    "file",
    "color_hex",
    "delta_e",
    "outside_max_change",
    "method",
    "mask_id",
    "warnings",
    "error_code",
    "error",
    "key",
)
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the price list.

    Attributes:
        number: as a spreadsheet counts: the header is 1.
        cells: what is filled in, by column.
        key: changes when anything that the picture depends on does.
    """

    number: int
    cells: Mapping[str, str]
    key: str


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run went.

    Attributes:
        done: rows made in this run.
        kept: rows that an earlier run had made.
        failed: (row number, message) of the others.
        warned: (row number, what to know about its picture) of those among `done`.
    """

    done: int
    kept: int
    failed: tuple[tuple[int, str], ...]
    warned: tuple[tuple[int, str], ...] = ()


def read_catalog(path: Path) -> list[Row]:
    """Read a price list in UTF-8, separated by commas, semicolons or tabs.

    Raises:
        NotFound: if the file is not there.
        InvalidArguments: if it is no such list.
    """
    data = read_file(path, MAX_BYTES)
    if len(data) > MAX_BYTES:
        raise InvalidArguments(f"{path.name} is larger than 50 MB.", hint="Split it.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArguments(
            f"{path.name} is not UTF-8 (byte {error.start}).", hint="Save it as CSV UTF-8."
        ) from None
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    except csv.Error as error:
        raise InvalidArguments(
            f"{path.name} is no CSV file: {error}.", hint="Is a quotation mark never closed?"
        ) from None
    header = [name.strip().lower().replace(" ", "_") for name in lines[0]] if lines else []
    if not {"picture", "product"} & set(header):
        raise InvalidArguments(
            f"{path.name} has no column 'picture' or 'product'.",
            hint=f"Name columns in the first line: {', '.join(COLUMNS)}; others become facts.",
        )
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise InvalidArguments(
            f"{path.name} has the column '{repeated[0]}' twice.", hint="Rename one of them."
        )
    if len(lines) > MAX_ROWS:
        raise InvalidArguments(f"{path.name} has more than {MAX_ROWS:,} rows.", hint="Split it.")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        pairs = zip(header, line, strict=False)  # spreadsheets leave out empty cells at the end
        cells = {name: cell.strip() for name, cell in pairs if name and cell.strip()}
        rows.append(Row(number, cells, _key(cells, path.parent)))
    if not rows:
        raise InvalidArguments(f"{path.name} has no rows.", hint="Fill in one row a picture.")
    return rows


def mistaken_columns(rows: list[Row]) -> list[str]:
    """Name the columns that are kept as facts but are written almost like one with a meaning."""
    names = dict.fromkeys(name for row in rows for name in row.cells)
    found = []
    for name in names:
        near = [] if name in COLUMNS else difflib.get_close_matches(name, COLUMNS, 1, 0.8)
        if near and near[0] not in names:
            found.append(f"Column '{name}' is kept as a fact; did you mean '{near[0]}'?")
    return found


async def run_catalog(
    studio: Studio,
    rows: list[Row],
    folder: Path,
    result: Path,
    out: Path | None,
    show: Callable[[int, str], None],
) -> Summary:
    """Make every row that an earlier run has not made.

    Args:
        studio: makes the pictures.
        rows: the price list.
        folder: pictures are named relative to it.
        result: the CSV of results; an earlier run's is continued.
        out: folder for copies of the pictures.
        show: told how many rows are through, and a line for people.

    Raises:
        AgentToolsError: only if the result file cannot be written.
    """
    earlier = _read_results(result)
    kept = {row.key for row in rows} & {
        line["key"] for line in earlier if line["status"] == "done" and _exists(studio, line)
    }
    by_key = {line["key"]: line for line in earlier if line["key"] in kept}
    outcomes: dict[int, Mapping[str, str]] = {
        row.number: by_key[row.key] | {"row": str(row.number)} for row in rows if row.key in kept
    }
    made = 0
    failed: list[tuple[int, str]] = []
    warned: list[tuple[int, str]] = []
    with _ResultFile(result, list(outcomes.values())) as file:
        for position, row in enumerate(rows):
            if row.number in outcomes:
                continue
            show(position, f"Row {row.number}: {_name(row)}")
            try:
                line = await _make(studio, row, folder, out)
                made += 1
                if line["warnings"]:
                    warned.append((row.number, line["warnings"]))
            except Exception as error:
                ours = as_agent_tools_error(error) or AgentToolsError(
                    f"{type(error).__name__}: {error}", code="internal"
                )
                said = str(ours)
                if isinstance(ours, InvalidArguments):
                    said = " ".join([said, *mistaken_columns([row])])
                failed.append((row.number, said))
                line = {"status": "failed", "error_code": ours.code, "error": said}
            known = {"row": str(row.number), "sku": row.cells.get("sku", ""), "key": row.key}
            outcomes[row.number] = known | line
            file.append(outcomes[row.number])
        show(len(rows), "Done")
        file.rewrite([outcomes[row.number] for row in rows])
    return Summary(made, len(kept), tuple(failed), tuple(warned))


async def _make(studio: Studio, row: Row, folder: Path, out: Path | None) -> dict[str, str]:
    result = await studio.call(TOOL, _arguments(studio, row.cells, folder))
    data: Any = result.data
    variant = data.variants[0]
    (image,) = [one for one in result.images if one.info.image_id == variant.image.image_id]
    info = image.info
    path = copy_picture(image.path, info.image_id, info.caption, out) if out else image.path
    measured = variant.measurements
    return {
        "status": "done",
        "image_id": info.image_id,
        "file": str(path),
        "color_hex": variant.color_hex,
        "delta_e": "" if measured is None else str(measured.achieved_delta_e),
        "outside_max_change": ""
        if measured is None or measured.outside_max_change is None
        else str(measured.outside_max_change),
        "method": "" if measured is None else measured.method,
        "mask_id": " ".join(found.mask_id for found in data.masks if found.mask_id),
        "warnings": " ".join(data.warnings),
    }


def _arguments(studio: Studio, cells: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Turn one row into the tool's arguments; its files enter the gallery."""
    arguments: dict[str, Any] = {}
    if "picture" in cells:
        picture = _located(cells["picture"], folder)
        arguments["image_id"] = take_in(studio, picture, title=cells.get("title", ""))
    if "mask" in cells:
        arguments["mask_id"] = take_in(studio, _located(cells["mask"], folder), kind="mask")
    for name in (*_CALL, *_CALL_MORE):
        if name in cells and name != "mask":
            arguments[name] = _value(name, cells[name])
    look: dict[str, Any] = {name: cells[name] for name in _LOOK if name in cells}
    facts = {name: cell for name, cell in cells.items() if name not in COLUMNS}
    if facts:
        look["facts"] = facts
    return arguments | {"variants": [look]}


def _value(name: str, cell: str) -> Any:
    try:
        if name in _LISTS:
            return [int(part) for part in cell.replace(",", " ").replace(";", " ").split()]
        if name == "keep_prints":
            return _YES[cell.lower()]
        return int(cell) if name in _NUMBERS else cell
    except (ValueError, KeyError):
        raise InvalidArguments(
            f"'{cell[:40]}' is no value for {name}.",
            hint="point and box are pixels (250 230), seed and steps numbers, keep_prints yes or "
            "no.",
        ) from None


def _located(name: str, folder: Path) -> str:
    """Return an image_id as it is, a file's name relative to the price list."""
    return name if IMAGE_ID.fullmatch(name) else str(folder / name)


def _key(cells: Mapping[str, str], folder: Path) -> str:
    """Hash the row and the files it names: a changed photo is made again."""
    files = []
    for name in ("picture", "mask"):
        if name in cells and not IMAGE_ID.fullmatch(cells[name]):
            try:
                data = read_file(folder / cells[name], MAX_BYTES)
            except NotFound:
                data = b""
            files.append(hashlib.sha256(data).hexdigest())
    said = json.dumps([dict(cells), files], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _name(row: Row) -> str:
    parts = [row.cells.get(name, "") for name in ("sku", "product", "picture", "color", "material")]
    return " ".join(part for part in parts if part)[:80]


def _exists(studio: Studio, line: Mapping[str, str]) -> bool:
    try:
        return studio.gallery.get(line["image_id"]).path.exists()
    except NotFound:
        return False


def _read_results(path: Path) -> list[dict[str, str]]:
    """Return the whole lines of an earlier run; a line cut off by a crash is left out.

    Raises:
        InvalidArguments: if the file is something else: it would be overwritten.
    """
    if not path.exists():
        return []
    text = read_file(path, MAX_BYTES * 4).decode("utf-8-sig", "replace")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if tuple(reader.fieldnames or ()) != RESULT_COLUMNS:
        raise InvalidArguments(
            f"{path.name} exists and is not a result file of this command.",
            hint="Choose another file with --result.",
        )
    return [line for line in reader if None not in line and None not in line.values()]


class _ResultFile:
    """The result file, open for appending; every line is on the disk before the next begins."""

    def __init__(self, path: Path, lines: list[Mapping[str, str]]) -> None:
        self._path = path
        self._lines = lines
        self._file: TextIO | None = None

    def __enter__(self) -> _ResultFile:
        self.rewrite(self._lines)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, line: Mapping[str, str]) -> None:
        """Add one line."""
        assert self._file is not None
        with _writing(self._path):
            csv.DictWriter(self._file, RESULT_COLUMNS, restval="").writerow(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def rewrite(self, lines: list[Mapping[str, str]]) -> None:
        """Replace the file by these lines, at once."""
        with _writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside = self._path.with_name(f".{self._path.name}.writing")
            with beside.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, RESULT_COLUMNS, restval="")
                writer.writeheader()
                writer.writerows(lines)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._path)
            if self._file is not None:
                self._file.close()
            self._file = self._path.open("a", encoding="utf-8", newline="")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AgentToolsError(
            f"Cannot write {path}: {error.strerror or error}.",
            code="unavailable",
            hint="Choose another file with --result.",
        ) from error
