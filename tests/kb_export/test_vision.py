"""Captioners and checkers with tiny random models: the plumbing is real, the taste is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import vision_models
from kb_pictures import add_pictures
from PIL import Image

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.pictures import encode_png
from agent_tools.settings import Settings
from kb_export import vision
from kb_export.captions import clean
from kb_export.record import KBRecord
from kb_export.vision import BadVisionModel, open_captioner, open_checker

RED = Image.new("RGB", (48, 40), "red")
BLUE = Image.new("RGB", (48, 40), "blue")


def record(caption: str, kind: str = "product") -> KBRecord:
    return KBRecord.make(
        image_id="img_" + "a" * 24,
        sha256="a" * 64,
        media_type="image/png",
        width=4,
        height=4,
        title="",
        caption=caption,
        alt=caption,
        provenance={"kind": kind},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vision")


@pytest.mark.parametrize(
    ("build", "verified"),
    [
        (vision_models.clip, "clip"),
        (vision_models.siglip, "clip"),
        (vision_models.llava, "vqa"),
    ],
)
def test_a_checker_scores_by_both_the_picture_and_the_caption(
    folder: Path, build: Callable[[Path], Path], verified: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = build(folder / build.__name__)
    checker = open_checker(str(where))
    checker.load()
    score = checker.score("a red mug", RED)
    assert 0 <= score <= 1
    assert checker.score("a red mug", RED) == score
    family = {"clip": "clip", "siglip": "siglip", "llava": "vqa"}[build.__name__]
    for limits, outcome in (
        ((2.0, 2.0), "failed"),
        ((-1.0, 2.0), "doubtful"),
        ((-1.0, -1.0), "passed"),
    ):
        monkeypatch.setitem(vision.LIMITS, family, limits)  # type: ignore[arg-type]
        verdict = checker.check(record("a red mug"), RED)
        assert verdict is not None
        assert (verdict.outcome, verdict.verified) == (outcome, verified)
        assert verdict.checker == build.__name__
        assert (verdict.reason == "") == (outcome == "passed")
    assert checker.check(record("", "product"), RED) is None
    assert checker.check(record("a graph", "diagram"), RED) is None


def test_other_words_and_other_pictures_give_other_scores(folder: Path) -> None:
    checker = open_checker(str(vision_models.llava(folder / "asked")))
    checker.load()
    scores = {checker.score("a red mug", RED), checker.score("a red mug", BLUE)}
    assert len(scores | {checker.score("a completely different thing", RED)}) == 3


@pytest.mark.parametrize("build", [vision_models.llava, vision_models.blip])
def test_a_captioner_describes_the_same_picture_in_the_same_words(
    folder: Path, build: Callable[[Path], Path]
) -> None:
    captioner = open_captioner(str(build(folder / f"captions-{build.__name__}")))
    text = captioner.describe(RED)
    assert text == captioner.describe(RED)
    assert "Describe" not in text
    assert captioner.name == f"captions-{build.__name__}"


def test_uploads_without_words_are_described_and_others_keep_theirs(
    folder: Path, gallery: Gallery, tmp_path: Path
) -> None:
    model = vision_models.blip(folder / "describer")
    settings = Settings(data=gallery.data_dir, kb=f"folder:{tmp_path / 'kb'}", captioner=str(model))
    knowledge = Knowledge(gallery, settings)
    bare = gallery.add_upload(encode_png(RED))
    named = gallery.add_upload(encode_png(BLUE), title="Our shop window")
    spec = add_pictures(gallery, "teapot")[0]
    knowledge.export([bare.image_id, named.image_id, spec.image_id])
    rows = gallery.connection.execute("SELECT record FROM kb_exported").fetchall()
    records = {r.image_id: r for r in (KBRecord.from_json(row[0]) for row in rows)}
    described = open_captioner(str(model)).describe(RED)
    assert described
    assert records[bare.image_id].caption == clean(described)
    assert records[bare.image_id].caption_source == "vlm"
    assert records[named.image_id].caption == "Our shop window."
    assert records[named.image_id].caption_source == "human"
    assert records[spec.image_id].caption == spec.caption
    assert records[spec.image_id].caption_source == "spec"


def test_a_failed_model_check_sets_the_picture_aside(
    folder: Path, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = vision_models.clip(folder / "strict")
    monkeypatch.setitem(vision.LIMITS, "clip", (2.0, 2.0))
    settings = Settings(
        data=gallery.data_dir, kb=f"folder:{tmp_path / 'kb'}", caption_checker=str(model)
    )
    picture = add_pictures(gallery, "teapot")[0]
    outcome = Knowledge(gallery, settings).export()
    assert outcome.put == ()
    assert outcome.failed[0][0] == picture.image_id
    assert "(strict)" in outcome.failed[0][1]


def test_a_model_that_cannot_be_loaded_stops_the_export_and_blames_no_picture(
    gallery: Gallery, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    add_pictures(gallery, "teapot")
    for setting in ({"caption_checker": str(tmp_path / "empty")}, {"captioner": "owner/model"}):
        settings = Settings(data=gallery.data_dir, kb=f"folder:{tmp_path / 'kb'}", **setting)
        knowledge = Knowledge(gallery, settings)
        with pytest.raises(BadVisionModel):
            knowledge.export()
        (status,) = knowledge.status().targets
        assert (status.pending, status.failed) == (1, ())


def test_models_that_compare_nothing_or_hide_code_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadVisionModel, match="has no chat template"):
        open_checker(str(vision_models.blip(folder / "mute"))).load()
    with pytest.raises(BadVisionModel, match="revision"):
        open_checker("owner/model")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "config.json").write_text(
        '{"model_type": "own", "auto_map": {"AutoConfig": "code.Own", "AutoModel": "code.Own"}}'
    )
    (hidden / "code.py").write_text("raise SystemExit('this code ran')")
    with pytest.raises(BadVisionModel, match="cannot be loaded"):
        open_checker(str(hidden)).load()


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    import torch
    from transformers import CLIPModel

    where = vision_models.clip(tmp_path / "pickled")
    state = CLIPModel.from_pretrained(where).state_dict()
    (where / "model.safetensors").unlink()
    torch.save(state, where / "pytorch_model.bin")
    with pytest.raises(BadVisionModel, match="cannot be loaded"):
        open_checker(str(where)).load()
