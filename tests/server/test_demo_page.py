"""The demo's page: every picture with its words, nothing from outside, nothing unescaped."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from server.demo_page import render

HOSTILE = """<script>alert(1)</script>"' onerror=x <img src=http://evil.example/a.png>"""


class Page(HTMLParser):
    """Collect the elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def picture(name: str, words: str, **more: Any) -> dict[str, Any]:
    return {
        "image_id": f"img_{name}",
        "path": f"pictures/img_{name}.png",
        "width": 64,
        "height": 48,
        "seed": 7,
        "model": "starter",
        "caption": f"Caption {words}",
        "alt": f"Alt {words}",
    } | more


def report_of(words: str) -> dict[str, Any]:
    measured = {
        "target": "#9caf88",
        "target_name": words,
        "achieved_delta_e": 0.75,
        "outside_max_change": 0,
        "r_log_y": 0.99,
        "warnings": [words],
    }
    return {
        "version": "0.1.0",
        "model": words,
        "tools": ["generate_image"],
        "variants": [picture("v", words, measurements=None)],
        "photo": picture("p", words),
        "recolors": [picture("r", words, measurements=measured)],
        "persona": {
            "persona_id": "per_mina",
            "name": words,
            "description": words,
            "images": [picture("m", words, expression=words, similarity=0.9)],
        },
        "diagram": picture("d", words),
        "kb": {
            "questions": [
                {"question": words, "expected": "img_v", "found": "img_v", "score": 0.6}
                | {"right": True},
                {"question": "Silent?", "expected": "img_r", "found": None, "score": None}
                | {"right": False},
            ]
        },
        "seconds": dict.fromkeys(
            ("tools", "variants", "recolors", "persona", "diagram", "export", "questions"), 1.0
        )
        | {"total": 7.0},
    }


def test_every_picture_has_its_alt_text_and_a_relative_path() -> None:
    page = Page(render(report_of("of a mug")))
    images = page.all("img")
    assert {image["src"] for image in images} == {f"pictures/img_{n}.png" for n in "vprmd"}
    assert all(image["alt"] == "Alt of a mug" for image in images)
    assert "0.75" in page.text and "all unchanged" in page.text


def test_a_wrong_answer_is_shown_as_wrong() -> None:
    page = Page(render(report_of("of a mug")))
    assert "1 of 2 questions" in page.text
    assert "not the expected picture" in page.text and "Nothing found" in page.text


@pytest.mark.parametrize("words", [HOSTILE, "&lt;b&gt;", "x" * 500])
def test_words_from_outside_stay_words(words: str) -> None:
    page = Page(render(report_of(words)))
    assert page.all("script") == []
    assert all((image["src"] or "").startswith("pictures/") for image in page.all("img"))
    assert all(set(image) <= {"src", "alt", "width", "height"} for image in page.all("img"))
    assert all(":" not in (link["href"] or "") for link in page.all("a"))
    assert page.all("img")[0]["alt"] == f"Alt {words}"
