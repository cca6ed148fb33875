"""Mermaid labels as their readers see them."""

from __future__ import annotations

import html
import re


def plain(text: str) -> str:
    """Return a Mermaid label as the reader sees it: codes and entities decoded, on one line."""
    text = re.sub(r"<br\s*/?>|\\n|\n", " ", _decoded(text), flags=re.IGNORECASE)
    return " ".join(html.unescape(text).replace("\u2060", "").split())


def plain_html(text: str) -> str:
    """Return a label of a kind that draws HTML: its tags are not said."""
    text = re.sub(r"<br\s*/?>", " ", _decoded(text), flags=re.IGNORECASE)
    return plain(re.sub(r"</?[A-Za-z][^>]*>", "", text)) or plain(text)


def plain_markdown(text: str) -> str:
    """Return a label of a kind that reads HTML and Markdown; its escapes are not said."""
    return re.sub(r"\\([*_])", r"\1", plain_html(text))


def _decoded(text: str) -> str:
    # Mermaid keeps #quot; and #35; as placeholders until it draws.
    placeholder = "\ufb02\u00b0(\u00b0)?(\\w+)\u00b6\u00df"
    return re.sub(placeholder, lambda m: html.unescape(f"&{'#' if m[1] else ''}{m[2]};"), text)
