"""Captions: whatever goes in, nothing live and nothing invisible comes out."""

from __future__ import annotations

import json
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kb_export.bundle import document
from kb_export.captions import alt_text, clean
from kb_export.record import KBRecord
from kb_export.targets.page import render_page

DATA = Path(__file__).resolve().parents[1] / "data" / "injection_captions.txt"
PAYLOADS: list[str] = [
    json.loads(line)
    for line in DATA.read_text(encoding="ascii").splitlines()
    if not line.startswith("#")
]
WRAPPERS = ["{}", "A red mug {} on a table", "{0}{0}", "({}), y", "\u200b{}\u200b"]
LIVE = re.compile(
    r"://|\bwww\.|javascript:|data:\S|mailto:\S|file:\S|canary\.(?:example|com)|@canary", re.I
)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def hostile_record(text: str) -> KBRecord:
    return KBRecord.make(
        image_id="img_" + "a" * 24,
        sha256="a" * 64,
        media_type="image/png",
        width=4,
        height=4,
        title=text,
        caption=text,
        alt=text,
        long_description=text,
        use_when=text,
        tags=[text],
        group=text,
        facts={"sku": text},
        provenance={"model": text},
        notes=[text],
    )


def test_the_corpus_holds_at_least_two_hundred_strings() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 200


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_live_or_invisible_survives_cleaning(payload: str) -> None:
    for wrapper in WRAPPERS:
        cleaned = clean(wrapper.replace("{0}", "{}").replace("{}", payload))
        assert not LIVE.search(cleaned)
        assert not set(cleaned) & set("<>[]`\\")
        assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"} for c in cleaned)
        assert not Tags(cleaned).found
        assert clean(cleaned) == cleaned


def test_the_detector_of_live_links_does_detect() -> None:
    caught = [p for p in PAYLOADS if LIVE.search(p) or Tags(p).found]
    assert len(caught) > 100


@pytest.mark.parametrize("text", PAYLOADS)
def test_an_exported_document_holds_one_image_and_no_link(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(document(hostile_record(text)).decode())
    inline = [child for token in tokens for child in token.children or []]
    images = [child.attrs["src"] for child in inline if child.type == "image"]
    assert images == [f"../../images/aa/{'a' * 64}.png"]
    assert not [t.type for t in (*tokens, *inline) if t.type in ("link_open", "html_block")]
    assert not [t for t in inline if t.type == "html_inline"]
    assert sum(token.type == "heading_open" for token in tokens) <= 1


def test_the_page_escapes_everything_and_points_only_into_its_folder() -> None:
    page = render_page([hostile_record(text) for text in PAYLOADS])
    for tag, attributes in Tags(page).found:
        assert tag not in {"script", "iframe", "svg", "object", "embed", "form", "base", "link"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            if name in attributes:
                assert re.match(r"(images|docs)/aa/", attributes[name] or "")
    assert "canary" not in page


@given(st.text(max_size=300), st.integers(min_value=1, max_value=120))
@settings(max_examples=300, deadline=None)
def test_cleaning_keeps_the_limit_and_is_stable(text: str, limit: int) -> None:
    cleaned = clean(text, limit)
    assert len(cleaned) <= limit
    assert clean(cleaned, limit) == cleaned
    cleaned.encode("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "A teapot, 1.5 l, for 4 people: red & blue.",
        "Größe 38, crème brûlée, 漢字, m², ½ price (new).",
        "A mug. It is red; the handle is 5 cm.",
        "AT&T-style phone, 100% cotton, size 10.5",
        "Data: three rows. Files: two.",
        "Emoji stay 🫖 too.",
    ],
)
def test_honest_captions_stay_as_they_are(text: str) -> None:
    assert clean(text) == text


def test_words_of_links_stay_while_addresses_go() -> None:
    assert clean("See [the red mug](https://canary.example) here") == "See the red mug here"


def test_long_text_is_cut_at_a_word() -> None:
    assert clean("one two three four five", 14) == "one two three…"


def test_hostile_length_is_handled_without_reading_it_all() -> None:
    assert len(clean("<" * 1_000_000 + ">" * 1_000_000, 100)) <= 100
    assert len(clean("[" * 100_000 + "](", 100)) <= 100
    assert len(clean("a." * 100_000, 100)) <= 100


def test_alternative_text_does_not_say_that_it_is_a_picture() -> None:
    assert alt_text("An image of a red mug.") == "A red mug."
    assert len(alt_text("word " * 200)) <= 250


def test_alternative_text_ends_after_a_sentence_near_its_target() -> None:
    text = "A red mug on a wooden table in the morning sun. " + "It has a wide handle. " * 9
    assert len(alt_text(text)) <= 125
    assert alt_text(text).endswith("handle.")
