"""Before a record leaves: does its caption say what the picture shows?

Each checker compares one record with its picture. A conclusive failure sets the record aside with
the reason; a doubt is exported as a flag in the record, for people to look at; what a person has
approved is not asked again.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from kb_export.errors import RecordRefused
from kb_export.record import KBRecord, Verified

if TYPE_CHECKING:
    from PIL import Image

Outcome = Literal["passed", "doubtful", "failed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one checker found.

    Attributes:
        verified: the kind of check, for `KBRecord.caption_verified`.
        score: how well picture and caption agree, 0 to 1.
        checker: its name, with the model it used.
        reason: what is wrong, one sentence; empty if it passed.
    """

    outcome: Outcome
    verified: Verified
    score: float
    checker: str
    reason: str = ""


class CaptionChecker(Protocol):
    """Compares captions with pictures."""

    def load(self) -> None:
        """Load what it needs; raises KBError if that cannot be."""

    def check(self, record: KBRecord, picture: Image.Image) -> Verdict | None:
        """Return the verdict, or None if the caption says nothing that this checker can see."""


class Captioner(Protocol):
    """Writes what a picture shows."""

    @property
    def name(self) -> str:
        """The model's name."""

    def load(self) -> None:
        """Load what it needs; raises KBError if that cannot be."""

    def describe(self, picture: Image.Image) -> str:
        """Return one or two sentences, not cleaned yet."""


class Review:
    """Run every checker over a record before it is put into a knowledge base.

    Args:
        checkers: in order of trust; the first that passes is named in the record.
        captioner: writes the words of pictures that came without any.
    """

    def __init__(
        self, checkers: Sequence[CaptionChecker], captioner: Captioner | None = None
    ) -> None:
        self._checkers = tuple(checkers)
        self._captioner = captioner

    def load(self) -> None:
        """Load every model, so that one that cannot be loaded is no record's fault.

        Raises:
            KBError: naming the model and the next step.
        """
        for checker in self._checkers:
            checker.load()
        if self._captioner is not None:
            self._captioner.load()

    def __call__(self, record: KBRecord, image: bytes) -> KBRecord:
        """Return the record with what was found out about its caption.

        Raises:
            RecordRefused: if a check failed, or the picture cannot be decoded.
        """
        if record.caption_verified == "human":
            return record
        if record.caption_flag or record.caption_verified != "none":  # an earlier review's
            record = record.revised(
                caption_verified="none", caption_score=None, caption_checker="", caption_flag=""
            )
        picture = _decoded(record, image)
        if record.caption_source == "none" and self._captioner is not None:
            record = _described(record, picture, self._captioner)
        verdicts = [
            verdict
            for checker in self._checkers
            if (verdict := checker.check(record, picture)) is not None
        ]
        for verdict in verdicts:
            if verdict.outcome == "failed":
                raise RecordRefused(
                    f"The caption of {record.image_id} does not fit its picture "
                    f"({verdict.checker}): {verdict.reason}",
                    hint="Make the picture again, or, if it is right: agent-tools kb approve "
                    f"{record.image_id}",
                )
        doubts = [verdict for verdict in verdicts if verdict.outcome == "doubtful"]
        passed = [verdict for verdict in verdicts if verdict.outcome == "passed"]
        if doubts:
            return record.revised(
                caption_score=doubts[0].score,
                caption_checker=doubts[0].checker,
                caption_flag=" ".join(verdict.reason for verdict in doubts),
            )
        if passed:
            return record.revised(
                caption_verified=passed[0].verified,
                caption_score=passed[0].score,
                caption_checker=passed[0].checker,
            )
        return record


def _decoded(record: KBRecord, image: bytes) -> Image.Image:
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(image), formats=("PNG", "JPEG", "WEBP"))
        picture.load()
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise RecordRefused(
            f"The file of {record.image_id} cannot be decoded ({type(error).__name__}).",
            hint="Make the picture again from its recipe.",
        ) from error
    return picture


def _described(record: KBRecord, picture: Image.Image, captioner: Captioner) -> KBRecord:
    text = captioner.describe(picture)
    described = record.revised(
        caption=text, alt=text, caption_source="vlm", caption_checker=captioner.name
    )
    return described if described.caption else record
