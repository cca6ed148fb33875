"""Recoloring against rendered truth: what a second render with another albedo looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import agent_tools
from agent_tools.color import parse_color
from agent_tools.color_space import delta_e_2000, lab_from_linear, linear_from_srgb
from agent_tools.errors import InvalidArguments
from agent_tools.recolor import METHODS, color_difference, recolor
from agent_tools.recolor_checks import outside_max_change
from benchmarks.rendered_truth import Rendered, mug, recolored_by_hsv, sneaker, tee

TARGETS = ("#008080", "#DC143C", "#1F2A5A", "#D9A521", "#F2EEE6", "#36383D")
MEAN_BAR, MIDTONE_BAR = 6.0, 2.0
ASSETS = Path(agent_tools.__file__).parent / "assets"


def lab(image: Image.Image) -> np.ndarray:
    return lab_from_linear(linear_from_srgb(np.asarray(image.convert("RGB"))))


def differences(made: Image.Image, truth: Rendered) -> float:
    """Return the mean CIEDE2000 to the true render over the product."""
    inside = np.asarray(truth.mask) > 127
    return float(delta_e_2000(lab(made)[inside], lab(truth.image)[inside]).mean())


SCENES = [(mug, "#B3201C"), (tee, "#2E5FA8"), (mug, "#36383D"), (tee, "#1F1F22")]


@pytest.fixture(scope="module")
def renders() -> dict[tuple[str, str], Rendered]:
    return {
        (render.__name__, color): render(color, 320)
        for render, own in SCENES
        for color in (own, *TARGETS)
    }


@pytest.mark.parametrize(("render", "own"), SCENES)
def test_recolors_look_like_the_true_render_and_the_naive_way_does_not(render, own, renders):
    source = renders[render.__name__, own]
    exact, naive, midtone = [], [], []
    for target in TARGETS:
        truth = renders[render.__name__, target]
        made = recolor(source.image, source.mask, parse_color(target))
        assert made.measurements.outside_max_change == 0
        exact.append(differences(made.image, truth))
        midtone.append(made.measurements.achieved_delta_e)
        naive.append(differences(recolored_by_hsv(source.image, source.mask, target), truth))
    assert np.mean(exact) <= MEAN_BAR, exact
    assert max(midtone) <= MIDTONE_BAR, midtone
    assert np.mean(naive) > 2 * MEAN_BAR, "the bar would not notice a wrong method"


@pytest.mark.parametrize(("own", "sole"), [("#B3201C", "#E8B23A"), ("#2E5FA8", "#C9C2B4")])
def test_two_masks_and_two_colors_give_the_true_sneaker(own: str, sole: str) -> None:
    source = sneaker(own, 320, sole=sole)
    for upper, base in (("#008080", "#1F2A5A"), ("#D9A521", "#DC143C"), ("#36383D", "#F2EEE6")):
        truth = sneaker(upper, 320, sole=base)
        made, naive = source.image, source.image
        for mask, color in ((source.body_mask, upper), (source.print_mask, base)):
            one = recolor(made, mask, parse_color(color))
            assert one.measurements.achieved_delta_e <= MIDTONE_BAR
            made, naive = one.image, recolored_by_hsv(naive, mask, color)
        assert differences(made, truth) <= MEAN_BAR
        assert differences(naive, truth) > MEAN_BAR
        assert outside_max_change(source.image, made, source.mask) == 0


def test_the_albedo_anchor_meets_the_color_in_full_light_and_is_darker_elsewhere(renders) -> None:
    source = renders["tee", "#2E5FA8"]
    target = parse_color("#D9A521")
    seen = recolor(source.image, source.mask, target)
    dyed = recolor(source.image, source.mask, target, anchor="albedo")
    assert seen.measurements.anchor == "perceived" and dyed.measurements.anchor == "albedo"
    assert dyed.measurements.achieved_delta_e <= MIDTONE_BAR
    assert color_difference(dyed.image, source.mask, target) > 1
    inside = np.asarray(source.mask) == 255
    assert lab(dyed.image)[inside][:, 0].mean() < lab(seen.image)[inside][:, 0].mean() - 1


def test_either_anchor_stays_near_the_true_mug(renders) -> None:
    source = renders["mug", "#B3201C"]
    for target in TARGETS:
        truth = renders["mug", target]
        dyed = recolor(source.image, source.mask, parse_color(target), anchor="albedo")
        assert differences(dyed.image, truth) < 3


def test_a_print_is_colored_too_when_it_need_not_stay(renders) -> None:
    source = renders["tee", "#2E5FA8"]
    target = parse_color("crimson")
    made = recolor(source.image, source.mask, target, keep_prints=False)
    printed = lab(made.image)[np.asarray(source.print_mask) == 255]
    wanted = lab(Image.new("RGB", (1, 1), target.rgb))[0, 0]
    hue = np.degrees(np.arctan2(printed[:, 2], printed[:, 1]) - np.arctan2(wanted[2], wanted[1]))
    assert np.abs(np.median(hue)) < 15
    assert np.median(np.hypot(printed[:, 1], printed[:, 2])) > 30
    assert made.measurements.outside_max_change == 0
    assert made.measurements.achieved_delta_e <= MIDTONE_BAR


def test_the_reported_color_is_what_another_measurement_finds(renders) -> None:
    source = renders["mug", "#B3201C"]
    target = parse_color("teal")
    made = recolor(source.image, source.mask, target)
    assert color_difference(made.image, source.mask, target) < MIDTONE_BAR
    assert color_difference(source.image, source.mask, target) > 20


@pytest.mark.parametrize("own", ["#2E5FA8", "#1F1F22"])
def test_a_white_print_keeps_its_own_colors(own: str, renders) -> None:
    source = renders["tee", own]
    made = recolor(source.image, source.mask, parse_color("crimson"))
    printed = np.asarray(source.print_mask) == 255
    moved = delta_e_2000(lab(made.image)[printed], lab(source.image)[printed])
    assert np.median(moved) < 1.0
    body = (np.asarray(source.mask) == 255) & (np.asarray(source.print_mask) == 0)
    assert np.median(delta_e_2000(lab(made.image)[body], lab(source.image)[body])) > 20


def test_the_same_input_gives_the_same_bytes(renders) -> None:
    source = renders["mug", "#B3201C"]
    first, second = (
        recolor(source.image, source.mask, parse_color("sage")).image.tobytes() for _ in range(2)
    )
    assert first == second
    other = recolor(source.image, source.mask, parse_color("navy")).image.tobytes()
    assert first != other


@pytest.mark.parametrize("color", ["sage", "navy", "#D9A521", "white", "black", "dusty rose"])
def test_the_shipped_photo_changes_only_under_its_mask(color: str) -> None:
    photo = Image.open(ASSETS / "coffee-cup.png").convert("RGB")
    mask = Image.open(ASSETS / "coffee-cup-mask.png").convert("L")
    made = recolor(photo, mask, parse_color(color))
    outside = np.asarray(mask) == 0
    assert np.array_equal(np.asarray(made.image)[outside], np.asarray(photo)[outside])
    assert made.measurements.outside_max_change == 0
    assert made.measurements.achieved_delta_e < MIDTONE_BAR
    assert made.measurements.r_log_y > 0.9
    assert not np.array_equal(np.asarray(made.image), np.asarray(photo))


def test_noise_on_a_black_product_leaves_no_black_specks() -> None:
    source = tee("#101012", 320)
    made = lab(recolor(source.image, source.mask, parse_color("yellow")).image)
    body = (np.asarray(source.mask) == 255) & (np.asarray(source.print_mask) == 0)
    assert (made[body][:, 0] < 30).mean() < 0.005


def test_black_shows_no_tint_of_the_old_color() -> None:
    photo = Image.open(ASSETS / "coffee-cup.png").convert("RGB")
    mask = Image.open(ASSETS / "coffee-cup-mask.png").convert("L")
    made = lab(recolor(photo, mask, parse_color("#202020")).image)[np.asarray(mask) == 255]
    chroma = np.hypot(made[:, 1], made[:, 2])
    assert np.median(chroma) < 1
    assert np.percentile(chroma, 90) < 2


def test_a_byte_changed_outside_is_noticed() -> None:
    before = Image.new("RGB", (20, 20), "red")
    mask = Image.new("L", (20, 20), 0)
    mask.paste(255, (5, 5, 10, 10))
    after = before.copy()
    after.putpixel((7, 7), (0, 255, 0))
    assert outside_max_change(before, after, mask) == 0
    after.putpixel((0, 0), (252, 0, 0))
    assert outside_max_change(before, after, mask) == 3
    clear, seen = before.convert("RGBA"), before.convert("RGBA")
    seen.putalpha(Image.new("L", (20, 20), 250))
    assert outside_max_change(clear, seen, mask) == 5


def test_transparency_stays_as_it_is(renders) -> None:
    source = renders["mug", "#B3201C"]
    image = source.image.convert("RGBA")
    image.putalpha(source.mask)
    made = recolor(image, source.mask, parse_color("teal"))
    assert made.image.mode == "RGBA"
    assert made.image.getchannel("A").tobytes() == source.mask.tobytes()


@pytest.mark.parametrize("size", [(1, 40), (37, 1), (33, 17), (16384, 3)])
def test_odd_sizes_work(size: tuple[int, int]) -> None:
    image = Image.effect_noise(size, 60).convert("RGB")
    mask = Image.new("L", size, 255)
    mask.paste(0, (0, 0, max(1, size[0] // 4), max(1, size[1] // 4)))
    made = recolor(image, mask, parse_color("navy"))
    assert made.image.size == size
    assert made.measurements.outside_max_change == 0


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (Image.new("L", (10, 10), 255), "10x10"),
        (Image.new("L", (40, 30), 0), "empty"),
        (Image.new("L", (40, 30), 255), "whole picture"),
        (Image.effect_noise((40, 30), 80), "looks like a picture"),
    ],
)
def test_a_wrong_mask_is_one_clear_error(mask: Image.Image, words: str) -> None:
    with pytest.raises(InvalidArguments, match=words) as caught:
        recolor(Image.new("RGB", (40, 30), "red"), mask, parse_color("teal"))
    assert caught.value.hint


def test_a_product_of_several_colors_is_said() -> None:
    source = sneaker("#2E5FA8", 320, sole="#B3201C")
    several = recolor(source.image, source.mask, parse_color("sage")).measurements
    assert any("several colors" in warning for warning in several.warnings)


def test_extreme_colors_and_products_carry_warnings(renders) -> None:
    source = renders["mug", "#B3201C"]
    white = recolor(source.image, source.mask, parse_color("#FFFFFF")).measurements
    black = recolor(source.image, source.mask, parse_color("#000000")).measurements
    plain = recolor(source.image, source.mask, parse_color("teal")).measurements
    assert any("almost white" in warning for warning in white.warnings)
    assert any("almost black" in warning for warning in black.warnings)
    assert plain.warnings == []


@pytest.mark.parametrize("method", METHODS)
def test_either_method_can_be_asked_for(method, renders) -> None:
    source = renders["mug", "#B3201C"]
    made = recolor(source.image, source.mask, parse_color("teal"), method=method)
    assert made.measurements.method == method
