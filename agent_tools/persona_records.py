"""A persona's pictures as gallery entries: words, recipe, and what says whose face it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_tools.appearance import portrait_wording
from agent_tools.likeness import verdict
from agent_tools.painting import Input, new_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tools.appearance import Expression
    from agent_tools.image_record import NewImage
    from agent_tools.persona_outline import Source
    from agent_tools.persona_pictures import Change, Derived
    from agent_tools.personas import Persona
    from agent_tools.studio import Studio
    from engine.request import ImageRequest, ImageResult

TOOL = "create_persona_avatar"


@dataclass(frozen=True, slots=True)
class Sitter:
    """Makes gallery entries of one persona."""

    studio: Studio
    persona: Persona

    def candidate(
        self, request: ImageRequest, result: ImageResult, appearance: str, number: int
    ) -> list[NewImage]:
        """Return a candidate, which its recipe paints again from the persona's words."""
        persona = self.persona
        arguments: dict[str, Any] = {
            "name": persona.name,
            "description": persona.description,
            "style": persona.style or None,
            "consent": persona.consent,
            "index": number,
        }
        return [
            new_image(
                image,
                seed=seed,
                request=request,
                result=result,
                words=portrait_wording(persona, "neutral", appearance),
                tool=TOOL,
                arguments={k: v for k, v in arguments.items() if v is not None},
                kind="persona",
                group=persona.persona_id,
                metadata={**self._facts("neutral"), "candidate": number},
                notes=result.warnings,
            )
            for image, seed in zip(result.images, result.seeds, strict=True)
        ]

    def derived(
        self,
        made: Derived,
        source: Source,
        change: Change,
        index: int,
        alike: Sequence[float],
    ) -> list[NewImage]:
        """Return derived pictures, each with its likeness and what it was derived from."""
        asked = {
            "persona_id": self.persona.persona_id,
            "from_image_id": source.image_id,
            "expression": change.expression,
            "background": change.background,
            "outfit": change.outfit,
            "pose": change.pose,
        }
        changed = {k: getattr(change, k) for k in ("background", "outfit", "pose")}
        return [
            new_image(
                image,
                seed=seed,
                request=made.request,
                result=made.result,
                words=portrait_wording(self.persona, change.expression, made.appearance),
                tool=TOOL,
                arguments={k: v for k, v in asked.items() if v} | {"index": index + number},
                kind="persona",
                source_type="edited",
                inputs=[Input("image", source.image_id, source.sha256)],
                group=self.persona.persona_id,
                metadata={
                    **self._facts(change.expression),
                    **{k: v for k, v in changed.items() if v},
                    "likeness": alike[number],
                    "derived_by": made.way,
                },
                notes=[*made.warnings, *_drift(alike[number])],
            )
            for number, (image, seed) in enumerate(zip(made.images, made.seeds, strict=True))
        ]

    def _facts(self, expression: Expression) -> dict[str, str | int | float | bool]:
        persona = self.persona
        facts: dict[str, str | int | float | bool] = {
            "persona_id": persona.persona_id,
            "persona": persona.name,
            "expression": expression,
            "fictional": persona.fictional,
        }
        if persona.consent:
            facts["consented"] = True  # the note itself stays at home
        return facts


def _drift(value: float) -> list[str]:
    found = verdict(value)
    if found == "same":
        return []
    return [f"This may show someone else: likeness {value:.2f} to the canonical picture ({found})."]
