"""How alike pictures of one persona are, and of others: what the drift thresholds rest on.

Personas are designed, derived and measured by the tool itself with the starter model. "near miss"
personas differ from one in a single attribute and are the hardest to tell from it.
Run it with `python -m benchmarks.personas`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_tools.likeness import DRIFT_BELOW, OTHER_BELOW, likeness
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from benchmarks.report import hand_over
from engine.starter.vocabulary import shipped

if TYPE_CHECKING:
    from PIL import Image

EXPRESSIONS = ("smiling", "thinking", "apologetic", "celebrating", "surprised")
IDENTITY = ("skin", "hair_color", "hair_style", "glasses", "beard", "headwear")


def look(number: int) -> dict[str, str]:
    """Return the attributes of one persona; the same for the same number."""
    rng = random.Random(number)
    chosen = {name: rng.choice(values) for name, values in shipped().avatar.items()}
    del chosen["expression"]
    # As when nothing is said: see appearance.py.
    chosen["background"] = rng.choice([b for b in shipped().backgrounds if b != "charcoal"])
    chosen["hair_style"] = rng.choice(("short", "long", "curly", "bun"))
    return chosen


class Sitting:
    """One studio in which personas sit for their pictures."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    async def create(self, name: str, attributes: dict[str, str]) -> tuple[str, Image.Image]:
        """Return a new persona's id and canonical picture."""
        made = await self._draw(name=name, attributes=attributes)
        return made.persona.persona_id, self._open(made)

    async def derive(self, persona_id: str, **change: str) -> Image.Image:
        """Return a picture derived from the canonical one."""
        return self._open(await self._draw(persona_id=persona_id, **change))

    async def _draw(self, **arguments: Any) -> Any:
        return (await self.studio.call("create_persona_avatar", arguments)).data

    def _open(self, made: Any) -> Image.Image:
        return self.studio.gallery.open_image(made.images[0].image_id)


async def run(count: int, data: Path) -> dict[str, Any]:
    """Return the likeness of every kind of pair."""
    studio = Studio.open(Settings(data=data))
    sitting = Sitting(studio)
    found: dict[str, list[float]] = {}
    faces = []
    for number in range(count):
        attributes, rng = look(number), random.Random(-number)
        persona_id, face = await sitting.create(f"P{number}", attributes)
        faces.append(face)

        def note(kind: str, picture: Image.Image, face: Image.Image = face) -> None:
            found.setdefault(kind, []).append(likeness(face, picture))

        for expression in EXPRESSIONS:
            note("same: expression", await sitting.derive(persona_id, expression=expression))
        others = [b for b in shipped().backgrounds if b not in (attributes["background"],)]
        for background in rng.sample(others, 2):
            try:
                note("same: background", await sitting.derive(persona_id, background=background))
            except Exception as refusal:
                if getattr(refusal, "code", "") != "no_outline":
                    raise
        outfit = f"{rng.choice(shipped().avatar['clothing_color'])} hoodie"
        note("same: outfit", await sitting.derive(persona_id, outfit=outfit))
        for name in IDENTITY:
            other = rng.choice([v for v in shipped().avatar[name] if v != attributes[name]])
            _, near = await sitting.create(f"P{number}{name}", {**attributes, name: other})
            note(f"near miss: {name.replace('_', ' ')}", near)
    found["other person"] = [
        likeness(a, b) for i, a in enumerate(faces) for j, b in enumerate(faces) if i != j
    ]
    await studio.close()
    kinds = {
        kind: {
            "pairs": len(values),
            "min": min(values),
            "median": round(statistics.median(values), 3),
            "max": max(values),
            "flagged": round(sum(v < DRIFT_BELOW for v in values) / len(values), 2),
        }
        for kind, values in found.items()
    }
    return {"drift_below": DRIFT_BELOW, "other_below": OTHER_BELOW, "kinds": kinds}


def show(found: dict[str, Any]) -> None:
    """Print the table."""
    print(f"{'':26}{'pairs':>6}{'min':>8}{'median':>8}{'max':>8}{'flagged':>9}")
    for kind, row in sorted(found["kinds"].items(), reverse=True):
        print(
            f"{kind:26}{row['pairs']:>6}{row['min']:>8.3f}{row['median']:>8.3f}"
            f"{row['max']:>8.3f}{row['flagged']:>8.0%}"
        )
    print(f"flagged below {found['drift_below']}, another person below {found['other_below']}")


def main() -> None:
    """Print the table and write benchmarks/out/personas.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--personas", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/personas.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(run(options.personas, Path(folder)))
    hand_over(found, options.out, show, as_json=options.json)


if __name__ == "__main__":
    main()
