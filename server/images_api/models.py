"""Which model paints: names that callers use, and the ones that are here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from agent_tools.errors import BadSettings
from agent_tools.studio import Studio
from engine.engine import LocalEngine
from engine.registry import ModelSpec, find_model, short_name

# How many of a model's own steps a quality takes.
QUALITY_STEPS = {
    "low": 0.5,
    "medium": 1.0,
    "high": 1.5,
    "xhigh": 2.0,
    "max": 3.0,
}
SAME_QUALITY = {"auto": "medium", "standard": "medium", "hd": "high"}
_MAX_STEPS = 150


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """The model of one call.

    Attributes:
        argument: what to tell the tool; None is its default.
        name: what it is called.
        note: what the caller should know, or None.
    """

    argument: str | None
    name: str
    note: str | None = None


class Models:
    """The models of a studio under the names that callers use."""

    def __init__(self, studio: Studio) -> None:
        """Read the aliases.

        Raises:
            BadSettings: if one leads to a model that is not here.
        """
        self._studio = studio
        self._started = int(time.time())
        self._aliases = dict(studio.settings.aliases)
        for alias, target in self._aliases.items():
            if self._canonical(target) is None:
                raise BadSettings(
                    f"Setting 'model_aliases' leads '{alias}' to '{target}', which is not here.",
                    hint=f"Models: {', '.join(self.names)}. More are named in 'models'.",
                    data={"setting": "model_aliases"},
                )

    @property
    def names(self) -> tuple[str, ...]:
        """What may be asked for, the default first."""
        further = (short_name(name) for name in self._studio.settings.models)
        return tuple(dict.fromkeys((self._studio.engine.model, *further)))

    def choose(self, asked: str | None) -> ChosenModel:
        """Return the model that paints. A name nobody knows gets the default, and a note.

        Clients have the names of other services built in; refusing those would refuse the client.
        """
        default = self.names[0]
        if asked is None:
            return ChosenModel(None, default)
        name = self._canonical(self._aliases.get(asked, asked))
        if name is None:
            shown = asked[:80].encode("utf-8", "replace").decode()
            return ChosenModel(
                None, default, f"There is no model '{shown}' here; '{default}' painted."
            )
        return ChosenModel(None if name == default else name, name)

    def entries(self) -> list[dict[str, Any]]:
        """Return the models as `GET /v1/models` lists them."""
        return [self._entry(name) for name in self.names]

    def entry(self, name: str) -> dict[str, Any] | None:
        """Return one model, by its name or an alias."""
        known = self._canonical(self._aliases.get(name, name))
        return None if known is None else {**self._entry(known), "id": name}

    def steps(self, chosen: ChosenModel, quality: str) -> int | None:
        """Return the steps that a quality means for a model; None where only it knows."""
        factor = QUALITY_STEPS[SAME_QUALITY.get(quality, quality)]
        spec = self._spec(chosen)
        if factor == 1.0 or spec is None:
            return None
        return max(1, min(_MAX_STEPS, round(spec.steps * factor)))

    def takes_strength(self, chosen: ChosenModel) -> bool:
        """Return whether a model starts from a picture; edit models look at it instead."""
        if self._studio.settings.engine is not None:
            return True  # whoever paints there may leave it out
        spec = self._spec(chosen)
        return spec is not None and spec.strength is not None

    def _spec(self, chosen: ChosenModel) -> ModelSpec | None:
        engine = self._studio.engine
        if self._studio.settings.engine is not None:
            return None
        known = find_model(chosen.name)
        if known is None and isinstance(engine, LocalEngine):
            return engine.spec
        return known

    def _canonical(self, asked: str) -> str | None:
        for name in (self._studio.engine.model, *self._studio.settings.models):
            if asked in (name, name.partition("@")[0], short_name(name)):
                return short_name(name)
        return None

    def _entry(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._started, "owned_by": "agent-tools"}
