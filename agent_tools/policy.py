"""A small gate before painting: plain words for what this server never paints.

It is a term list, not moderation: it stops the plain cases in English and says so. A shop that
needs more puts its own moderation in front of the server.
"""

from __future__ import annotations

import logging
import re
import unicodedata

from agent_tools.errors import Refused

log = logging.getLogger(__name__)

_MINOR = (
    r"child(?:ren)?|kids?|minors?|underage|under-age|pre-?teens?|teen(?:s|ager|agers|aged?)?"
    r"|bab(?:y|ies)|toddlers?|infants?|school\s?(?:girls?|boys?)|little (?:girls?|boys?)"
    r"|lolis?|lolicon|shota(?:con)?|(?:[1-9]|1[0-7])[\s-]years?[\s-]old"
)
# "nude" is also a color: nude heels, a nude shade.
_SEXUAL = (
    r"nude(?!\s+(?:colou?r|shade|tone|beige|pink|heels|pumps|lipstick|shoes|socks))|nudes|nudity"
    r"|naked|topless|undressed|sex|sexy|sexual(?:ly|ized)?|erotic|erotica|porn\w*|hentai|nsfw"
    r"|lingerie|fetish|orgasm\w*|genitals?|seductive(?:ly)?|aroused"
)
_IMITATION = (
    r"deep\s?-?fakes?|face\s?-?swaps?|likeness of|looks? (?:exactly|just) like the real"
    r"|celebrity look-?alikes?"
)
_UNDRESSING = (
    r"undress(?:es|ing)?|nudify"
    r"|(?:remove|take off|without) (?:all )?(?:her|his|their) cloth(?:es|ing)"
)
_PUBLIC_FIGURES = (
    r"donald trump|joe biden|barack obama|kamala harris|vladimir putin|volodymyr zelensky+"
    r"|xi jinping"
    r"|emmanuel macron|angela merkel|olaf scholz|friedrich merz|narendra modi|pope (?:francis|leo)"
    r"|king charles|elon musk|mark zuckerberg|jeff bezos|bill gates|sam altman|taylor swift"
    r"|beyonc[eé]"
    r"|kim kardashian|cristiano ronaldo|lionel messi|scarlett johansson|emma watson|tom cruise"
    r"|brad pitt|greta thunberg"
)


def _words(terms: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{terms})(?!\w)")


_RULES: tuple[tuple[str, tuple[re.Pattern[str], ...], str, str], ...] = (
    (
        "sexual-minors",
        (_words(_MINOR), _words(_SEXUAL)),
        "This server paints no sexual content with minors.",
        "Ask for a picture without sexual content.",
    ),
    (
        "undressing",
        (_words(_UNDRESSING),),
        "This server does not undress people.",
        "Ask for other clothing instead, such as a blue suit.",
    ),
    (
        "real-person",
        (_words(f"{_IMITATION}|{_PUBLIC_FIGURES}"),),
        "This server does not imitate real people.",
        "Describe a fictional person instead: age, hair, clothing, mood.",
    ),
)


def check_prompt(*texts: str) -> None:
    """Let what is asked for pass, or refuse it.

    Give what shall be in the picture; what shall not (a negative prompt) need not pass.

    Raises:
        Refused: saying what would be acceptable; `data["rule"]` names the rule.
    """
    text = plain_text(*texts)
    for rule, patterns, message, hint in _RULES:
        if all(pattern.search(text) for pattern in patterns):
            log.warning("prompt refused by rule %s", rule)
            raise Refused(message, hint=hint, data={"rule": rule})


def plain_text(*texts: str) -> str:
    """Return texts as rules read them: one line, small letters, nothing invisible inside words."""
    text = unicodedata.normalize("NFKC", " ".join(texts)).casefold()
    # Format characters (zero-width space and the like) would split a word unseen.
    text = "".join(" " if c.isspace() else c for c in text if unicodedata.category(c) != "Cf")
    return re.sub(r"[\s_]+", " ", text)
