"""The pages of a collection, for people, crawlers and upload forms.

    /kb/<collection>/                               start page, 60 pictures at a time
    /kb/<collection>/sitemap.xml                    https://www.sitemaps.org/protocol.html
    /kb/<collection>/pictures/<24 hex digits>       one page a picture; its address never changes
    /kb/<collection>/pictures/<24 hex digits>.md    the same as Markdown, ready to be uploaded
    /kb/<collection>/images/<2>/<64 hex digits>.png the picture's file

No script, no address outside the site; every word is escaped. Links in pages are relative, so
that a site works behind any proxy; those in the sitemap and the Markdown are absolute, because
these are read elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape

from kb_export.bundle import delivery_key, document
from kb_export.collection import Shown, picture_name
from kb_export.record import KBRecord
from kb_export.targets.page import STYLE

PICTURES_PER_PAGE = 60
PICTURES_PER_SITEMAP = 10_000  # the protocol allows 50,000 and 50 MB
_MORE_STYLE = """
main{margin-top:28px}
.one header,.one main,.one footer{max-width:860px}
.one img{aspect-ratio:auto;max-height:78vh;border-radius:14px;border:1px solid var(--line)}
.one .words{padding:22px 0}
.one ol{margin:0;padding-left:1.4em}
.one ol li{border:0;padding:0;font-size:1rem}
nav{display:flex;gap:18px;margin-top:32px}
nav a,header a,.one a,h3 a{color:var(--accent)}
h3 a{text-decoration:none}
"""
_SHEET = STYLE + _MORE_STYLE
# The one style sheet is named by its hash, so nothing that slips into a page can style it.
_SHEET_HASH = base64.b64encode(hashlib.sha256(_SHEET.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; img-src 'self'; style-src 'sha256-{_SHEET_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a collection is found.

    Attributes:
        base: the server's address without a slash at its end, such as "https://shop.example".
    """

    base: str
    collection: str

    @property
    def index(self) -> str:
        """The start page's address."""
        return f"{self.base}/kb/{self.collection}/"

    def page_url(self, record: KBRecord) -> str:
        """Return the stable address of a picture's page."""
        return f"{self.index}pictures/{picture_name(record.sha256)}"

    def markdown_url(self, record: KBRecord) -> str:
        """Return the stable address of a picture's Markdown."""
        return f"{self.page_url(record)}.md"

    def image_url(self, record: KBRecord) -> str:
        """Return the stable address of a picture's file."""
        return f"{self.index}{delivery_key(record)}"

    def sitemap_url(self, number: int) -> str:
        """Return the address of one part of the sitemap, counted from 1."""
        return f"{self.index}sitemap-{number}.xml"


def render_markdown(shown: Shown, site: Site) -> bytes:
    """Return a picture's Markdown, with absolute addresses."""
    return document(replace(shown.record, image_url=site.image_url(shown.record)))


def render_index(entries: Sequence[Shown], site: Site, *, page: int, pages: int) -> str:
    """Return one of the start pages, counted from 1."""
    cards = "".join(_card(entry.record) for entry in entries)
    body = f'<div class="grid">{cards}</div>' if cards else "<p>No picture is here.</p>"
    links = [f'<a rel="prev" href="?page={page - 1}">Newer</a>'] if page > 1 else []
    links += [f'<a rel="next" href="?page={page + 1}">Older</a>'] if page < pages else []
    number = f", page {page} of {pages}" if pages > 1 else ""
    return _html(
        title=f"Pictures: {site.collection}{number}",
        description=f"Pictures of the collection {site.collection}, each with its words.",
        canonical=site.index if page == 1 else f"{site.index}?page={page}",
        main=f"<main>{body}<nav>{' '.join(links)}</nav></main>",
        heading=f"<h1>{escape(site.collection)}</h1><p>Pictures and the words that go with "
        f'them{number}. Also as <a href="sitemap.xml">sitemap</a>.</p>',
    )


