"""Looking through a gallery: filters, words, pages, neighbors, relatives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from kb_pictures import add_pictures

from agent_tools.browse import Filter, browse, choices, neighbors, relatives
from agent_tools.errors import InvalidArguments, NotFound
from agent_tools.gallery import Gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    found = Gallery(tmp_path)
    yield found
    found.close()


def titles(gallery: Gallery, **wanted: str) -> set[str]:
    return {record.title for record in browse(gallery, Filter(**wanted), limit=50).records}


def test_every_filter_limits_and_together_they_limit_more(gallery: Gallery) -> None:
    add_pictures(gallery, "red teapot", metadata={"product": "teapot", "sku": "TP-1"}, group="g")
    add_pictures(gallery, "blue teapot", metadata={"product": "teapot"}, model="flux")
    add_pictures(gallery, "mina", kind="persona", metadata={"persona_id": "p1", "persona": "Mina"})
    add_pictures(gallery, "sheet of all", kind="sheet", tool="create_product_variants")
    assert titles(gallery) == {"Red teapot", "Blue teapot", "Mina"}
    assert titles(gallery, kind="sheet") == {"Sheet of all"}
    assert len(titles(gallery, kind="all")) == 4
    assert titles(gallery, product="TP-1") == {"Red teapot"}
    assert titles(gallery, product="teapot") == {"Blue teapot"}
    assert titles(gallery, persona="p1") == {"Mina"}
    assert titles(gallery, model="flux") == {"Blue teapot"}
    assert titles(gallery, group="g") == {"Red teapot"}
    assert titles(gallery, words="teapot", model="flux") == {"Blue teapot"}
    assert titles(gallery, words="teapot", kind="persona") == set()
    there = choices(gallery)
    assert there.products == ("TP-1", "teapot") and there.personas == (("p1", "Mina"),)
    assert set(there.models) == {"flux", "another"} and "sheet" in there.kinds


def test_every_word_must_occur_and_signs_of_sql_mean_themselves(gallery: Gallery) -> None:
    add_pictures(gallery, "red teapot", "blue teapot", "fifty mug")
    add_pictures(gallery, "cotton shirt", title="100% cotton_shirt")
    assert titles(gallery, words="TEAPOT red") == {"Red teapot"}
    assert titles(gallery, words="100%") == {"100% cotton_shirt"}
    assert titles(gallery, words="n_s") == {"100% cotton_shirt"}
    assert titles(gallery, words="%") == {"100% cotton_shirt"}
    assert titles(gallery, words="' OR 1=1 --") == set()
    (record,) = browse(gallery, Filter(words="fifty"), limit=5).records
    assert titles(gallery, words=record.image_id) == {"Fifty mug"}


def test_days_are_counted_from_midnight_to_midnight(gallery: Gallery) -> None:
    add_pictures(gallery, "red teapot")
    today = datetime.now(UTC).date()
    day = timedelta(days=1)
    for since, until, count in (
        (today - day, today + day, 1),
        (today + 2 * day, None, 0),
        (None, today - 2 * day, 0),
        (date.min, date.max, 1),
    ):
        if since is not None and since.year < 2:
            since = date(1970, 1, 1)
        assert browse(gallery, Filter(since=since, until=until), limit=5).total == count


def test_ten_thousand_pictures_come_page_by_page_newest_first(gallery: Gallery) -> None:
    (record,) = add_pictures(gallery, "red teapot")
    with gallery.transaction() as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
            "INSERT INTO images SELECT printf('img_%024d', i), sha256, file, media_type, width, "
            "height, seed, model, tool, kind, title, caption, alt, long_description, use_when, "
            "tags, group_id, parent_id, recipe, metadata, notes, created_at + i, caller, published "
            "FROM images, n"
        )
    first = browse(gallery, Filter(), limit=48)
    assert first.total == 10_001 and first.records[0].image_id.endswith("10000")
    last = browse(gallery, Filter(), limit=48, offset=48 * 208)
    assert len(last.records) == 10_001 - 48 * 208
    assert last.records[-1].image_id == record.image_id
    seen = [
        r.image_id
        for r in (*first.records, *browse(gallery, Filter(), limit=48, offset=48).records)
    ]
    assert len(set(seen)) == 96


def test_neighbors_and_relatives_are_found(gallery: Gallery) -> None:
    one, two = add_pictures(gallery, "photo", "other")
    (three,) = add_pictures(gallery, "recolored", parent_id=one.image_id, group="g")
    (four,) = add_pictures(gallery, "recolored too", parent_id=one.image_id, group="g")
    assert neighbors(gallery, two) == (three.image_id, one.image_id)
    assert neighbors(gallery, four) == (None, three.image_id)
    assert {r.title for r in relatives(gallery, three)} == {"Photo", "Recolored too"}
    assert {r.title for r in relatives(gallery, one)} == {"Recolored", "Recolored too"}
    assert relatives(gallery, two) == ()


def test_words_are_rewritten_clean_or_not_at_all(gallery: Gallery) -> None:
    (record,) = add_pictures(gallery, "red teapot")
    changed = gallery.rewrite(record.image_id, caption="A <b>crimson</b> pot. https://evil.example")
    assert changed.caption == "A crimson pot." and changed.alt == record.alt
    with pytest.raises(InvalidArguments):
        gallery.rewrite(record.image_id, caption="Fine.", alt="\u200b<x>")
    with pytest.raises(InvalidArguments):
        gallery.rewrite(record.image_id, kind="mask")
    assert gallery.get(record.image_id).caption == "A crimson pot."
    with pytest.raises(NotFound):
        gallery.rewrite("img_0", caption="x")
