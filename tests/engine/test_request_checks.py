"""Every field of a request, and every contradiction, gets one clear answer before any work."""

from __future__ import annotations

from typing import Any

import pytest
from engine_helpers import box_mask, photograph
from PIL import Image

from engine import ImageRequest, Margins, SamplingParams
from engine.checks import check_request
from engine.errors import InvalidRequest

SOURCE = photograph((64, 48))
MASK = box_mask((64, 48), (8, 8, 20, 20))


@pytest.mark.parametrize(
    "fields",
    [
        {"image": SOURCE, "extend": Margins(left=1)},
        {"image": SOURCE, "extend": Margins(2048, 2048, 0, 0)},
        {"image": SOURCE, "extend": Margins(8), "mask": MASK},
        {"image": SOURCE, "upscale": 2},
        {"image": SOURCE, "upscale": 4, "params": SamplingParams(strength=0.2)},
        {"refine": True},
        {"refine": True, "upscale": 4, "width": 64},
        {"image": SOURCE, "mask": MASK, "refine": True},
        {"image": SOURCE, "extend": Margins(8, 8, 8, 8), "upscale": 2, "refine": True},
        {"sketch": SOURCE},
        {"sketch": SOURCE, "image": SOURCE, "mask": MASK},
        {"references": (SOURCE,) * 16},
        {"references": (SOURCE,), "image": SOURCE, "mask": MASK},
        {"deterministic": True, "priority": "batch", "deadline_s": 0.5, "caller": "a"},
        {"preview_every": 200, "request_id": "x"},
    ],
)
def test_what_makes_sense_passes(fields: dict[str, Any]) -> None:
    check_request(ImageRequest("a mug", **fields))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"extend": Margins(8)}, "the picture to extend"),
        ({"image": SOURCE, "extend": Margins()}, "at least one side"),
        ({"image": SOURCE, "extend": Margins(left=-1)}, "extend.left"),
        ({"image": SOURCE, "extend": Margins(top=1.5)}, "extend.top"),
        ({"image": SOURCE, "extend": Margins(right=True)}, "extend.right"),
        ({"image": SOURCE, "extend": Margins(bottom=2049)}, "extend.bottom"),
        ({"image": SOURCE, "extend": (1, 1, 1, 1)}, "Margins"),
        ({"image": SOURCE, "extend": Margins(8), "width": 64}, "width"),
        ({"image": Image.new("1", (8000, 8)), "extend": Margins(left=500)}, "8500x8"),
        ({"image": Image.new("1", (4096, 4096)), "extend": Margins(left=1)}, "4097x4096"),
        ({"upscale": 2}, "refine=True"),
        ({"image": SOURCE, "upscale": 3}, "2 or 4"),
        ({"image": SOURCE, "upscale": True}, "2 or 4"),
        ({"image": SOURCE, "upscale": 2.0}, "2 or 4"),
        ({"image": SOURCE, "upscale": 2, "mask": MASK}, "together with mask"),
        ({"image": SOURCE, "upscale": 2, "extend": Margins(8)}, "together with extend"),
        ({"image": SOURCE, "upscale": 2, "sketch": SOURCE}, "together with sketch"),
        ({"image": SOURCE, "upscale": 2, "references": (SOURCE,)}, "together with references"),
        ({"image": SOURCE, "upscale": 2, "height": 64}, "together with height"),
        ({"image": Image.new("1", (2100, 8)), "upscale": 4}, "8400x32"),
        ({"refine": 1}, "refine"),
        ({"deterministic": "yes"}, "deterministic"),
        ({"priority": "urgent"}, "interactive or batch"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": float("nan")}, "deadline_s"),
        ({"caller": ""}, "caller"),
        ({"caller": "x" * 257}, "caller"),
        ({"request_id": ""}, "request_id"),
        ({"request_id": None}, "request_id"),
        ({"preview_every": -1}, "preview_every"),
        ({"preview_every": 1.5}, "preview_every"),
        ({"references": [SOURCE]}, "references"),
        ({"references": (SOURCE,) * 17}, "17 of them"),
        ({"references": ("cat.png",)}, "PIL pictures"),
        ({"sketch": "drawing.svg"}, "PIL pictures"),
        ({"image": b"bytes"}, "PIL pictures"),
        ({"sketch": Image.new("1", (9000, 2))}, "9000x2"),
        ({"mask": MASK}, "mask without image"),
        ({"sketch": SOURCE, "params": SamplingParams(strength=0.5)}, "strength"),
    ],
)
def test_what_does_not_is_refused_by_name(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        check_request(ImageRequest("a mug", **fields))
