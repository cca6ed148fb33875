"""Color words and color differences."""

from __future__ import annotations

import numpy as np
import pytest

from agent_tools.color import nearest_name, parse_color
from agent_tools.color_names import PLAIN_COLORS
from agent_tools.color_space import (
    delta_e_2000,
    lab_from_linear,
    linear_from_oklab,
    linear_from_srgb,
    oklab_from_linear,
    srgb_from_linear,
)
from agent_tools.errors import InvalidArguments

# G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference formula", table 1, 2005.
SHARMA_PAIRS = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, 2.8361, -74.0200), (50.0, 0.0, -82.7485), 3.4412),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, -1.1848, -84.8006), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, -0.9009, -85.5211), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0009), 7.1792),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0010), 7.1792),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0011), 7.2195),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0012), 7.2195),
    ((50.0, -0.0010, 2.4900), (50.0, 0.0009, -2.4900), 4.8045),
    ((50.0, -0.0010, 2.4900), (50.0, 0.0010, -2.4900), 4.8045),
    ((50.0, -0.0010, 2.4900), (50.0, 0.0011, -2.4900), 4.7461),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (61.0, -5.0, 29.0), 22.8977),
    ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
    ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
    ((50.0, 2.5, 0.0), (50.0, 3.1736, 0.5854), 1.0000),
    ((50.0, 2.5, 0.0), (50.0, 3.2972, 0.0), 1.0000),
    ((50.0, 2.5, 0.0), (50.0, 1.8634, 0.5757), 1.0000),
    ((50.0, 2.5, 0.0), (50.0, 3.2592, 0.3350), 1.0000),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((61.2901, 3.7196, -5.3901), (61.4292, 2.2480, -4.9620), 1.8731),
    ((35.0831, -44.1164, 3.7933), (35.0232, -40.0716, 1.5901), 1.8645),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((36.4612, 47.8580, 18.3852), (36.2715, 50.5065, 21.2231), 1.4146),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((90.9257, -0.5406, -0.9208), (88.6381, -0.8985, -0.7239), 1.5381),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def test_ciede2000_agrees_with_the_published_pairs() -> None:
    first, second, wanted = (np.array(column) for column in zip(*SHARMA_PAIRS, strict=True))
    assert delta_e_2000(first, second) == pytest.approx(wanted, abs=5e-5)
    assert delta_e_2000(second, first) == pytest.approx(wanted, abs=5e-5)


def test_every_byte_survives_the_way_to_light_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(srgb_from_linear(linear_from_srgb(levels)), levels)


def test_oklab_and_back_is_the_same_light() -> None:
    light = np.random.default_rng(1).random((100, 3))
    assert linear_from_oklab(oklab_from_linear(light)) == pytest.approx(light, abs=1e-6)


def test_white_is_white_in_lab() -> None:
    white = lab_from_linear(np.ones(3))
    assert white == pytest.approx([100, 0, 0], abs=1e-3)


@pytest.mark.parametrize(
    ("text", "hex_value"),
    [
        ("#9CAF88", "#9CAF88"),
        ("9caf88", "#9CAF88"),
        ("#abc", "#AABBCC"),
        ("rgb(1, 2, 3)", "#010203"),
        ("Sage", "#9CAF88"),
        ("sage-green", "#9CAF88"),
        ("  DUSTY   rose ", "#C4767A"),
        ("dustyrose", "#C4767A"),
        ("grey", parse_color("gray").hex),
        ("navy", "#1D2A57"),
        ("rebeccapurple", "#663399"),
    ],
)
def test_colors_are_read_as_people_write_them(text: str, hex_value: str) -> None:
    assert parse_color(text).hex == hex_value


def test_light_and_dark_move_only_the_lightness() -> None:
    base, light, dark = (parse_color(text) for text in ("sage", "pale sage", "dark sage"))
    values = [
        oklab_from_linear(linear_from_srgb(np.array(c.rgb, np.uint8)).astype(float))
        for c in (dark, base, light)
    ]
    assert values[0][0] < values[1][0] < values[2][0]
    assert np.hypot(*(values[0] - values[2])[1:]) < 0.01


@pytest.mark.parametrize("text", ["blurple-ish", "", "#12", "rgb(300,0,0)", "😀", "a" * 5000])
def test_an_unknown_color_names_its_neighbors_and_the_way_out(text: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        parse_color(text)
    assert caught.value.data["near_matches"]
    assert "#9CAF88" in caught.value.hint
    assert len(str(caught.value)) < 400


def test_a_misspelled_color_is_recognized_among_its_neighbors() -> None:
    with pytest.raises(InvalidArguments) as caught:
        parse_color("turqoise")
    assert "turquoise" in caught.value.data["near_matches"]


def test_every_plain_color_is_nearest_to_itself() -> None:
    for name, value in PLAIN_COLORS.items():
        rgb = (value >> 16, value >> 8 & 255, value & 255)
        assert nearest_name(rgb)[1] == pytest.approx(0, abs=1e-6), name
