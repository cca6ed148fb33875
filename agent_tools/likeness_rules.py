"""Whose likeness a persona may be: the rules as data, and the check before anything is painted.

They are term lists, not moderation (see policy.py). A persona speaks for a shop, so they are
stricter than for pictures: no minors and nothing sexual at all, and nobody real without a consent
note, which is stored with the persona.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from agent_tools.errors import InvalidArguments, Refused
from agent_tools.policy import check_prompt, plain_text

log = logging.getLogger(__name__)

MIN_CONSENT = 20  # characters; "yes" is no note


@dataclass(frozen=True, slots=True)
class LikenessRule:
    """One thing that a persona may not be.

    Attributes:
        name: its id, for logs and errors.
        terms: a regular expression over plain text; matched at word boundaries.
        message: what is refused.
        hint: what would be acceptable.
        consent_lifts: whether a consent note makes it acceptable.
    """

    name: str
    terms: str
    message: str
    hint: str
    consent_lifts: bool = False


# A shop for children is no child.
_TRADE = r"(?! ?'?s?'? (?:books?|cloth(?:es|ing)|department|fashion|food|shop|store|toys?|wear))"

_UNDER_18 = (
    "(?:[1-9]|1[0-7]|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen"
    "|fourteen|fifteen|sixteen|seventeen)"
)

RULES: tuple[LikenessRule, ...] = (
    LikenessRule(
        "persona-minor",
        rf"child(?:ren)?{_TRADE}|kids?{_TRADE}"
        r"|minors?|underage|under-age|pre-?teens?|teen(?:s|ager|agers|aged?)?|toddlers?|infants?"
        rf"|bab(?:y|ies)(?! (?:blue|pink)){_TRADE}"
        r"|school ?(?:girls?|boys?)|little (?:girls?|boys?)|lolis?|lolicon|shota(?:con)?"
        rf"|{_UNDER_18}[ -]years?[ -]olds?|aged? {_UNDER_18}(?! ?years? (?:in|of))",
        "Personas are adults; this server makes no avatars of minors.",
        "Describe an adult, a mascot or an object.",
    ),
    LikenessRule(
        "persona-sexual",
        r"nude(?! (?:colou?r|shade|tone|beige|pink|heels|pumps|lipstick|shoes|socks))|nudes|nudity"
        r"|naked|topless|undressed|sexy?|sexual(?:ly|ized)?|erotic|erotica|porn\w*|hentai|nsfw"
        r"|lingerie|bikini|fetish|orgasm\w*|genitals?|seductive(?:ly)?|aroused",
        "This server makes no sexual avatars.",
        "Describe everyday or work clothes, such as a blue suit.",
    ),
    LikenessRule(
        "persona-real-person",
        r"real (?:person|man|woman|people)|(?:based|modell?ed) on (?:a |the |his |her |my |our )?"
        r"(?:real|photo\w*|picture|selfie|actor|actress|celebrity|person)|look-?alike"
        r"|celebrit(?:y|ies)|famous (?:actor|actress|singer|politician|person|athlete)"
        r"|(?:my|our) (?:wife|husband|boss|colleague|friend|neighbou?r|teacher|mother|father|sister"
        r"|brother|girlfriend|boyfriend|ex|ceo|founder)"
        r"|(?:photo|selfie|portrait|face|likeness) of (?:my|our|me)\b",
        "This looks like a real person, and no consent was noted.",
        "Describe a fictional person instead; or, if that person agreed, say in 'consent' who "
        "consented to what and when.",
        consent_lifts=True,
    ),
)
_COMPILED = tuple((rule, re.compile(rf"(?<!\w)(?:{rule.terms})(?!\w)")) for rule in RULES)


def check_persona(*texts: str, consent: str | None, uploaded: bool = False) -> None:
    """Let a persona's words pass, or refuse them.

    Args:
        texts: name, description and everything else that shall be in the picture.
        consent: the note that a real person agreed, if there is one.
        uploaded: whether its face comes from an uploaded picture.

    Raises:
        Refused: saying what would be acceptable; `data["rule"]` names the rule.
        InvalidArguments: if the consent note says nothing.
    """
    note = check_consent(consent)
    text = plain_text(*texts)
    for rule, pattern in _COMPILED:
        if pattern.search(text) and not (rule.consent_lifts and note):
            raise _refused(rule)
    if uploaded and not note:
        raise _refused(
            LikenessRule(
                "persona-uploaded-face",
                "",
                "An uploaded face needs a consent note.",
                "Say in 'consent' who consented to what and when; it is stored with the persona.",
            )
        )
    try:
        check_prompt(*texts)
    except Refused as refusal:
        # A public figure may be shown with consent; nothing else is lifted by it.
        if not (note and refusal.data.get("rule") == "real-person"):
            raise


def check_consent(consent: str | None) -> str | None:
    """Return a consent note without spare spaces; None stays None.

    Raises:
        InvalidArguments: if it is too short to name somebody and what they agreed to.
    """
    if consent is None:
        return None
    note = " ".join(consent.split())
    if len(note) < MIN_CONSENT or len(note.split()) < 4:
        raise InvalidArguments(
            "The consent note does not say who consented to what.",
            hint="For example: 'Anna Weber agreed in writing on 2026-11-03 to an avatar in our "
            "help chat'.",
        )
    return note


def _refused(rule: LikenessRule) -> Refused:
    log.warning("persona refused by rule %s", rule.name)
    return Refused(rule.message, hint=rule.hint, data={"rule": rule.name})
