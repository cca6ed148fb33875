"""Rules of the policy from TOML: categories of words, and what happens when they are asked for."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agent_tools.errors import BadSettings
from agent_tools.policy import Action, Policy, Rule, plain_text

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Category(_Part):
    """Words that mean the same thing to a rule.

    `terms` are whole words or phrases, a * at the end standing for any ending; `patterns` are
    regular expressions, for small letters without accents.
    """

    terms: tuple[Term, ...] = ()
    patterns: tuple[str, ...] = ()


class RuleText(_Part):
    """One rule as a file says it: all `categories` together, one of `any`, one of `terms`."""

    id: Name
    categories: tuple[Name, ...] = ()
    any: tuple[Name, ...] = ()
    terms: tuple[Term, ...] = ()
    unless: tuple[Term, ...] = ()
    action: Action = "refuse"
    message: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    instead: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    tools: tuple[str, ...] = ()
    not_tools: tuple[str, ...] = ()
    consent_lifts: bool = False
    always: bool = False


class PolicyText(_Part):
    """A whole file: what of ours to turn off, categories to add or extend, rules to add."""

    turn_off: tuple[Name, ...] = ()
    categories: dict[Name, Category] = Field(default_factory=dict)
    rules: tuple[RuleText, ...] = ()


def load_policy(file: Path | None) -> Policy:
    """Read the rules that every server has, and those of a file.

    Raises:
        BadSettings: naming the place in the file.
    """
    ours = files("agent_tools").joinpath("assets/policy.toml").read_text(encoding="utf-8")
    said = [_parse(ours, "policy.toml")]
    if file is not None:
        try:
            said.append(_parse(file.read_text(encoding="utf-8"), str(file)))
        except (OSError, UnicodeDecodeError) as error:
            raise _bad(str(file), f"cannot be read: {error}") from None
    categories: dict[str, Category] = {}
    rules: dict[str, RuleText] = {}
    for text in said:
        for name, added in text.categories.items():
            known = categories.get(name, Category())
            categories[name] = Category(
                terms=known.terms + added.terms, patterns=known.patterns + added.patterns
            )
        for name in text.turn_off:
            if name not in rules:
                raise _bad(str(file), f"turns off '{name}', which is no rule of ours")
            if rules[name].always:
                raise _bad(str(file), f"turns off '{name}', which always holds")
            del rules[name]
        for rule in text.rules:
            if rule.id in rules:
                raise _bad(str(file), f"has the rule '{rule.id}' twice, or as one of ours")
            rules[rule.id] = rule
    return Policy(tuple(_compiled(rule, categories, str(file)) for rule in rules.values()))


def _parse(text: str, source: str) -> PolicyText:
    try:
        return PolicyText.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _bad(source, f"is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _bad(source, f"is wrong at {where}: {first['msg']}") from None


def _compiled(rule: RuleText, categories: dict[str, Category], source: str) -> Rule:
    for name in (*rule.categories, *rule.any):
        if name not in categories:
            known = ", ".join(sorted(categories))
            raise _bad(source, f"uses the category '{name}' in '{rule.id}'; known are {known}")
    groups = [categories[name] for name in rule.categories]
    either = [categories[name] for name in rule.any] + [Category(terms=rule.terms)]
    groups.append(
        Category(
            terms=tuple(term for group in either for term in group.terms),
            patterns=tuple(pattern for group in either for pattern in group.patterns),
        )
    )
    all_of = tuple(
        _pattern(group, rule.id, source) for group in groups if group.terms or group.patterns
    )
    if not all_of:
        raise _bad(source, f"has no words in the rule '{rule.id}'")
    return Rule(
        id=rule.id,
        all_of=all_of,
        message=rule.message,
        instead=rule.instead,
        unless=_pattern(Category(terms=rule.unless), rule.id, source) if rule.unless else None,
        action=rule.action,
        tools=frozenset(rule.tools),
        not_tools=frozenset(rule.not_tools),
        consent_lifts=rule.consent_lifts,
        always=rule.always,
    )


def _pattern(category: Category, rule: str, source: str) -> re.Pattern[str]:
    words = [_term(term) for term in category.terms]
    try:
        for pattern in category.patterns:
            re.compile(pattern)
        return re.compile(rf"(?<!\w)(?:{'|'.join([*words, *category.patterns])})(?!\w)")
    except re.error as error:
        raise _bad(source, f"has a bad pattern for '{rule}': {error}") from None


def _term(term: str) -> str:
    """Return a term as a pattern: spaces and hyphens are alike, a last * is any ending."""
    words = plain_text(term.removesuffix("*")).strip()
    pattern = r"[\s-]?".join(re.escape(part) for part in re.split(r"[\s-]+", words))
    return pattern + (r"\w*" if term.endswith("*") else "")


def _bad(source: str, problem: str) -> BadSettings:
    return BadSettings(
        f"The policy file {source} {problem}.",
        hint="docs/policy.md shows its form.",
        data={"setting": "policy"},
    )
