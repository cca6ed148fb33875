"""What makes a kind of knowledge base known: its scheme, how its names read, how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kb_export.targets.base import KBTarget
from kb_export.targets.settings import TargetSettings


@dataclass(frozen=True, slots=True)
class TargetKind:
    """One kind of knowledge base. Its module is light: `open` imports what is heavy.

    Attributes:
        scheme: what names begin with: lower-case letters, digits and "-", such as "open-webui".
        syntax: how a name is written, such as "dify:DATASET_ID"; shown in errors and help.
        parse: takes what follows the colon and returns the one spelling of the whole name, with
            its scheme; the name holds no secret. Raises BadTarget for a malformed one.
        open: takes the name that `parse` gave, and the settings; sends nothing yet.
        settings: names of settings it knows, lower case ("url", "api_key"); each is read from
            `AGENT_TOOLS_KB_<SCHEME>_<NAME>`.
    """

    scheme: str
    syntax: str
    parse: Callable[[str], str]
    open: Callable[[str, TargetSettings], KBTarget]
    settings: tuple[str, ...] = ()
