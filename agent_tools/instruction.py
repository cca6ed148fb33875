"""What an edited picture shall show: the wording of the change joined with what was there."""

from __future__ import annotations

import re

from engine.starter.captions import avatar_caption, parse, product_caption

_EDIT_WORDS = frozenset(
    """add adjust alter but change dye edit instead into keep let make modify now paint put recolor
    replace set swap take turn remove off away same rest everything else more""".split()  # noqa: SIM905
)
_REMOVED = {
    "glasses": ("no", "glasses|spectacles"),
    "beard": ("no", "beard"),
    "headwear": ("none", "headset|headphones|chef'?s? hat|hat"),
}
_REMOVE = r"\b(?:no|without|remove|take off|lose)\s+(?:an?\s+|the\s+|his\s+|her\s+|their\s+)?"


def wanted_picture(instruction: str, source_prompt: str) -> str:
    """Return the starter's prompt of an edited picture.

    Diffusion models want the whole picture described, agents say "make it red". Where the source
    is a thing of the starter's vocabulary, the change is read and the rest stays as it was: "make
    it red" on "a purple teapot on a mint background" gives the caption of a red teapot on a mint
    background. Words without a meaning for the model stay in, so that it can name them.

    Args:
        instruction: the change, or the whole wanted picture, in free wording.
        source_prompt: what the source picture was painted from; empty if unknown.
    """
    before = parse(source_prompt)
    if before.domain == "unknown":
        return instruction
    removed, rest = _removed(instruction) if before.domain == "avatar" else ({}, instruction)
    after = parse(rest)
    if after.domain == "unknown":
        figure = before.attributes.get("figure", "person")
        thing = figure if before.domain == "avatar" else before.attributes["kind"]
        after = parse(f"{rest} {thing}")
    same_kind = after.attributes.get("kind") == before.attributes.get("kind")
    if after.domain != before.domain or not same_kind:
        return instruction
    joined = {**before.attributes, **after.attributes, **removed}
    caption = avatar_caption(joined) if after.domain == "avatar" else product_caption(joined)
    unknown = [word for word in after.unknown_words if word not in _EDIT_WORDS]
    return ", ".join([caption, *unknown])


def backdrop(prompt: str) -> str:
    """Return the starter's words for what is behind the thing that `prompt` asks for."""
    return f"a {parse(prompt).attributes.get('background', 'white')} background"


def _removed(instruction: str) -> tuple[dict[str, str], str]:
    """Read "take off the glasses": the attributes that go, and the instruction without them."""
    removed = {}
    for attribute, (value, nouns) in _REMOVED.items():
        instruction, count = re.subn(
            rf"{_REMOVE}(?:{nouns})\b", " ", instruction, flags=re.IGNORECASE
        )
        if count:
            removed[attribute] = value
    return removed, instruction
