"""The page of a folder knowledge base: pictures in groups, with their words and facts.

No script, no address outside the folder; every word is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from kb_export.bundle import document_key, image_key
from kb_export.record import KBRecord

STYLE = """
:root{color-scheme:light dark;--bg:#f6f5f2;--card:#fff;--ink:#1d1c1a;--soft:#6b675f;--line:#e4e1da;
--accent:#1f6f5c}
@media(prefers-color-scheme:dark){:root{--bg:#151513;--card:#1f1e1b;--ink:#f0eee9;--soft:#a8a398;
--line:#34322d;--accent:#7fd0b8}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main,footer{max-width:1240px;margin:0 auto;padding:0 clamp(16px,4vw,40px)}
header{padding-top:clamp(28px,6vw,64px);padding-bottom:8px}
h1{margin:0;font-size:clamp(1.7rem,4vw,2.6rem);letter-spacing:-.02em;line-height:1.15}
header p,footer{color:var(--soft)}
section{margin-top:36px}
h2{font-size:1.05rem;margin:0 0 14px;padding-bottom:8px;border-bottom:1px solid var(--line)}
h2 span{color:var(--soft);font-weight:400}
.grid{display:grid;gap:20px;grid-template-columns:repeat(auto-fill,minmax(min(100%,260px),1fr))}
article{background:var(--card);border:1px solid var(--line);border-radius:14px;overflow:hidden;
display:flex;flex-direction:column}
article>a{display:block;background:
repeating-conic-gradient(#8881 0 25%,#0000 0 50%) 0 0/20px 20px,var(--bg)}
img{display:block;width:100%;height:auto;aspect-ratio:1;object-fit:contain}
.words{padding:16px 18px 18px;display:flex;flex-direction:column;gap:10px;flex:1}
h3{margin:0;font-size:1rem;line-height:1.35}
p{margin:0}
.when{color:var(--soft);font-size:.92rem}
.when b{color:var(--accent);font-weight:600}
ul{list-style:none;display:flex;flex-wrap:wrap;gap:6px;margin:0;padding:0}
li{border:1px solid var(--line);border-radius:99px;padding:1px 10px;font-size:.8rem}
dl{display:grid;grid-template-columns:auto 1fr;gap:2px 12px;margin:auto 0 0;font-size:.82rem}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
.mark{font-size:.78rem;color:var(--soft);border-top:1px solid var(--line);padding-top:10px}
.note{font-size:.85rem;border-left:3px solid #c98a1b;padding-left:10px}
article a.doc{color:var(--accent)}
a:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
footer{padding-top:40px;padding-bottom:48px;font-size:.85rem}
"""


def render_page(records: Sequence[KBRecord]) -> str:
    """Return the page for records in the order given; records of a group must be neighbors."""
    sections = [
        _section(list(members)) for _, members in groupby(records, key=lambda r: r.group or "")
    ]
    count = f"{len(records)} picture{'' if len(records) == 1 else 's'}"
    empty = "<p>Nothing has been exported yet.</p>" if not records else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src 'self' file:; style-src 'unsafe-inline'\">\n"
        f"<title>Knowledge base: {count}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>Picture knowledge base</h1><p>{count}, each with the words by which a "
        "chatbot finds it.</p></header>\n"
        f"<main>{empty}{''.join(sections)}</main>\n"
        "<footer>Written by agent-tools. Machine-readable: <code>manifest.jsonl</code>, "
        "<code>docs/</code>, <code>images/</code>.</footer>\n</body>\n</html>\n"
    )


def _section(records: list[KBRecord]) -> str:
    group = records[0].group
    heading = f"{escape(records[0].title)} and its variants" if group and len(records) > 1 else ""
    if not group:
        heading = "Single pictures"
    elif not heading:
        heading = escape(records[0].title)
    cards = "".join(_card(record) for record in records)
    return (
        f"\n<section><h2>{heading} <span>{len(records)}</span></h2>\n"
        f'<div class="grid">{cards}</div></section>\n'
    )


def _card(record: KBRecord) -> str:
    facts = {**record.facts, "image id": record.image_id}
    rows = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in facts.items()
    )
    tags = "".join(f"<li>{escape(tag)}</li>" for tag in record.tags)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in record.notes)
    when = (
        f'<p class="when"><b>Use when</b> {escape(record.use_when)}</p>' if record.use_when else ""
    )
    model = escape(str(record.provenance.get("model", "unknown")))
    made = "Made by a machine" if record.provenance.get("ai_generated") else "Not made by a model"
    image = escape(image_key(record))
    return (
        f'\n<article id="{escape(record.image_id)}"><a href="{image}">'
        f'<img src="{image}" alt="{escape(record.alt)}" width="{record.width}" '
        f'height="{record.height}" loading="lazy"></a><div class="words">'
        f"<h3>{escape(record.title)}</h3><p>{escape(record.caption)}</p>{when}{notes}"
        f"{f'<ul>{tags}</ul>' if tags else ''}<dl>{rows}</dl>"
        f'<p class="mark">{made} · {model} · '
        f'<a class="doc" href="{escape(document_key(record.record_id))}">document</a></p>'
        "</div></article>"
    )
