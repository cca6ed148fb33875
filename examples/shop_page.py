"""The page of the shop dialogue: a chat with pictures in one HTML file, no script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent_tools.gallery import Gallery
from agent_tools.image_record import ImageRecord

_STYLE = """
:root { color-scheme: light dark; --paper: #f6f4ee; --card: #fff; --ink: #22252b; --soft: #626975;
  --line: #e3dfd4; --mine: #1f6f63; --mine-ink: #fff; --warn: #9a3412; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171b; --card: #1f2228; --ink: #ecebe6;
  --soft: #a4aab5; --line: #343841; --mine: #1c5f56; --mine-ink: #eefaf7; --warn: #fdba74; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5; font-size: 1rem;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: clamp(1.2rem, 4vw, 3rem) 1rem 4rem; }
h1 { font-size: clamp(1.5rem, 4.5vw, 2.2rem); line-height: 1.2; letter-spacing: -.02em;
  margin: 0 0 .4rem; text-wrap: balance; }
.lead { color: var(--soft); margin: 0 0 2rem; }
.customer, .shop { display: flex; gap: .7rem; margin: 1.1rem 0; }
.customer { flex-direction: column; align-items: flex-end; }
.bubble { border-radius: 18px; padding: .65rem 1rem; margin: 0; max-width: 34rem; }
.customer .bubble { background: var(--mine); color: var(--mine-ink);
  border-bottom-right-radius: 5px; }
.shop .bubble { background: var(--card); border: 1px solid var(--line);
  border-top-left-radius: 5px; width: fit-content; }
.face { flex: none; width: 2.6rem; height: 2.6rem; border-radius: 50%; object-fit: cover;
  border: 1px solid var(--line); background: var(--card); }
.body { min-width: 0; flex: 1; display: grid; gap: .6rem; }
.pictures { display: grid; gap: .6rem;
  grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.pictures.one { grid-template-columns: minmax(0, 20rem); }
.pictures.wide { grid-template-columns: 1fr; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  overflow: hidden; }
figure img { display: block; width: 100%; height: auto; background: #fff; }
.wide img { padding: .8rem; }
figcaption { padding: .5rem .75rem .6rem; font-size: .86rem; }
figcaption small { display: block; color: var(--soft); }
.customer figure { max-width: 14rem; }
details { font-size: .82rem; color: var(--soft); }
summary { cursor: pointer; }
summary.refused { color: var(--warn); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--card); margin: .4rem 0 0;
  border: 1px solid var(--line); border-radius: 10px; padding: .6rem .8rem; font-size: .8rem; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .86rem; }
"""


def render(
    turns: Sequence[Mapping[str, Any]],
    gallery: Gallery,
    attached: Mapping[int, ImageRecord],
    seconds: float,
) -> str:
    """Return the page of a chat.

    Args:
        turns: each with its `messages` and `seconds`.
        gallery: where the pictures are that tools returned.
        attached: pictures that the customer sent, by the turn's number from 0.
        seconds: the whole took.
    """
    faces = [image["image_id"] for turn in turns for image in _images(turn, "create_persona")]
    parts = []
    for number, turn in enumerate(turns):
        for message in turn["messages"]:
            if isinstance(message, HumanMessage):
                sent = attached.get(number)
                shown = "" if sent is None else _figure(_described(sent))
                text = f'<p class="bubble">{escape(message.text)}</p>'
                parts.append(f'<section class="customer">{text}{shown}</section>')
        parts.append(_answer(turn, gallery, faces[0] if faces else None))
    pictures = sum(len(_images(turn)) for turn in turns)
    joined = "\n".join(parts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<title>A chat with pictures</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>A shop's chatbot that answers with pictures</h1>
<p class="lead">{len(turns)} questions, {pictures} pictures, {seconds:.0f} seconds on this machine's
processor, nothing sent anywhere. Open a tool's line to see what the agent asked and got.</p>
{joined}
<footer>Played by a LangGraph agent with a scripted model and the tools of agent-tools. Every
picture says inside its file that a machine made it. The photograph's credit is in
agent_tools/assets/CREDIT.md.</footer>
</main>
</body>
</html>
"""


def _answer(turn: Mapping[str, Any], gallery: Gallery, face: str | None) -> str:
    *_, last = turn["messages"]
    calls = {
        asked["id"]: asked
        for message in turn["messages"]
        if isinstance(message, AIMessage)
        for asked in message.tool_calls
    }
    tools = "".join(
        _tool(calls[message.tool_call_id], message, turn["seconds"])
        for message in turn["messages"]
        if isinstance(message, ToolMessage)
    )
    images = _images(turn)
    records = [gallery.get(image["image_id"]) for image in images]
    wide = any(record.width > 1.4 * record.height for record in records)
    shape = "wide" if wide else "one" if len(images) == 1 else ""
    shown = "".join(_figure(image) for image in images)
    shown = f'<div class="pictures {shape}">{shown}</div>' if images else ""
    portrait = (
        f'<img class="face" src="pictures/{face}.png" alt="Mina">'
        if face
        else '<span class="face"></span>'
    )
    return (
        f'<section class="shop">{portrait}<div class="body">'
        f'<p class="bubble">{escape(last.text)}</p>{shown}{tools}</div></section>'
    )


def _images(turn: Mapping[str, Any], tool: str = "") -> list[dict[str, Any]]:
    """Return the pictures that a turn's tools gave, each with what was measured of it."""
    found: list[dict[str, Any]] = []
    for message in turn["messages"]:
        if not isinstance(message, ToolMessage) or not (message.name or "").startswith(tool):
            continue
        data = (message.artifact or {}).get("data", {})
        found += data.get("images", [])
        found += [
            item["image"] | {"measurements": item["measurements"]}
            for item in data.get("variants", [])
        ]
        if message.name == "search_kb":
            found += data["hits"]
    return found


def _described(record: ImageRecord) -> dict[str, Any]:
    return {
        "image_id": record.image_id,
        "caption": record.caption,
        "alt": record.alt,
    }


def _figure(image: Mapping[str, Any]) -> str:
    measured = image.get("measurements")
    more = ""
    if measured:
        more = f"<small>&Delta;E {measured['achieved_delta_e']:.1f} to {measured['target']}</small>"
    return (
        f'<figure><img src="pictures/{escape(image["image_id"])}.png" alt="{escape(image["alt"])}">'
        f"<figcaption>{escape(image['caption'])}{more}</figcaption></figure>"
    )


def _tool(asked: Mapping[str, Any], message: ToolMessage, seconds: float) -> str:
    refused = message.status == "error"
    said = json.dumps(asked["args"], ensure_ascii=False, indent=1)
    title = f"{asked['name']}: {'declined' if refused else f'{seconds:.1f} s'}"
    style = ' class="refused"' if refused else ""
    return (
        f"<details><summary{style}>{escape(title)}</summary>"
        f"<pre>{escape(said)}\n\n{escape(message.text)}</pre></details>"
    )
