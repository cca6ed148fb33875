"""The looks of pictures, computed once: what `similarity` compares, for a whole gallery."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent_tools.errors import NotFound

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord
    from agent_tools.similarity import Floats
    from kb_export.text_index import Report

_BATCH = 50


class Looks:
    """Keep looks in the gallery's database. The owner holds a lock around every call."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._known: dict[str, Floats] = {}
        with gallery.transaction() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS looks (image_id TEXT PRIMARY KEY, look BLOB)"
            )

    def compare(
        self, record: ImageRecord, image_ids: Sequence[str], report: Report | None = None
    ) -> dict[str, float]:
        """Return how alike each picture is to `record`, 0 to 1; without those that are gone."""
        import numpy as np

        from agent_tools.similarity import likeness

        self._learn([record.image_id, *image_ids], report)
        known = [image_id for image_id in image_ids if image_id in self._known]
        if record.image_id not in self._known or not known:
            return {}
        looks = np.stack([self._known[image_id] for image_id in known])
        scores = likeness(looks, self._known[record.image_id])
        return dict(zip(known, map(float, scores), strict=True))

    def _learn(self, image_ids: Sequence[str], report: Report | None) -> None:
        import numpy as np

        from agent_tools.similarity import LOOK_SIZE

        missing = [image_id for image_id in image_ids if image_id not in self._known]
        if not missing:
            return
        with self._gallery.lock:
            rows = self._gallery.connection.execute("SELECT image_id, look FROM looks").fetchall()
        stored = {row[0]: np.frombuffer(row[1], "<f4") for row in rows}
        self._known |= {i: look for i, look in stored.items() if look.size == LOOK_SIZE}
        missing = [image_id for image_id in missing if image_id not in self._known]
        for start in range(0, len(missing), _BATCH):
            made = {i: look for i in missing[start : start + _BATCH] if (look := self._look(i))}
            with self._gallery.transaction() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO looks VALUES (?, ?)", list(made.items())
                )
            self._known |= {i: np.frombuffer(look, "<f4") for i, look in made.items()}
            if report is not None:
                report(min(start + _BATCH, len(missing)), len(missing), "reading pictures")

    def _look(self, image_id: str) -> bytes | None:
        """Return a look as stored; of the small copy, which most pictures have already."""
        from PIL import Image

        from agent_tools.similarity import look_of

        try:
            small = self._gallery.thumbnail(image_id)
        except (NotFound, FileNotFoundError):
            return None
        with Image.open(io.BytesIO(small), formats=("WEBP",)) as image:
            return look_of(image).astype("<f4").tobytes()
