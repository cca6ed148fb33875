"""The demo's page: one HTML file with relative links, no script, everything escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

_STAGES = {
    "tools": "Server start, tools listed",
    "variants": "Four variants from words",
    "recolors": "Three exact recolors",
    "persona": "Persona, three pictures",
    "diagram": "Diagram",
    "export": "Export to the knowledge base",
    "questions": "Three questions",
}

_STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #ffffff; --ink: #1d2026;
  --soft: #5d6470; --line: #e4e1d9; --accent: #0f766e; --wrong: #b42318; --bubble: #e7f3f1; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1d2026; --ink: #eceae4;
  --soft: #a3a9b4; --line: #31353d; --accent: #5eead4; --wrong: #fda29b; --bubble: #18332f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3.5rem) 1.25rem 4rem; }
h1 { font-size: clamp(1.7rem, 4.5vw, 2.7rem); line-height: 1.15; margin: 0 0 .6rem;
  letter-spacing: -.02em; text-wrap: balance; }
h2 { font-size: 1.3rem; letter-spacing: -.01em; margin: 3rem 0 .2rem; }
p { margin: 0 0 1rem; max-width: 44rem; }
.lead, .about { color: var(--soft); }
.lead { font-size: 1.08rem; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; margin: 1.2rem 0 0;
  list-style: none; }
.facts li { border: 1px solid var(--line); background: var(--card); border-radius: 99px;
  padding: .25rem .8rem; font-size: .9rem; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  overflow: hidden; display: flex; flex-direction: column; }
figure img { display: block; width: 100%; height: auto; background: #fff; }
figcaption { padding: .75rem .9rem .9rem; font-size: .92rem; }
figcaption small { display: block; color: var(--soft); margin-top: .3rem; font-size: .82rem;
  overflow-wrap: anywhere; }
.swatch { display: inline-block; width: .95em; height: .95em; border-radius: 50%;
  border: 1px solid var(--line); vertical-align: -.12em; margin-right: .35em; }
.wide img { padding: clamp(.4rem, 2vw, 1.5rem); object-fit: contain; max-height: 34rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .7rem; margin: .5rem 0 0;
  font-size: .82rem; color: var(--soft); }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; color: var(--ink); }
.talk { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); }
.turn { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1rem;
  display: flex; flex-direction: column; gap: .8rem; }
.ask { align-self: flex-end; background: var(--bubble); border-radius: 16px 16px 4px 16px;
  padding: .55rem .9rem; margin: 0; max-width: 92%; }
.answer { display: flex; flex-direction: column; gap: .5rem; margin-top: auto; }
.answer img { width: 100%; height: 13rem; object-fit: contain; border-radius: 10px;
  background: #fff; border: 1px solid var(--line); display: block; }
.answer p { margin: 0; font-size: .92rem; }
.right { color: var(--accent); font-weight: 600; } .wrong { color: var(--wrong); font-weight: 600; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .45rem .9rem;
  align-items: center; font-size: .92rem; max-width: 44rem; }
.bars div { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1;
  align-items: center; }
.bars i { display: block; height: .55rem; border-radius: 99px; background: var(--accent);
  min-width: 3px; }
.bars b { font-weight: 500; font-variant-numeric: tabular-nums; text-align: right; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .88rem; }
a { color: var(--accent); }
@media (max-width: 34rem) {
  .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .7rem; }
  figcaption { padding: .6rem .7rem .7rem; font-size: .86rem; }
  dl { grid-template-columns: 1fr; } dd { text-align: left; margin-bottom: .2rem; }
  .bars { grid-template-columns: 1fr max-content; }
  .bars i { grid-column: 1 / -1; grid-row: 2; } }
"""


def render(report: dict[str, Any]) -> str:
    """Return the page of a demo report; pictures are linked relative to it."""
    pictures = {picture["image_id"]: picture for picture in _pictures(report)}
    questions = report["kb"]["questions"]
    right = sum(question["right"] for question in questions)
    total = report["seconds"]["total"]
    persona = report["persona"]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<title>agent-tools: what the demo made</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<header>
<h1>An agent asked. Pictures were painted. The knowledge base shows them.</h1>
<p class="lead">A client started the server, spoke MCP with it over standard input and output, and
got everything on this page. Nothing was sent anywhere.</p>
<ul class="facts">
<li>{len(pictures) - 1} pictures made</li><li>{total:.0f} seconds</li>
<li>model {escape(str(report["model"]))}</li><li>{len(report["tools"])} tools</li>
<li>{right} of {len(questions)} questions answered</li>
</ul>
</header>

<h2>A product in four colors, from words</h2>
<p class="about">The same seed keeps shape and view. What the model painted is measured and, where
it is off, made exact.</p>
<div class="grid">{_join(_variant(v) for v in report["variants"])}</div>

