"""The gate before painting: rules of what this server never paints, and who is told what.

The rules are term lists, not moderation: they stop the plain cases and say so. Ours are in
assets/policy.toml; the setting `policy` names a file that adds to them (`agent_tools.policy_file`).

`Studio.call` names the policy of the running call with `enforcing` and checks the words of its
arguments; `painting.paint` checks what really reaches the engine. So every door has the gate.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agent_tools.errors import Refused

if TYPE_CHECKING:
    from pydantic import BaseModel

log = logging.getLogger(__name__)

Action = Literal["refuse", "log"]
# Arguments that say nothing about what shall be in the picture: ids, what to keep away from,
# and names of colors, among which is "nude".
_NO_WORDS = re.compile(r"(?:.*_)?ids?|negative_prompt|model|colors?|consent")
# Letters of other alphabets that look like ours (a few of Unicode's confusables, UTS #39).
_LOOKALIKES = str.maketrans("аеорсухіјѕԁһɡοαν", "aeopcyxijsdhgoav")  # noqa: RUF001
_SPELLED = re.compile(r"(?<!\w)(?:\w[ .\-*]){3,}\w(?!\w)")


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is not painted.

    Attributes:
        id: its name in logs and errors.
        all_of: patterns that must all be found.
        unless: what is harmless and is taken out before looking; None if nothing is.
        action: "refuse", or "log" to only count how often it would.
        message: what the model is told.
        instead: what would be acceptable.
        tools: the tools it is for; empty means all that make pictures.
        not_tools: the tools it is not for.
        consent_lifts: whether a real person's stored consent lifts it.
        always: whether no file can turn it off.
    """

    id: str
    all_of: tuple[re.Pattern[str], ...]
    message: str
    instead: str
    unless: re.Pattern[str] | None = None
    action: Action = "refuse"
    tools: frozenset[str] = frozenset()
    not_tools: frozenset[str] = frozenset()
    consent_lifts: bool = False
    always: bool = False

    def concerns(self, tool: str) -> bool:
        """Return whether it is for this tool."""
        return (not self.tools or tool in self.tools) and tool not in self.not_tools

    def said(self) -> list[str | list[str]]:
        """Return what decides, JSON-ready and the same in every process."""
        return [
            self.id,
            [pattern.pattern for pattern in self.all_of],
            self.unless.pattern if self.unless else "",
            self.action,
            sorted(self.tools),
            sorted(self.not_tools),
        ]

    def fits(self, readings: tuple[str, ...]) -> bool:
        """Return whether words, read in one way or another, are what it speaks of."""
        if self.unless is not None:
            readings = tuple(self.unless.sub(" ", reading) for reading in readings)
        return all(any(p.search(reading) for reading in readings) for p in self.all_of)


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules of a server, and what names them together."""

    rules: tuple[Rule, ...]

    @property
    def fingerprint(self) -> str:
        """Name these very rules: stored pictures are shown again only under the same ones."""
        said = [rule.said() for rule in self.rules]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def check(self, *texts: str, tool: str = "", consented: bool = False) -> None:
        """Let what is asked for pass, or refuse it; see `check_prompt`."""
        readings = _readings(*texts)
        for rule in self.rules:
            if (rule.consent_lifts and consented) or not rule.concerns(tool):
                continue
            if rule.fits(readings):
                # Never what was asked: it may be private, and logs are read by others.
                fields = {"rule": rule.id, "decision": rule.action, "tool": tool}
                log.info("policy rule %s: %s", rule.id, rule.action, extra={"fields": fields})
                if rule.action == "refuse":
                    raise Refused(rule.message, hint=rule.instead, data={"rule": rule.id})
        log.debug("policy: passed", extra={"fields": {"decision": "pass", "tool": tool}})


@dataclass(frozen=True, slots=True)
class _Call:
    """What the running call is judged by."""

    policy: Policy
    tool: str
    consented: bool = False


_running: ContextVar[_Call | None] = ContextVar("agent_tools_policy", default=None)


@contextmanager
def enforcing(policy: Policy, tool: str) -> Iterator[None]:
    """Judge everything that runs inside, a call of `tool`, by this policy."""
    token = _running.set(_Call(policy, tool))
    try:
        yield
    finally:
        _running.reset(token)


def note_consent() -> None:
    """Lift, for the rest of the running call, what a real person's stored consent lifts."""
    call = _running.get()
    if call is not None:
        _running.set(replace(call, consented=True))


def check_prompt(*texts: str) -> None:
    """Let what is asked for pass, or refuse it, by the policy of the running call.

    Give what shall be in the picture; what shall not (a negative prompt) need not pass.

    Raises:
        Refused: saying what would be acceptable; `data["rule"]` names the rule.
    """
    call = _current()
    call.policy.check(*texts, tool=call.tool, consented=call.consented)


def check_arguments(arguments: BaseModel) -> None:
    """Let a call's arguments pass, or refuse them: all words that say what to make.

    Raises:
        Refused: as `check_prompt`.
    """
    consented = bool(getattr(arguments, "consent", None))
    call = _current()
    words = tuple(_words(arguments.model_dump(mode="json")))
    call.policy.check(*words, tool=call.tool, consented=consented or call.consented)


def running_tool() -> str:
    """Return the tool whose call runs; empty outside of a call."""
    return _current().tool


def plain_text(*texts: str) -> str:
    """Return texts as rules read them: one line, small letters, no accents, nothing invisible."""
    text = unicodedata.normalize("NFKD", " ".join(texts)).casefold()
    # Format characters (zero-width space and the like) would split a word unseen; combining
    # marks are the accents that NFKD took off their letters.
    text = "".join(
        " " if c.isspace() else c for c in text if unicodedata.category(c) not in ("Cf", "Mn")
    )
    return re.sub(r"[\s_]+", " ", text)


@cache
def default_policy() -> Policy:
    """Return the rules that every server has."""
    from agent_tools.policy_file import load_policy

    return load_policy(None)


def open_policy(file: Path | None) -> Policy:
    """Return the rules of a server: ours, and those of a file.

    Raises:
        BadSettings: if the file cannot be read or says something unknown.
    """
    if file is None:
        return default_policy()
    from agent_tools.policy_file import load_policy

    return load_policy(file)


def _current() -> _Call:
    return _running.get() or _Call(default_policy(), "")


def _readings(*texts: str) -> tuple[str, ...]:
    """Return the ways to read some words: as they are, and without two ways to hide them."""
    text = plain_text(*texts)
    latin = text.translate(_LOOKALIKES)
    joined = _SPELLED.sub(_joined, latin)
    return tuple(dict.fromkeys((text, latin, joined)))


def _joined(spelled: re.Match[str]) -> str:
    """Return spelled letters as a word, once with the first, which may be the article "a"."""
    word = re.sub(r"[ .\-*]", "", spelled[0])
    return f"{word} {word[1:]}"


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not _NO_WORDS.fullmatch(name):
                yield from _words(item)
