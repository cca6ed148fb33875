"""Knowledge bases, one file each; `open_target` turns a name into one.

A kind of knowledge base is a module with a `KIND` (see `TargetKind`). Another package adds one by
an entry point of the group `agent_tools.kb_targets`, named like its scheme:

    [project.entry-points."agent_tools.kb_targets"]
    wiki = "my_package.wiki:KIND"
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Mapping

from kb_export.errors import BadTarget
from kb_export.targets.base import Capabilities, KBTarget
from kb_export.targets.kind import TargetKind
from kb_export.targets.settings import TargetSettings, read_settings

__all__ = [
    "ENTRY_POINTS",
    "Capabilities",
    "KBTarget",
    "TargetKind",
    "TargetSettings",
    "known_schemes",
    "open_target",
    "target_name",
    "target_syntaxes",
]

ENTRY_POINTS = "agent_tools.kb_targets"
# Modules load when a name asks for them. This package's own schemes cannot be taken over.
_BUILT_IN = {
    "bedrock": "kb_export.targets.bedrock_place",
    "dify": "kb_export.targets.dify",
    "folder": "kb_export.targets.folder",
    "langchain": "kb_export.targets.langchain",
    "open-webui": "kb_export.targets.open_webui",
    "openai": "kb_export.targets.openai",
    "pages": "kb_export.targets.pages",
    "ragflow": "kb_export.targets.ragflow",
    "s3": "kb_export.targets.s3_place",
    "webhook": "kb_export.targets.webhook",
}


def known_schemes() -> tuple[str, ...]:
    """Return the schemes of all knowledge bases that are installed; loads none of them."""
    return tuple(sorted({*_BUILT_IN, *_entry_points()}))


def target_syntaxes() -> tuple[str, ...]:
    """Return how the names of the built-in kinds are written, such as "folder:PATH"."""
    return tuple(_built_in(scheme).syntax for scheme in sorted(_BUILT_IN))


def target_name(spec: str) -> str:
    """Return the one spelling of a target's name, which names it in the outbox.

    Raises:
        BadTarget: if `spec` names no kind of knowledge base that exists, or is malformed.
    """
    kind, rest = _kind(spec)
    return kind.parse(rest)


def open_target(spec: str, settings: Mapping[str, str] | None = None) -> KBTarget:
    """Return the knowledge base that `spec` names; nothing is sent yet.

    Args:
        spec: a name such as "folder:PATH" or "s3://bucket/prefix".
        settings: values of the server's own settings, by lower-case name ("endpoint"); the rest
            is read from `AGENT_TOOLS_KB_<SCHEME>_<NAME>`. Never from a caller.

    Raises:
        BadTarget: for an unknown scheme, a malformed name, or an unknown or missing setting.
        TargetUnavailable: if the folder cannot be made.
    """
    kind, rest = _kind(spec)
    return kind.open(kind.parse(rest), read_settings(kind.scheme, kind.settings, settings))


def _kind(spec: str) -> tuple[TargetKind, str]:
    scheme, colon, rest = spec.strip().partition(":")
    if colon and scheme in _BUILT_IN:
        return _built_in(scheme), rest
    if colon and re.fullmatch(r"[a-z][a-z0-9-]{0,40}", scheme):
        entry = _entry_points().get(scheme)
        if entry is not None:
            return _third_party(entry), rest
    raise BadTarget(
        f"{spec[:200]!r} names no kind of knowledge base.",
        hint=f"Write one of {', '.join(target_syntaxes())}."
        if not (extra := sorted(_entry_points()))
        else f"Write one of {', '.join((*target_syntaxes(), *(f'{name}:...' for name in extra)))}.",
    )


def _built_in(scheme: str) -> TargetKind:
    kind: TargetKind = importlib.import_module(_BUILT_IN[scheme]).KIND
    return kind


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    found = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return {entry.name: entry for entry in found if entry.name not in _BUILT_IN}


def _third_party(entry: importlib.metadata.EntryPoint) -> TargetKind:
    try:
        kind = entry.load()
    except Exception as error:  # somebody else's module may fail in any way
        raise BadTarget(
            f"The knowledge base '{entry.name}' of {_owner(entry)} cannot be loaded "
            f"({type(error).__name__}).",
            hint="Update or remove that package.",
        ) from error
    if not isinstance(kind, TargetKind) or kind.scheme != entry.name:
        raise BadTarget(
            f"The entry point '{entry.name}' of {_owner(entry)} is no TargetKind of that scheme.",
            hint="Its author must point it at a kb_export.targets.TargetKind.",
        )
    return kind


def _owner(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "another package"