<h2>A photograph in three exact colors</h2>
<p class="about">Only pixels inside the mask change; light and shade stay. &Delta;E is the CIEDE2000
distance between the color asked for and the product's mid-tone: below 2 is a match.</p>
<div class="grid">{_figure(report["photo"], "<small>The photograph</small>")}
{_join(_variant(v) for v in report["recolors"])}</div>

<h2>{escape(persona["name"])}, the same person every time</h2>
<p class="about">Created from &ldquo;{escape(persona["description"])}&rdquo;, stored as
{escape(persona["persona_id"])}, then drawn again by that id.</p>
<div class="grid">{_join(_expression(image) for image in persona["images"])}</div>

<h2>A diagram with every word legible</h2>
<p class="about">Drawn from Mermaid text, not painted: structure and words are exact.</p>
{_figure(report["diagram"], "", "wide")}

<h2>What shoppers asked</h2>
<p class="about">Everything was exported to <a href="knowledge-base/index.html">a knowledge
base</a>. A chatbot asks it and shows the picture that answers.</p>
<div class="talk">{_join(_turn(question, pictures) for question in questions)}</div>

<h2>How long it took</h2>
<div class="bars">{_bars(report["seconds"])}</div>

<footer>agent-tools {escape(str(report["version"]))}. All figures are in
<a href="report.json">report.json</a>. The server's log: <a href="server.log">server.log</a>.
The photograph's credit is in agent_tools/assets/CREDIT.md.</footer>
</main>
</body>
</html>
"""


def _pictures(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *report["variants"],
        report["photo"],
        *report["recolors"],
        *report["persona"]["images"],
        report["diagram"],
    ]


def _join(parts: Iterable[str]) -> str:
    return "\n".join(parts)


def _figure(picture: dict[str, Any], more: str = "", style: str = "") -> str:
    return (
        f'<figure class="{style}">{_image(picture)}'
        f"<figcaption>{escape(picture['caption'])}{more}</figcaption></figure>"
    )


def _image(picture: dict[str, Any]) -> str:
    return (
        f'<a href="{escape(picture["path"])}"><img src="{escape(picture["path"])}" '
        f'alt="{escape(picture["alt"])}" width="{int(picture["width"])}" '
        f'height="{int(picture["height"])}"></a>'
    )


def _variant(variant: dict[str, Any]) -> str:
    measured = variant["measurements"]
    if measured is None:
        return _figure(variant, _seed(variant))
    rows = [
        ("Asked for", _swatch(measured["target"]) + escape(measured["target_name"])),
        ("&Delta;E", f"{measured['achieved_delta_e']:.2f}"),
    ]
    painted = measured.get("painted_delta_e")
    if painted is not None and painted != measured["achieved_delta_e"]:
        rows[-1] = ("&Delta;E", f"{painted:.2f} painted, {rows[-1][1]} corrected")
    if measured.get("outside_max_change") is not None:
        change = measured["outside_max_change"]
        rows.append(("Bytes outside", f"changed by {change}" if change else "all unchanged"))
    if measured.get("r_log_y") is not None:
        rows.append(("Shading kept", f"{measured['r_log_y']:.3f}"))
    table = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    warnings = "".join(f"<small>{escape(warning)}</small>" for warning in measured["warnings"])
    return _figure(variant, f"<dl>{table}</dl>{_seed(variant)}{warnings}")


def _swatch(color: str) -> str:
    return f'<span class="swatch" style="background:{escape(color)}"></span>'


def _seed(picture: dict[str, Any]) -> str:
    return "" if picture["seed"] is None else f"<small>Seed {picture['seed']}</small>"


def _expression(image: dict[str, Any]) -> str:
    alike = image.get("similarity")
    measured = "" if alike is None else f", {alike:.2f} alike to the first picture"
    return _figure(image, f"<small>{escape(image['expression'])}{measured}</small>")


def _turn(question: dict[str, Any], pictures: dict[str, dict[str, Any]]) -> str:
    found = pictures.get(question["found"] or "")
    mark = (
        '<span class="right">&#10003; the right picture</span>'
        if question["right"]
        else '<span class="wrong">&#10007; not the expected picture</span>'
    )
    if found is not None:
        shown = f"{_image(found)}<p>{escape(found['caption'])}</p>"
    else:
        shown = f"<p>{escape(question['found'] or 'Nothing found.')}</p>"
    score = "" if question["score"] is None else f", score {question['score']:.2f}"
    return (
        f'<article class="turn"><p class="ask">{escape(question["question"])}</p>'
        f'<div class="answer">{shown}<p>{mark}{score}</p></div></article>'
    )


def _bars(seconds: dict[str, float]) -> str:
    longest = max(seconds[name] for name in _STAGES) or 1.0
    return "".join(
        f'<div><span>{label}</span><i style="width:{100 * seconds[name] / longest:.1f}%"></i>'
        f"<b>{seconds[name]:.1f} s</b></div>"
        for name, label in _STAGES.items()
    )
