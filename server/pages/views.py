"""What pages show, as JSON-ready data: a page and its .json twin are made of the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from agent_tools.differences import difference, has_mask
from agent_tools.errors import NotFound
from agent_tools.remix import can_remix, can_replay, words_argument
from kb_export.captions import markdown

if TYPE_CHECKING:
    from agent_tools.activity import Call
    from agent_tools.image_record import ImageRecord
    from agent_tools.studio import Studio
    from kb_export.search import Hit
    from server.pages.runs import Run

_ROLES = {"image": "Original", "mask": "Mask", "sketch": "Sketch", "reference": "Reference"}
_HEX = re.compile(r"#[0-9A-Fa-f]{6}")


def picture_view(studio: Studio, record: ImageRecord) -> dict[str, Any]:
    """Return a picture as grids show it; paths are relative to the server's root."""
    links = studio.links
    return {
        "image_id": record.image_id,
        "title": record.title,
        "caption": record.caption,
        "alt": record.alt,
        "kind": record.kind,
        "tool": record.tool,
        "model": record.model,
        "seed": record.seed,
        "width": record.width,
        "height": record.height,
        "created_at": record.created_at,
        "color": record.metadata.get("color"),
        "color_hex": color_of(record.metadata),
        "page": f"gallery/{record.image_id}",
        "thumbnail": links.path(record, 384),
        "copy": links.path(record, 1024),
        "file": links.path(record),
    }


def color_of(facts: Mapping[str, Any]) -> str | None:
    """Return the color a variant was made in as #RRGGBB, if its facts say one."""
    color = facts.get("color_hex")
    return color if isinstance(color, str) and _HEX.fullmatch(color) else None


def detail_view(studio: Studio, record: ImageRecord, base_url: str) -> dict[str, Any]:
    """Return everything about one picture.

    Args:
        base_url: the server's address as the browser sees it, for links when no public one is set.
    """
    url = studio.links.url(record) or f"{base_url}/{studio.links.path(record)}"
    return picture_view(studio, record) | {
        "long_description": record.long_description,
        "use_when": record.use_when,
        "tags": list(record.tags),
        "group": record.group,
        "parent_id": record.parent_id,
        "metadata": record.metadata,
        "notes": list(record.notes),
        "recipe": record.recipe,
        "made": made_view(record),
        "can_replay": can_replay(studio, record),
        "can_remix": can_remix(studio, record),
        "words": _words(record),
        "has_mask": has_mask(record),
        "share": {
            "url": url,
            "markdown": f"![{markdown(record.alt)}]({url})",
            "html": f'<img src="{escape(url)}" alt="{escape(record.alt)}" '
            f'width="{record.width}" height="{record.height}">',
        },
        "is_own": studio.gallery.owns(record),
        "is_public": bool(studio.settings.public_url),
    }


def made_view(record: ImageRecord) -> list[dict[str, Any]]:
    """Return how a picture was made: the fields people look for, always in this order."""
    recipe = record.recipe
    params = recipe.get("params") or {}
    seconds = (recipe.get("timings_s") or {}).get("total")
    fields: list[tuple[str, Any]] = [
        ("Prompt", recipe.get("prompt")),
        ("Instead of", recipe.get("negative_prompt")),
        ("Seed", record.seed),
        ("Model", record.model),
        ("Steps", params.get("num_inference_steps")),
        ("Guidance", params.get("guidance_scale")),
        ("Sampler", params.get("sampler")),
        ("Strength", params.get("strength")),
        ("Method", recipe.get("method")),
        ("Target color", recipe.get("target")),
        ("Size", f"{record.width} by {record.height} pixels"),
        ("Tool", record.tool),
        ("Precision", recipe.get("precision")),
        ("Painted in", f"{seconds:.1f} s" if isinstance(seconds, int | float) else None),
    ]
    shown: list[dict[str, Any]] = [
        {"label": label, "value": str(value), "image": False}
        for label, value in fields
        if value not in (None, "")
    ]
    shown += [
        {"label": _ROLES.get(item["role"], "Made from"), "value": item["image_id"], "image": True}
        for item in recipe.get("inputs", [])
    ]
    return shown


def _words(record: ImageRecord) -> str | None:
    name = words_argument(record)
    return None if name is None else str(record.recipe["arguments"][name])


def comparison_view(studio: Studio, records: list[ImageRecord]) -> dict[str, Any]:
    """Return pictures side by side; each but the first with how it differs from the first."""
    first = records[0]
    pictures = []
    for number, record in enumerate(records):
        view = picture_view(studio, record) | {"has_mask": has_mask(record), "difference": None}
        if number:
            found = difference(studio.gallery, first, record)
            if found is not None:
                view["difference"] = {
                    "mean_delta_e": round(found.mean_delta_e, 2),
                    "changed_share": round(found.changed_share, 4),
                    "outside_max_change": found.outside_max_change,
                    "mask_area": None if found.mask_area is None else round(found.mask_area, 4),
                    "target": found.target,
                }
        view["notes"] = list(record.notes)
        pictures.append(view)
    sizes = {(record.width, record.height) for record in records}
    return {"pictures": pictures, "same_size": len(sizes) == 1}


def existing(studio: Studio, image_ids: list[str]) -> list[ImageRecord]:
    """Return the records that are still there."""
    found = []
    for image_id in image_ids:
        try:
            found.append(studio.gallery.get(image_id))
        except NotFound:
            continue
    return found


def hit_view(studio: Studio, hit: Hit, threshold: float) -> dict[str, Any]:
    """Return one answer of a knowledge base, and whether a bot would get it."""
    stored = existing(studio, [hit.record.image_id])
    shown = hit.method == "exact" or hit.score >= threshold
    return {
        "image_id": hit.record.image_id,
        "title": hit.record.title,
        "caption": hit.record.caption,
        "alt": hit.record.alt,
        "use_when": hit.record.use_when,
        "score": round(hit.score, 3),
        "method": hit.method,
        "shown": shown,
        "variants": [
            {
                "image_id": other.image_id,
                "title": other.title,
                "color": other.facts.get("color"),
                "color_hex": color_of(other.facts),
            }
            for other in hit.variants[:20]
        ],
        # None if only the knowledge base still has it.
        "picture": picture_view(studio, stored[0]) if stored else None,
    }


def call_view(call: Call, now: float) -> dict[str, Any]:
    """Return a running or finished call."""
    watchable = call.preview is not None and call.state == "running"
    preview = f"gallery/jobs/{call.call_id}/preview?{call.previews}" if watchable else None
    return {
        "call_id": call.call_id,
        "tool": call.tool,
        "subject": call.subject,
        "state": call.state,
        "done": round(call.done, 4),
        "message": call.message,
        "step": call.step,
        "steps": call.steps,
        "seconds_left": None if call.seconds_left is None else round(call.seconds_left, 1),
        "seconds": round((call.ended_at or now) - call.started_at, 1),
        "preview": preview,
        "image_ids": list(call.image_ids),
    }


def run_view(run: Run) -> dict[str, Any]:
    """Return what was started from a page and how it went."""
    return {
        "run_id": run.run_id,
        "what": run.what,
        "image_id": run.image_id,
        "state": run.state,
        "message": run.message,
        "hint": run.hint,
        "same_bytes": run.same_bytes,
        "reasons": list(run.reasons),
        "made": list(run.made),
    }
