"""docs/models.md says what the registry says.

To write it again: PYTHONPATH=. python tests/engine/test_models_page.py
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.families import FAMILIES, Family
from engine.registry import KNOWN_MODELS, ModelSpec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
# Their pipelines call the denoiser twice instead of doubling its rows.
TWO_FORWARDS = ("flux2-klein", "qwen-image", "qwen-image-edit")
# What CLIP's tokenizer takes; families with another encoder beside it lose nothing.
CLIP_TOKENS = 77


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def family_row(family: Family) -> str:
    classes = sorted({*family.classes.values(), *filter(None, [family.cond_strength_class])})
    guidance = "input" if not family.guidance_doubles else "second row"
    if family.name in TWO_FORWARDS:
        guidance = "second forward"
    references = str(family.max_references) if family.reference_argument else "-"
    return row(
        family.name,
        "<br>".join(f"`{name}`" for name in classes),
        family.text_encoder,
        CLIP_TOKENS if family.text_encoder in ("CLIP", "2x CLIP") else family.prompt_tokens,
        ", ".join(sorted(family.modes)),
        references,
        family.steps,
        f"{family.guidance:g}, {guidance}",
        family.multiple,
        "tiny random weights" + (", starter model" if family.name == "stable-diffusion" else ""),
    )


def model_row(spec: ModelSpec) -> str:
    return row(
        spec.name,
        "shipped" if spec.source == "starter" else f"`{spec.source}`",
        spec.family.name,
        spec.license,
        "yes" if spec.commercial else "no",
        spec.steps,
        f"{spec.guidance:g}",
        spec.size,
        "-" if spec.memory_gb is None else f"{spec.memory_gb:g}",
    )


def tables() -> dict[str, str]:
    """Both tables, by the name of their place in the page."""
    families = [
        "| family | classes | text encoder | tokens | modes | references | steps | guidance | "
        "multiple of | tested |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(family_row, FAMILIES),
    ]
    models = [
        "| name | from | family | license | free to sell with | steps | guidance | size | "
        "memory GB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(model_row, KNOWN_MODELS),
    ]
    return {"families": "\n".join(families), "models": "\n".join(models)}


def place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}: [^\n]*-->\n)(.*?)(<!-- end -->)", re.DOTALL)


@pytest.mark.parametrize("name", ["families", "models"])
def test_the_page_shows_what_the_registry_knows(name: str) -> None:
    found = place(name).search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[2].strip() == tables()[name], (
        f"write it again: PYTHONPATH=. python {Path(__file__).name}"
    )


def test_every_class_that_a_family_names_is_in_diffusers() -> None:
    import diffusers

    names = dir(diffusers)
    for family in FAMILIES:
        for name in (*family.classes.values(), family.cond_strength_class):
            assert name is None or name in names


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    for where, table in tables().items():
        text = place(where).sub(lambda found, table=table: found[1] + table + "\n" + found[3], text)
    PAGE.write_text(text, encoding="utf-8")
