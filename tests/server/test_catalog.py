"""A whole price list: `agent-tools variants --csv`, its results, failures and going on."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import server.catalog
from agent_tools.errors import InvalidArguments, NotFound
from agent_tools.gallery import Gallery
from agent_tools.recolor_checks import outside_max_change
from benchmarks.rendered_truth import mug
from server.catalog import RESULT_COLUMNS, read_catalog
from server.cli import run
from server.commands.session import read_file

MUG = mug("#B3201C", 96)
Run = Callable[..., tuple[int, Any]]


@pytest.fixture(autouse=True)
def no_settings_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AGENT_TOOLS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a photo and its mask; the price list comes with each test."""
    MUG.image.save(tmp_path / "mug.png")
    MUG.mask.save(tmp_path / "mask.png")
    return tmp_path


@pytest.fixture
def variants(shop: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, Any]:
        code = run(["--data", str(shop / "data"), "variants", *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def write(shop: Path, text: str, name: str = "prices.csv") -> str:
    (shop / name).write_text(text, encoding="utf-8")
    return str(shop / name)


def results(shop: Path) -> list[dict[str, str]]:
    with (shop / "prices-result.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


LIST = """sku,picture,mask,color,price,title
M-1,mug.png,mask.png,sage,12.90 EUR,Our mug
M-2,mug.png,mask.png,blurple-ish,12.90 EUR,Our mug
M-3,gone.png,mask.png,navy,12.90 EUR,Our mug
M-4,mug.png,,#1D2A57,13.90 EUR,Our mug
"""


def test_one_rows_failure_never_stops_the_rest(shop: Path, variants: Run) -> None:
    code, said = variants("--csv", write(shop, LIST), "--out", str(shop / "out"))

    assert code == 1
    assert (said["rows"], said["done"], said["kept"]) == (4, 2, 0)
    assert [failure["row"] for failure in said["failed"]] == [3, 4]
    first, unknown_color, no_file, automatic = results(shop)
    assert [line["row"] for line in results(shop)] == ["2", "3", "4", "5"]
    assert first["status"] == automatic["status"] == "done"
    assert float(first["delta_e"]) < 2 and first["outside_max_change"] == "0"
    assert automatic["color_hex"] == "#1D2A57" and automatic["mask_id"].startswith("img_")
    assert unknown_color["error_code"] == "invalid_arguments"
    assert "blurple" in unknown_color["error"]
    assert no_file["error_code"] == "not_found" and "gone.png" in no_file["error"]
    made = Image.open(first["file"])
    assert Path(first["file"]).parent == shop / "out"
    assert outside_max_change(MUG.image, made, MUG.mask) == 0
    gallery = Gallery(shop / "data")
    record = gallery.get(first["image_id"])
    assert record.metadata == {
        "sku": "M-1",
        "price": "12.90 EUR",
        "color": "sage",
        "color_hex": "#9CAF88",
    }
    assert record.title.startswith("Our mug")
    gallery.close()


def test_a_second_run_makes_only_what_failed_or_changed(
    shop: Path, variants: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants("--csv", write(shop, LIST))
    mended = LIST.replace("blurple-ish", "purple").replace("sage,12.90", "sage,11.50")
    _, said = variants("--csv", write(shop, mended))
    assert (said["done"], said["kept"], len(said["failed"])) == (2, 1, 1)
    MUG.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(shop / "mug.png")
    MUG.mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(shop / "mask.png")
    _, said = variants("--csv", write(shop, mended))
    assert (said["done"], said["kept"]) == (3, 0)


def test_a_column_almost_like_one_with_a_meaning_is_named(
    shop: Path, variants: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(shop, "picture,mask,colour,price\nmug.png,mask.png,sage,9\n")
    _, said = variants("--csv", path)
    assert "Column 'colour' is kept as a fact; did you mean 'color'?" in said["failed"][0]["error"]
    assert results(shop)[0]["error"] == said["failed"][0]["error"]
    assert "price" not in said["failed"][0]["error"].replace("prices", "")
    run(["--data", str(shop / "data"), "variants", "--csv", path])
    assert "Note: Column 'colour'" in capsys.readouterr().err


def test_rows_that_came_out_with_a_warning_are_counted_and_named(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(shop, "picture,mask,color\nmug.png,mask.png,white\nmug.png,mask.png,sage\n")
    assert run(["--data", str(shop / "data"), "variants", "--csv", path]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("2 made, 1 with warnings, 0 kept")
    assert said.err.count("Row ") == 1 and "Row 2: " in said.err


def test_a_killed_run_goes_on_where_it_stopped(
    shop: Path, variants: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"M-{k},mug.png,mask.png,#{k}0{k}0A0\n" for k in range(1, 6))
    path = write(shop, f"sku,picture,mask,color\n{rows}")
    make = server.catalog._make
    count = 0

    async def killed_at_the_third(*arguments: Any) -> dict[str, str]:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return await make(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(server.catalog, "_make", killed_at_the_third)
        code, _ = variants("--csv", path)
    assert code == 130
    assert [line["sku"] for line in results(shop)] == ["M-1", "M-2"]
    with (shop / "prices-result.csv").open("a", encoding="utf-8") as file:
        file.write('4,M-3,done,img_0123456789abcdef01234567,"/half a li')  # the disk got this far

    code, said = variants("--csv", path)
    assert code == 0
    assert (said["done"], said["kept"]) == (3, 2)
    assert [line["sku"] for line in results(shop)] == [f"M-{k}" for k in range(1, 6)]


def test_spreadsheets_of_other_countries_are_read(shop: Path) -> None:
    text = "\ufeffSKU;Product;From Color;Preis in EUR\r\nM-1;mug;red;12,90\r\n;;;\r\nM-2;cup\r\n"
    first, second = read_catalog(Path(write(shop, text)))
    assert first.cells == {
        "sku": "M-1",
        "product": "mug",
        "from_color": "red",
        "preis_in_eur": "12,90",
    }
    assert (second.number, second.cells) == (4, {"sku": "M-2", "product": "cup"})
    assert first.key != second.key


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column"),
        ("sku,color\nM-1,red\n", "no column"),
        ("picture,color\n", "has no rows"),
        ("picture,color,color\nmug.png,red,blue\n", "'color' twice"),
    ],
)
def test_what_is_no_price_list_is_said_before_anything_is_made(
    shop: Path, variants: Run, text: str, words: str
) -> None:
    code, said = variants("--csv", write(shop, text))
    assert code == 2 and words in said["error"]["message"]
    assert not (shop / "prices-result.csv").exists()


def test_another_file_is_never_overwritten(shop: Path, variants: Run) -> None:
    (shop / "accounts.csv").write_text("month,amount\n1,100\n")
    code, said = variants("--csv", write(shop, LIST), "--result", str(shop / "accounts.csv"))
    assert code == 2 and "not a result file" in said["error"]["message"]
    assert (shop / "accounts.csv").read_text() == "month,amount\n1,100\n"


def test_malformed_cells_are_the_rows_own_failure(shop: Path, variants: Run) -> None:
    text = (
        "picture,color,point,seed,keep_prints\n"
        "mug.png,red,a b,,\nmug.png,red,,x,\nmug.png,red,,,maybe\nmug.png,sage,,,no\n"
    )
    _, said = variants("--csv", write(shop, text))
    assert [failure["row"] for failure in said["failed"]] == [2, 3, 4]
    assert said["done"] == 1
    assert tuple(results(shop)[0]) == RESULT_COLUMNS


@pytest.mark.parametrize(
    "more", [["mug"], ["--color", "red"], ["--seed", "1"]], ids=["product", "color", "seed"]
)
def test_flags_beside_a_price_list_are_refused(shop: Path, variants: Run, more: list[str]) -> None:
    code, said = variants("--csv", write(shop, LIST), *more)
    assert code == 2 and "leave the others out" in said["error"]["message"]


def test_a_cell_that_no_file_can_be_named_is_the_rows_own_failure(shop: Path) -> None:
    rows = read_catalog(Path(write(shop, "picture,color\nmug\0.png,sage\nmug.png,sage\n")))
    assert len({row.key for row in rows}) == 2
    with pytest.raises(NotFound):
        read_file(shop / rows[0].cells["picture"], 100)


def test_a_quotation_mark_that_is_never_closed_is_said(shop: Path) -> None:
    swallowed = "mug.png,sage\n" * 20_000
    with pytest.raises(InvalidArguments, match="no CSV file") as refused:
        read_catalog(Path(write(shop, 'picture,color\n"' + swallowed)))
    assert "quotation mark" in (refused.value.hint or "")
