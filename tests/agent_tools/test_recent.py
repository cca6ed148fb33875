"""Thumbnails used last stay at hand, within a limit, and never outlive their picture's record."""

from __future__ import annotations

from pathlib import Path

import pytest
from kb_pictures import add_pictures

from agent_tools.errors import NotFound
from agent_tools.gallery import Gallery
from agent_tools.recent import RecentBytes


def test_the_values_used_last_stay_within_the_limit() -> None:
    recent = RecentBytes(10)
    recent.keep("a", b"1234")
    recent.keep("b", b"1234")
    assert recent.get("a") == b"1234"  # used again
    recent.keep("c", b"1234")
    assert recent.get("b") is None
    assert (recent.get("a"), recent.get("c")) == (b"1234", b"1234")
    recent.keep("a", b"12")  # another value for a name takes its own room only
    recent.keep("d", b"1234")
    assert [recent.get(name) for name in "acd"] == [b"12", b"1234", b"1234"]
    recent.keep("e", b"x" * 11)  # larger than everything
    assert [recent.get(name) for name in "acde"] == [None] * 4


def test_a_thumbnail_is_read_once_and_gone_with_its_picture(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    (record,) = add_pictures(gallery, "red mug")
    assert gallery.recent_thumbnail(record, 384) is None
    first = gallery.thumbnail(record.image_id)
    for file in gallery.thumbnails.iterdir():
        file.unlink()
    assert gallery.thumbnail(record.image_id) == first == gallery.recent_thumbnail(record, 384)
    assert gallery.recent_thumbnail(record, 768) is None
    with gallery.transaction() as connection:
        connection.execute("DELETE FROM images")
    with pytest.raises(NotFound):
        gallery.thumbnail(record.image_id)
    gallery.close()
