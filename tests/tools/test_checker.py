"""The look after painting: a classifier by setting withholds what it recognizes.

The classifier is a tiny ViT that learned, here, to tell dark pictures from light ones.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agent_tools.checker import Checker
from agent_tools.errors import BadSettings, Refused
from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.personas import PersonaStore
from agent_tools.previews import with_previews
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import ProgressEvent
from engine import LocalEngine

pytestmark = pytest.mark.anyio
ASKED = {"prompt": "a teapot", "seed": 7, "steps": 2, "count": 2}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and save a classifier whose labels are "fine" (light) and "Gloomy" (dark)."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    torch.manual_seed(0)
    names = {0: "fine", 1: "Gloomy"}
    model = ViTForImageClassification(
        ViTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=32,
            patch_size=8,
            id2label=names,
            label2id={name: index for index, name in names.items()},
        )
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        dark = torch.rand(16) < 0.5
        level = torch.where(dark, torch.rand(16) * 0.6 - 1, 0.4 + torch.rand(16) * 0.6)
        pixels = level[:, None, None, None] + 0.1 * torch.randn(16, 3, 32, 32)
        loss = model(pixels, labels=dark.long()).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    folder = tmp_path_factory.mktemp("checkers") / "light-meter"
    model.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def studio_with(settings: Settings, engine: LocalEngine, **fields: Any) -> Studio:
    settings = settings.model_copy(update=fields)
    gallery = Gallery(settings.data)
    return Studio(settings, engine, gallery, PersonaStore(gallery), Knowledge(gallery, settings))


def gray(level: int) -> Image.Image:
    return Image.new("RGB", (64, 48), (level, level, level))


def test_it_sees_which_pictures_show_what_is_withheld(classifier: Path) -> None:
    checker = Checker(str(classifier), ("gloomy",), 0.5, "cpu")
    found = checker.look([gray(240), gray(10), gray(200), gray(25)])
    assert [(each.picture, each.label) for each in found] == [(1, "Gloomy"), (3, "Gloomy")]
    assert all(each.score > 0.9 for each in found)
    assert not Checker(str(classifier), ("fine",), 0.5, "cpu").look([gray(10)])


def test_what_it_cannot_judge_does_not_pass(classifier: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "broken"
    shutil.copytree(classifier, folder)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] = torch.full_like(weights["classifier.bias"], torch.nan)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert Checker(str(folder), ("gloomy",), 0.5, "cpu").look([gray(240)])


async def test_a_withheld_picture_reaches_nobody_and_the_next_call_is_served(
    settings: Settings, engine: LocalEngine, classifier: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # One of the two labels always reaches one half: both withheld, nothing passes.
    studio = studio_with(
        settings, engine, checker=str(classifier), checker_refuses=("fine", "Gloomy")
    )
    with caplog.at_level(logging.INFO), pytest.raises(Refused) as refused:
        await studio.call("generate_image", ASKED)
    assert refused.value.data["rule"] == "checker"
    assert refused.value.data["label"] in ("fine", "Gloomy")
    assert refused.value.data["pictures"] == [0, 1]
    assert refused.value.data["score"] >= 0.5
    assert refused.value.hint
    assert not studio.gallery.list(limit=10)
    assert "teapot" not in caplog.text and "checker: refuse" in caplog.text

    # The same studio without the withheld label, and one without a checker: both paint it.
    sure = studio_with(settings, engine, checker=str(classifier), checker_refuses=("Gloomy",))
    sure.checker = Checker(str(classifier), ("Gloomy",), 1.0, "cpu")
    assert len((await sure.call("generate_image", ASKED)).images) == 2
    without = studio_with(settings, engine)
    assert len((await without.call("generate_image", {**ASKED, "seed": 8})).images) == 2


async def test_a_stored_picture_is_not_shown_again_under_another_checker(
    settings: Settings, engine: LocalEngine, classifier: Path
) -> None:
    before = studio_with(settings, engine)
    assert (await before.call("generate_image", ASKED)).images
    after = studio_with(
        settings, engine, checker=str(classifier), checker_refuses=("fine", "Gloomy")
    )
    with pytest.raises(Refused):
        await after.call("generate_image", ASKED)


async def test_an_icon_that_was_painted_before_is_looked_at_too(
    settings: Settings, engine: LocalEngine, classifier: Path
) -> None:
    asked = {"source": "flowchart LR\n  a[Cart]", "illustrate": "icons"}
    assert (await studio_with(settings, engine).call("draw_diagram", asked)).images
    after = studio_with(
        settings, engine, checker=str(classifier), checker_refuses=("fine", "Gloomy")
    )
    with pytest.raises(Refused):
        await after.call("draw_diagram", {**asked, "title": "Again"})


async def test_nobody_sees_an_unfinished_picture_before_the_checker(
    settings: Settings, engine: LocalEngine, classifier: Path
) -> None:
    async def previews(studio: Studio, seed: int) -> int:
        seen: list[ProgressEvent] = []

        async def report(event: ProgressEvent) -> None:
            seen.append(event)

        with with_previews():
            await studio.call("generate_image", {**ASKED, "seed": seed}, report)
        return sum(event.preview is not None for event in seen)

    checked = studio_with(settings, engine)
    checked.checker = Checker(str(classifier), ("Gloomy",), 1.0, "cpu")
    assert await previews(checked, 21) == 0
    assert await previews(studio_with(settings, engine), 22) > 0


def test_a_label_that_the_model_lacks_is_an_error_that_names_its_labels(classifier: Path) -> None:
    with pytest.raises(BadSettings, match="no label 'nsfw'") as bad:
        Checker(str(classifier), ("nsfw",), 0.5).load()
    assert bad.value.hint == "Its labels: fine, Gloomy."
    with pytest.raises(BadSettings, match="would withhold nothing"):
        Checker(str(classifier), (), 0.5).load()


def test_what_is_no_classifier_is_an_error(tmp_path: Path, tiny_stable_diffusion: Path) -> None:
    with pytest.raises(BadSettings, match="checker: "):
        Checker(str(tmp_path / "nowhere"), ("nsfw",), 0.5).load()
    with pytest.raises(BadSettings, match="cannot be loaded") as bad:
        Checker(str(tiny_stable_diffusion), ("nsfw",), 0.5).load()
    assert "config.json" in (bad.value.hint or "")
