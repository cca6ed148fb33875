"""A prompt as words, whose recognized phrases are taken out one after another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine.starter.phrases import FILLER


@dataclass(frozen=True, slots=True)
class Mention:
    """A phrase of a prompt, where it stands and what it means."""

    at: int
    phrase: str
    value: str


class SpokenText:
    """A prompt whose recognized phrases are taken out one after another."""

    def __init__(self, prompt: str) -> None:
        self._text = " " + " ".join(re.findall(r"[\w'-]+", prompt.lower())) + " "

    def has(self, *wanted: str) -> bool:
        """Return whether one of the phrases is still there."""
        return any(f" {phrase} " in self._text for phrase in wanted)

    def remove(self, phrase: str) -> None:
        """Take a phrase out."""
        while self.has(phrase):
            self._text = self._text.replace(f" {phrase} ", "  ")

    def mentions(self, table: Mapping[str, str]) -> list[Mention]:
        """Return the phrases of the table in the order they are said; longer ones win."""
        left, found = self._text, []
        for phrase in sorted(table, key=len, reverse=True):
            at = left.find(f" {phrase} ")
            if at >= 0:
                found.append(Mention(at, phrase, table[phrase]))
                left = left.replace(f" {phrase} ", f" {'#' * len(phrase)} ")
        return sorted(found, key=lambda mention: mention.at)

    def take(self, table: Mapping[str, str]) -> str | None:
        """Remove every phrase of the table's longest match; return its value.

        All phrases with that value go, so that "a gift, a present" leaves nothing unknown.
        """
        for phrase in sorted(table, key=len, reverse=True):
            if self.has(phrase):
                value = table[phrase]
                self.remove(phrase)
                for other in sorted(table, key=len, reverse=True):
                    if table[other] == value:
                        self.remove(other)
                return value
        return None

    def rest(self) -> tuple[str, ...]:
        """Return the words that nobody took and that mean something."""
        return tuple(word for word in self._text.split() if word not in FILLER)
