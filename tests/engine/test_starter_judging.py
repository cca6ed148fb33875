"""The examination asks what it says it asks, and its figures mean what their names say."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from engine.starter import WEIGHTS
from engine.starter.captions import product_caption
from engine.starter.edits import inpainting, recolored
from engine.starter.evaluate import (
    contact_sheet,
    load_pipeline,
    nearest_training_picture,
)
from engine.starter.judge import Judge, accuracy, labels_of, load_judge, save_judge
from engine.starter.render.dataset import draw_items, render
from engine.starter.requests import Studio, avatars, seen_products, unseen_products
from engine.starter.training import load_pictures, sharpness, to_tensor
from engine.starter.vocabulary import FULL, HELD_OUT_PAIRS, shipped


@pytest.mark.parametrize("name", ["shipped", "full"])
def test_unseen_means_never_trained_and_within_the_vocabulary(name: str) -> None:
    known = shipped() if name == "shipped" else FULL
    for items, held_out in ((unseen_products(60, known), True), (seen_products(60, known), False)):
        assert len(items) == 60
        for item in items:
            a = item["attributes"]
            assert ((a["color"], a["kind"]) in HELD_OUT_PAIRS) == held_out
            product_caption(a, known)
            assert a["finish"] in known.kinds[a["kind"]].finishes and a["view"] in known.views
    figures = {item["attributes"]["figure"] for item in avatars(60, known)}
    assert figures == ({"person"} if name == "shipped" else set(FULL.avatar["figure"]))


def test_unseen_requests_cover_every_pair_evenly() -> None:
    items = unseen_products(2 * len(HELD_OUT_PAIRS), FULL)
    pairs = [(i["attributes"]["color"], i["attributes"]["kind"]) for i in items]
    assert {pairs.count(pair) for pair in HELD_OUT_PAIRS} == {2}


def test_a_copy_of_a_training_picture_is_found_out(tmp_path: Path) -> None:
    render({tmp_path / "train.npy": draw_items(6, 0.0, 3, held_out=True)}, 64, 1)
    pictures, _ = load_pictures(tmp_path / "train.npy")
    copies = to_tensor(pictures[2:4])
    assert nearest_training_picture(copies, tmp_path) < 0.1
    assert nearest_training_picture(-copies, tmp_path) > 20  # the negative control


def test_soft_pictures_are_less_sharp() -> None:
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    soft = torch.nn.functional.avg_pool2d(picture, 3, 1, 1)
    assert sharpness(soft) < sharpness(picture) / 2
    assert sharpness(torch.zeros(1, 3, 64, 64)) == 0


def test_a_judge_survives_its_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = Judge(FULL, side=32, pool=2).eval()
    save_judge(judge, tmp_path)
    again = load_judge(tmp_path)
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    assert again.side == 32 and again.values == FULL.heads
    for name, logits in judge(torch.nn.functional.interpolate(pictures, 32)).items():
        other = again(torch.nn.functional.interpolate(pictures, 32))[name]
        assert torch.allclose(logits, other, atol=0.01)
    assert again.judge(pictures)[0].keys() == FULL.heads.keys()


def test_the_judge_is_not_asked_for_what_cannot_be_seen() -> None:
    bald = {"domain": "avatar", "attributes": {"figure": "person", "hair_style": "bald"}}
    bald["attributes"] |= {"beard": "no", "hair_color": "red"}
    robot = {"domain": "avatar", "attributes": {"figure": "robot", "glasses": "yes"}}
    mug = {"domain": "product", "attributes": {"kind": "mug", "pattern": "plain"}}
    labels = labels_of([bald, robot, mug], FULL.heads)
    asked = [
        {name for name, label in zip(FULL.heads, row, strict=True) if label >= 0} for row in labels
    ]
    assert "avatar_hair_color" not in asked[0] and "avatar_hair_style" in asked[0]
    assert asked[1] == {"avatar_figure", "avatar_glasses", "domain"}
    assert asked[2] == {"product_kind", "product_pattern", "domain"}


def test_accuracy_counts_only_what_applies() -> None:
    judge = Judge(FULL, side=16, pool=1).eval()
    items = draw_items(10, 0.5, 4, held_out=True)
    figures = accuracy(judge, torch.zeros(10, 3, 16, 16), items)
    answer = judge.judge(torch.zeros(1, 3, 16, 16))[0]
    kinds = [i["attributes"]["kind"] for i in items if i["domain"] == "product"]
    assert figures["product_kind"] == pytest.approx(
        kinds.count(answer["product_kind"]) / len(kinds), abs=1e-4
    )


def test_a_contact_sheet_shows_every_picture() -> None:
    sheet = contact_sheet(torch.stack([torch.full((3, 8, 8), v) for v in (-1.0, 0.0, 1.0)]), 2, 10)
    assert sheet.size == (20, 20)
    shades = [sheet.getpixel(at)[0] for at in ((5, 5), (15, 5), (5, 15))]
    assert shades == [0, 128, 255]


@pytest.mark.weights
def test_recoloring_under_a_mask_paints_the_color_and_leaves_the_rest() -> None:
    studio = Studio(supersampling=1)
    item = {"domain": "product", "attributes": {"kind": "mug", "shape": "default", "view": "front"}}
    item["attributes"] |= {"color": "red", "finish": "matte", "background": "white"}
    picture, mask = studio.render([item]), studio.mask(item)[None]
    pipeline = inpainting(load_pipeline(WEIGHTS), WEIGHTS)
    caption = product_caption({**item["attributes"], "color": "blue"})
    made = recolored(pipeline, picture, mask, [caption], 8, 2.5)
    assert torch.equal(made * ~mask, picture * ~mask)
    inside = made[0][:, mask[0]].mean(dim=1)
    assert inside.argmax() == 2  # blue now
    assert picture[0][:, mask[0]].mean(dim=1).argmax() == 0  # red before


def test_the_same_request_renders_the_same_picture() -> None:
    item = seen_products(1, FULL, Random(3).randint(0, 99))[0]
    one, two = (Studio(side=48, supersampling=1).render([item]) for _ in range(2))
    assert torch.equal(one, two) and np.isfinite(one.numpy()).all()
