"""What goes back: OpenAI's answer and events, with a few keys more.

Shapes: `ImagesResponse`, `ImageGenPartialImageEvent`, `ImageGenCompletedEvent` and the like of the
`openai` client, which keeps keys that it does not know.
"""

from __future__ import annotations

import base64
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agent_tools.image_record import ImageRecord
from agent_tools.studio import Studio
from server.images_api.bodies import Asked, Painted
from server.images_api.jobs import Completed, Job, Made, Partial
from server.images_api.models import SAME_QUALITY
from server.images_api.renditions import Rendered, Rendition, encode_partial, render

EventKind = Literal["image_generation", "image_edit"]
_WORDS = re.compile(r"\w+|[^\w\s]")
_PATCH = 16


@dataclass(frozen=True, slots=True)
class Answering:
    """Writes the answers of one request.

    Attributes:
        studio: where the pictures are kept.
        body: what was asked.
        job: what was made of it.
        sources: pictures that the caller sent.
        address: gives the web address of a record.
    """

    studio: Studio
    body: Asked
    job: Job
    sources: Sequence[ImageRecord]
    address: Callable[[ImageRecord], str]

    def whole(self, made: Sequence[Made]) -> dict[str, Any]:
        """Return the answer that carries all pictures. Takes time.

        Raises:
            ApiError: if a picture cannot be given as it is wanted.
        """
        data, sizes, notes = [], [], list(self.job.notes)
        for item in made:
            entry, rendered = self._entry(item)
            data.append(entry)
            sizes.append(rendered.size)
            notes += rendered.notes
        first = sizes[0]
        return {
            "created": int(time.time()),
            "background": "transparent" if self._wanted.transparent else "opaque",
            "output_format": self._wanted.format,
            "quality": self._quality,
            "size": f"{first[0]}x{first[1]}",
            "data": data,
            "usage": self._usage(sizes, details=True),
            "model": data[0]["model"],
            "notes": list(dict.fromkeys(notes)),
            **self._end_user(),
        }

    def partial(self, kind: EventKind, partial: Partial) -> dict[str, Any]:
        """Return the event of a preview."""
        data = encode_partial(partial.image, self._wanted)
        return {
            **self._event(f"{kind}.partial_image", data),
            "size": self.body.size,
            "partial_image_index": partial.number,
            "image_index": partial.index,
        }

    def completed(self, kind: EventKind, completed: Completed) -> dict[str, Any]:
        """Return the event of a finished picture. Takes time.

        Raises:
            ApiError: if it cannot be given as it is wanted.
        """
        entry, rendered = self._entry(completed.made)
        del entry["b64_json"]
        return {
            **self._event(f"{kind}.completed", rendered.data),
            "size": f"{rendered.size[0]}x{rendered.size[1]}",
            "usage": self._usage([rendered.size], details=False),
            "image_index": completed.index,
            **entry,
            "notes": [*self.job.notes, *entry["notes"]],
            **self._end_user(),
        }

    @property
    def _wanted(self) -> Rendition:
        return Rendition.of(self.body)

    @property
    def _quality(self) -> str:
        quality = self.body.quality if isinstance(self.body, Painted) else "auto"
        return SAME_QUALITY.get(quality, quality)

    def _entry(self, made: Made) -> tuple[dict[str, Any], Rendered]:
        record = self.studio.gallery.get(made.image_id)
        if self.body.response_format == "url":
            size = (record.width, record.height)
            rendered = Rendered(b"", size, self._url_notes(size))
            shown = {"url": self.address(record)}
        else:
            rendered = render(record, self._wanted)
            shown = {"b64_json": base64.b64encode(rendered.data).decode()}
        asked = self.job.arguments["prompt"]
        revised = {"revised_prompt": made.prompt} if made.prompt not in ("", asked) else {}
        about = {
            "seed": record.seed,
            "image_id": record.image_id,
            "caption": record.caption,
            "alt": record.alt,
            "model": record.model,
            "notes": [*rendered.notes, *record.notes],
        }
        return {**shown, **revised, **about}, rendered

    def _url_notes(self, size: tuple[int, int]) -> tuple[str, ...]:
        wanted = self.body.wanted_size
        if wanted is None or wanted == size:
            return ()
        return (
            f"The address leads to the picture as painted, {size[0]}x{size[1]}; b64_json would "
            f"have it at {wanted[0]}x{wanted[1]}.",
        )

    def _event(self, kind: str, data: bytes) -> dict[str, Any]:
        return {
            "type": kind,
            "b64_json": base64.b64encode(data).decode(),
            "created_at": int(time.time()),
            "background": "transparent" if self._wanted.transparent else "opaque",
            "output_format": self._wanted.format,
            "quality": self._quality,
        }

    def _usage(self, sizes: Sequence[tuple[int, int]], *, details: bool) -> dict[str, Any]:
        """Count what went in and came out, in units of our own: nothing here is billed."""
        words = len(_WORDS.findall(self.job.arguments["prompt"]))
        seen = sum(_patches((record.width, record.height)) for record in self.sources)
        painted = sum(_patches(size) for size in sizes)
        usage: dict[str, Any] = {
            "input_tokens": words + seen,
            "output_tokens": painted,
            "total_tokens": words + seen + painted,
            "input_tokens_details": {"text_tokens": words, "image_tokens": seen},
        }
        if details:
            usage["output_tokens_details"] = {"text_tokens": 0, "image_tokens": painted}
        return usage

    def _end_user(self) -> dict[str, str]:
        user = self.body.end_user
        return {} if user is None else {"safety_identifier": user}


def _patches(size: tuple[int, int]) -> int:
    return math.ceil(size[0] / _PATCH) * math.ceil(size[1] / _PATCH)
