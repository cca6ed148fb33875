"""A check before export: does the model that painted a picture know what was asked of it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tools.appearance import STARTER
from engine.starter.captions import parse
from kb_export.review import Verdict

if TYPE_CHECKING:
    from PIL import Image

    from agent_tools.gallery import Gallery
    from kb_export.record import KBRecord


class SubjectCheck:
    """Sets aside what the starter model painted without knowing the thing.

    It paints something else then, and says so when it does; a bot that shows the picture would not.
    Words beside the thing that it does not know (a beach behind the backpack) are a doubt.
    """

    name = "subject check"

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def load(self) -> None:
        """Do nothing: there is no model."""

    def check(self, record: KBRecord, picture: Image.Image) -> Verdict | None:
        """Return the verdict, None where nothing is unknown or another model painted."""
        if record.provenance.get("model") != STARTER:
            return None
        prompt = self._gallery.get(record.image_id).recipe.get("prompt")
        if not isinstance(prompt, str):
            return None
        parsed = parse(prompt)
        unknown = ", ".join(parsed.unknown_words)
        if parsed.domain == "unknown" and (unknown or "background" not in parsed.attributes):
            reason = "The starter model knows no such thing and painted something else."
            return Verdict("failed", "none", 0.0, self.name, reason)
        if unknown:
            reason = f"The starter model does not know: {unknown}."
            return Verdict("doubtful", "none", 0.5, self.name, reason)
        return None
