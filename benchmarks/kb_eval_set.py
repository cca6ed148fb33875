"""The frozen questions, articles and pictures of the retrieval evaluation, and its knowledge bases.

tests/data/kb_eval/README.md says how they were made.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from agent_tools.gallery import Gallery
from agent_tools.image_record import NewImage
from agent_tools.kb_records import Records
from agent_tools.pictures import encode_png
from agent_tools.settings import Settings
from kb_export.encoder import Encoder
from kb_export.exporter import Exporter, ExportReport
from kb_export.outbox import Outbox
from kb_export.record import KBRecord
from kb_export.search import SearchIndex
from kb_export.search_text import with_uses
from kb_export.targets import open_target
from kb_export.targets.folder import FolderTarget

FROZEN = Path(__file__).resolve().parent.parent / "tests" / "data" / "kb_eval"
Arm = Literal["text", "caption", "use_when", "uses"]
ARMS: tuple[Arm, ...] = ("text", "caption", "use_when", "uses")


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks.

    Attributes:
        kind: "picture" where one helps, "text" where an article suffices, "none" where nothing
            in the knowledge base fits.
        topic: the article that answers it.
        pictures: the right ones, by their ids in the set.
    """

    id: str
    kind: Literal["picture", "text", "none"]
    topic: str | None
    question: str
    pictures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Everything frozen.

    Attributes:
        articles: rows with id, title and text.
        pictures: rows with id, article, group, kind and the words a tool wrote.
        uses: for each picture what an agent said it is good for.
        questions: the hundred.
        dev: other questions; thresholds are chosen on them.
    """

    articles: tuple[dict[str, Any], ...]
    pictures: tuple[dict[str, Any], ...]
    uses: dict[str, tuple[str, ...]]
    questions: tuple[Question, ...]
    dev: tuple[Question, ...]


def load_set(folder: Path = FROZEN) -> EvaluationSet:
    """Read the frozen set."""
    questions, dev = (
        tuple(Question(**row | {"pictures": tuple(row["pictures"])}) for row in _rows(folder, name))
        for name in ("questions", "dev")
    )
    uses = {row["id"]: tuple(row["uses"]) for row in _rows(folder, "uses")}
    return EvaluationSet(_rows(folder, "articles"), _rows(folder, "pictures"), uses, questions, dev)


class Base:
    """A gallery whose pictures are exported to a folder and can be searched.

    Attributes:
        keys: ids of the set by image id.
        target: the folder.
    """

    def __init__(
        self, root: Path, frozen: EvaluationSet, arm: Arm, encoder: Encoder | None
    ) -> None:
        """Fill it with the frozen pictures, in the words of one arm."""
        self.gallery = Gallery(root / "data")
        self.index = SearchIndex(self.gallery, encoder)
        self.target = FolderTarget(root / "kb")
        self.folder = root / "kb"
        self._outbox = Outbox(self.gallery)
        self._records = Records(self.gallery, Settings(data=root / "data"))
        articles = {article["id"]: article for article in frozen.articles}
        stored = self.gallery.add(
            [
                _new_image(row, articles[row["article"]], frozen.uses[row["id"]], arm)
                for row in frozen.pictures
            ]
        )
        self.keys = {
            record.image_id: row["id"] for record, row in zip(stored, frozen.pictures, strict=True)
        }

    def records(self) -> list[KBRecord]:
        """Return what every picture's words make now."""
        return [self._records.of(self.gallery.get(image_id)) for image_id in self.keys]

    def export(self) -> ExportReport:
        """Bring everything into the folder and the index."""
        with self.gallery.transaction() as connection:
            self._outbox.enqueue(connection, self.target.name, self.records())
        return self._deliver()

    def remove(self, image_ids: list[str]) -> ExportReport:
        """Take pictures out of the folder and the index."""
        with self.gallery.transaction() as connection:
            self._outbox.withdraw(connection, self.target.name, image_ids)
        return self._deliver()

    def rewrite(self, image_id: str, caption: str) -> None:
        """Change a stored caption, as a person does."""
        with self.gallery.transaction() as connection:
            connection.execute(
                "UPDATE images SET caption = ? WHERE image_id = ?", (caption, image_id)
            )

    def close(self) -> None:
        """Close the gallery."""
        self.gallery.close()

    def _deliver(self) -> ExportReport:
        target = open_target(self.target.name)
        outcome = Exporter(self._outbox, target, self.gallery.read_bytes).run()
        if outcome.problem is not None or outcome.failed or outcome.pending:
            raise SystemExit(f"not everything was exported: {outcome.problem} {outcome.failed}")
        self.index.refresh()
        return outcome


def _rows(folder: Path, name: str) -> tuple[dict[str, Any], ...]:
    text = (folder / f"{name}.jsonl").read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.splitlines())


def _new_image(
    row: dict[str, Any], article: dict[str, Any], uses: tuple[str, ...], arm: Arm
) -> NewImage:
    """Return a small picture, its own for every row, with the words of one arm."""
    color = (
        row["facts"].get("color_hex") or "#" + hashlib.sha256(row["id"].encode()).hexdigest()[:6]
    )
    image = Image.new("RGB", (64, 48), "white")
    image.paste(color, (16, 12, 48, 36))
    image.putpixel((0, 0), tuple(hashlib.sha256(row["id"].encode()).digest()[:3]))
    caption = {name: row[name] for name in ("title", "caption", "alt", "long_description")}
    words = {
        "text": {"title": article["title"], "caption": article["text"], "alt": article["title"]},
        "caption": caption,
        "use_when": {**caption, "use_when": row["use_when"]},
        "uses": {**caption, "use_when": with_uses(row["use_when"], uses)},
    }[arm]
    return NewImage(
        data=encode_png(image),
        media_type="image/png",
        width=image.width,
        height=image.height,
        model="drawn",
        tool=row["spec"]["tool"],
        kind=row["kind"],
        group=row["group"] or row["id"],
        tags=() if arm == "text" else tuple(row["tags"]),
        metadata={} if arm == "text" else row["facts"],
        recipe=row["spec"],
        **words,
    )