def render_picture(shown: Shown, site: Site) -> str:
    """Return a picture's page."""
    record = shown.record
    facts = {**record.facts, "image id": record.image_id}
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items())
    tags = "".join(f"<li>{escape(tag)}</li>" for tag in record.tags)
    notes = (*record.notes, record.caption_flag)
    when = f'<p class="when"><b>Use when</b> {escape(record.use_when)}</p>'
    made = "Made by a machine" if record.provenance.get("ai_generated") else "Not made by a model"
    model = escape(str(record.provenance.get("model", "unknown")))
    image = escape(f"../{delivery_key(record)}")
    words = [
        f"<p>{escape(record.caption)}</p>",
        when if record.use_when else "",
        _details(record.long_description),
        *(f'<p class="note">{escape(note)}</p>' for note in notes if note),
        f"<ul>{tags}</ul>" if tags else "",
        f"<dl>{rows}</dl>",
        f'<p class="mark">{made} · {model} · '
        f'<a href="{picture_name(record.sha256)}.md">Markdown</a></p>',
    ]
    head = (
        f'<link rel="alternate" type="text/markdown" href="{escape(site.markdown_url(record))}">\n'
        f'<meta property="og:title" content="{escape(record.title)}">\n'
        f'<meta property="og:image" content="{escape(site.image_url(record))}">\n'
        f'<meta property="og:image:alt" content="{escape(record.alt)}">\n'
    )
    return _html(
        title=record.title,
        description=record.caption,
        canonical=site.page_url(record),
        heading=f'<p><a href="../">{escape(site.collection)}</a></p>'
        f"<h1>{escape(record.title)}</h1>",
        main=f'<main><a href="{image}"><img src="{image}" alt="{escape(record.alt)}" '
        f'width="{record.width}" height="{record.height}"></a>'
        f'<div class="words">{"".join(words)}</div></main>',
        head=head,
        language=record.language,
        body_class=' class="one"',
    )


def render_sitemap(entries: Sequence[Shown], site: Site, *, with_index: bool) -> str:
    """Return a sitemap of picture pages; the start page stands first if wanted."""
    start = f"<url><loc>{escape(site.index)}</loc></url>\n" if with_index else ""
    urls = "".join(
        f"<url><loc>{escape(site.page_url(entry.record))}</loc>"
        f"<lastmod>{_day(entry.changed_at)}</lastmod>"
        f"<image:image><image:loc>{escape(site.image_url(entry.record))}</image:loc>"
        "</image:image></url>\n"
        for entry in entries
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
        'xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">\n'
        f"{start}{urls}</urlset>\n"
    )


def render_sitemap_index(parts: int, site: Site) -> str:
    """Return the sitemap of a collection that needs several."""
    maps = "".join(
        f"<sitemap><loc>{escape(site.sitemap_url(number))}</loc></sitemap>\n"
        for number in range(1, parts + 1)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{maps}</sitemapindex>\n"
    )


def _html(
    *,
    title: str,
    description: str,
    canonical: str,
    heading: str,
    main: str,
    head: str = "",
    body_class: str = "",
    language: str = "en",
) -> str:
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f'<meta name="description" content="{escape(description)}">\n'
        f'<link rel="canonical" href="{escape(canonical)}">\n{head}'
        f"<style>{_SHEET}</style>\n</head>\n<body{body_class}>\n<header>{heading}</header>\n{main}\n"
        "<footer>The words describe pictures; they hold no instructions. "
        "Made with agent-tools.</footer>\n</body>\n</html>\n"
    )


def _details(text: str) -> str:
    """Return a long description: lines of one are steps, shown as a list."""
    lines = [escape(line) for line in text.split("\n") if line]
    if len(lines) < 2:
        return "".join(f"<p>{line}</p>" for line in lines)
    return f"<ol>{''.join(f'<li>{line}</li>' for line in lines)}</ol>"


def _card(record: KBRecord) -> str:
    page = f"pictures/{picture_name(record.sha256)}"
    return (
        f'\n<article><a href="{page}"><img src="{escape(delivery_key(record))}" '
        f'alt="{escape(record.alt)}" width="{record.width}" height="{record.height}" '
        f'loading="lazy"></a><div class="words"><h3><a href="{page}">{escape(record.title)}</a>'
        f"</h3><p>{escape(record.caption)}</p></div></article>"
    )


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
