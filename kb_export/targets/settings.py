"""Addresses, keys and secrets of knowledge bases: from the environment, never from a caller."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping

from kb_export.errors import BadTarget

PREFIX = "AGENT_TOOLS_KB_"


class TargetSettings(Mapping[str, str]):
    """What is set for one kind of knowledge base. Shows its names, never its values."""

    __slots__ = ("_scheme", "_values")

    def __init__(self, scheme: str, values: Mapping[str, str]) -> None:
        self._scheme = scheme
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"TargetSettings({self._scheme}: {', '.join(sorted(self._values)) or 'none'})"

    def require(self, name: str) -> str:
        """Return a setting that must be there.

        Raises:
            BadTarget: if it is not, naming the environment variable.
        """
        if not self._values.get(name):
            variable = variable_name(self._scheme, name)
            raise BadTarget(f"{variable} is not set.", hint=f"Set {variable} for this process.")
        return self._values[name]


def variable_name(scheme: str, name: str) -> str:
    """Return the environment variable of a setting: ("open-webui", "api_key") ->
    "AGENT_TOOLS_KB_OPEN_WEBUI_API_KEY"."""
    return f"{_prefix(scheme)}{name.upper()}"


def read_settings(
    scheme: str,
    known: tuple[str, ...],
    explicit: Mapping[str, str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> TargetSettings:
    """Return the settings of one kind of knowledge base; empty ones count as not set.

    Args:
        known: names that this kind knows, lower case.
        explicit: values of the server's own settings; they win over the environment.
        environ: the environment, os.environ by default.

    Raises:
        BadTarget: for a name that this kind does not know. No value is ever repeated.
    """
    environ = os.environ if environ is None else environ
    prefix = _prefix(scheme)
    values = {
        variable[len(prefix) :].lower(): value
        for variable, value in environ.items()
        if variable.startswith(prefix)
    }
    values.update(explicit or {})
    for name in sorted(values):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            allowed = ", ".join(variable_name(scheme, each) for each in known) or "none"
            raise BadTarget(
                f"{variable_name(scheme, name)} is no setting of '{scheme}'.",
                hint=f"Did you mean {variable_name(scheme, near[0])}?"
                if near
                else f"Known: {allowed}.",
            )
    return TargetSettings(scheme, {name: value for name, value in values.items() if value})


def _prefix(scheme: str) -> str:
    return f"{PREFIX}{re.sub(r'[^a-z0-9]', '_', scheme).upper()}_"
