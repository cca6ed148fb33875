"""The Images API through OpenAI's own client: generate, edit, vary, list."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
from openai.types import ImagesResponse
from PIL import Image
from served import QUICK, Served, gradient, hole, png, upload

from agent_tools.provenance import read_xmp
from server.images_api.jobs import size_to_paint
from server.images_api.renditions import Rendition, fitting_size, render


def pictures(answer: ImagesResponse) -> list[Image.Image]:
    """Decode the pictures of an answer."""
    return [Image.open(io.BytesIO(raw)) for raw in raw_pictures(answer)]


def raw_pictures(answer: ImagesResponse) -> list[bytes]:
    assert answer.data
    return [base64.b64decode(item.b64_json or "") for item in answer.data]


def paint(api: Served, prompt: str = "a red mug", **fields: Any) -> ImagesResponse:
    extra = {**QUICK, **fields.pop("extra", {})}
    return api.client.images.generate(prompt=prompt, extra_body=extra, **fields)


def test_a_picture_is_painted_kept_and_described(api: Served) -> None:
    answer = paint(api, "a purple teapot", model="tiny-stable-diffusion", extra={"seed": 7})
    assert answer.output_format == "png" and answer.background == "opaque"
    (item,) = answer.data or []
    assert item.url is None and item.revised_prompt is None
    said = item.model_extra or {}
    assert said["seed"] == 7
    assert said["caption"] == said["alt"] == "A purple teapot."
    assert said["model"] == "tiny-stable-diffusion"
    record = api.studio.gallery.get(said["image_id"])
    assert record.path.read_bytes() == raw_pictures(answer)[0]
    assert record.recipe["prompt"] == "a purple teapot" and record.tool == "generate_image"
    assert answer.size == f"{record.width}x{record.height}"
    usage = answer.usage
    assert usage is not None
    assert usage.input_tokens_details.text_tokens == 3
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens


def test_the_same_seed_is_the_same_picture_and_another_seed_another(api: Served) -> None:
    first, again, other = (
        raw_pictures(paint(api, "a mug", extra={"seed": seed}))[0] for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("count", [3, 6])
def test_n_pictures_have_neighboring_seeds(count: int, api: Served) -> None:
    answer = paint(api, "a chair", n=count, extra={"seed": 40})
    seeds = [(item.model_extra or {})["seed"] for item in answer.data or []]
    assert seeds == [40 + k for k in range(count)]
    assert len(set(raw_pictures(answer))) == count


def test_without_a_seed_every_picture_is_new(api: Served) -> None:
    assert raw_pictures(paint(api, "a lamp")) != raw_pictures(paint(api, "a lamp"))


@pytest.mark.parametrize(
    ("asked", "given", "noted"),
    [
        ("auto", (64, 64), False),
        ("96x64", (96, 64), False),
        ("128x128", (128, 128), False),
        ("100x70", (100, 70), True),  # not on the model's grid: painted near it and scaled
    ],
)
def test_a_picture_comes_in_the_size_that_was_asked_for(
    asked: str, given: tuple[int, int], noted: bool, api: Served
) -> None:
    answer = paint(api, "a vase", size=asked, extra={"num_inference_steps": 1})
    assert pictures(answer)[0].size == given
    assert answer.size == f"{given[0]}x{given[1]}"
    notes = " ".join((answer.model_extra or {})["notes"])
    assert ("scaled to" in notes) == noted


@pytest.mark.parametrize(
    ("painted", "wanted", "given"),
    [
        ((256, 256), (1024, 1024), (1024, 1024)),
        ((256, 256), (1536, 1024), (1024, 1024)),  # nothing is cut off or squeezed
        ((1536, 896), (1536, 864), (1536, 864)),
        ((2048, 1152), (3840, 2160), (3840, 2160)),
    ],
)
def test_other_proportions_than_the_models_fit_into_what_was_asked_for(
    painted: tuple[int, int], wanted: tuple[int, int], given: tuple[int, int]
) -> None:
    size, notes = fitting_size(painted, wanted)
    assert size == given
    assert f"{painted[0]}x{painted[1]}" in notes[0]
    assert size_to_paint((3840, 2160)) == (2048, 1152)


@pytest.mark.parametrize(("kind", "pillow"), [("png", "PNG"), ("webp", "WEBP"), ("jpeg", "JPEG")])
def test_every_format_carries_the_mark_of_its_origin(kind: Any, pillow: str, api: Served) -> None:
    answer = paint(api, "a bag", output_format=kind, extra={"seed": 3})
    assert answer.output_format == kind
    raw = raw_pictures(answer)[0]
    picture = Image.open(io.BytesIO(raw))
    assert picture.format == pillow
    mark = read_xmp(raw) if kind == "png" else str(picture.info["xmp"])
    assert "trainedAlgorithmicMedia" in mark and "A bag." in mark


def test_compression_makes_a_file_smaller(api: Served) -> None:
    large, small = (
        len(raw_pictures(paint(api, size="256x256", output_format="webp", extra=extra, **more))[0])
        for extra, more in (
            ({"seed": 4}, {}),
            ({"seed": 4}, {"output_compression": 10}),
        )
    )
    assert small < large / 2


def test_quality_means_steps(api: Served) -> None:
    steps = {}
    for quality in ("low", "auto", "high"):
        answer = api.client.images.generate(prompt="a jug", quality=quality)  # type: ignore[arg-type]
        record = api.studio.gallery.get((answer.data or [])[0].model_extra["image_id"])
        steps[quality] = record.recipe["params"]["num_inference_steps"]
        assert answer.quality == {"auto": "medium"}.get(quality, quality)
    assert steps == {"low": 12, "auto": 25, "high": 38}


def test_a_url_leads_to_the_kept_picture(api: Served) -> None:
    answer = paint(api, "a cap", response_format="url", extra={"seed": 5})
    (item,) = answer.data or []
    assert item.b64_json is None
    fetched = httpx2.get(item.url or "")
    record = api.studio.gallery.get((item.model_extra or {})["image_id"])
    assert fetched.content == record.path.read_bytes()
    again = paint(api, "a cap", response_format="url", extra={"seed": 5})
    assert (again.data or [])[0].url == item.url


def test_an_edit_with_a_mask_leaves_every_byte_outside_it_untouched(api: Served) -> None:
    source = gradient()
    answer = api.client.images.edit(
        image=upload(source),
        mask=upload(hole()),
        prompt="a green leaf",
        extra_body={**QUICK, "seed": 9},
    )
    before, after = np.asarray(source), np.asarray(pictures(answer)[0].convert("RGB"))
    changed = (before != after).any(axis=-1)
    assert changed[20:40, 20:44].mean() > 0.9
    changed[20:40, 20:44] = False
    assert not changed.any()
    record = api.studio.gallery.get((answer.data or [])[0].model_extra["image_id"])
    assert record.tool == "edit_image"
    roles = [item["role"] for item in record.recipe["inputs"]]
    assert roles == ["image", "mask"]


def test_half_transparent_parts_of_a_mask_are_kept(api: Served) -> None:
    source, mask = gradient(), hole()
    mask.paste((0, 0, 0, 1), (20, 20, 30, 40))
    answer = api.client.images.edit(
        image=upload(source), mask=upload(mask), prompt="a leaf", extra_body=QUICK
    )
    before, after = np.asarray(source), np.asarray(pictures(answer)[0].convert("RGB"))
    assert (before[20:40, 20:30] == after[20:40, 20:30]).all()
    assert (before[20:40, 30:44] != after[20:40, 30:44]).any()


def test_an_edit_without_a_mask_keeps_the_size_and_heeds_n_and_strength(api: Served) -> None:
    source = gradient()
    answer = api.client.images.edit(
        image=upload(source),
        prompt="a green leaf",
        n=2,
        extra_body={"num_inference_steps": 10, "seed": 1, "strength": 0.2},
    )
    assert [picture.size for picture in pictures(answer)] == [source.size] * 2
    assert [(item.model_extra or {})["seed"] for item in answer.data or []] == [1, 2]
    record = api.studio.gallery.get((answer.data or [])[0].model_extra["image_id"])
    assert record.recipe["params"]["strength"] == 0.2


def test_high_fidelity_keeps_more(api: Served) -> None:
    strengths = []
    for fidelity in ("low", "high"):
        answer = api.client.images.edit(
            image=upload(gradient()),
            prompt="a leaf",
            input_fidelity=fidelity,  # type: ignore[arg-type]
            extra_body={"num_inference_steps": 10},
        )
        record = api.studio.gallery.get((answer.data or [])[0].model_extra["image_id"])
        strengths.append(record.recipe["params"]["strength"])
    assert strengths == [0.6, 0.45]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_picture_of_ours_that_comes_back_is_known_again(api: Served) -> None:
    made = paint(api, "a yellow hat", extra={"seed": 11})
    image_id = (made.data or [])[0].model_extra["image_id"]
    edited = api.client.images.edit(
        image=("back.png", raw_pictures(made)[0], "image/png"),
        prompt="a blue hat",
        extra_body=QUICK,
    )
    record = api.studio.gallery.get((edited.data or [])[0].model_extra["image_id"])
    assert record.parent_id == image_id
    varied = api.client.images.with_raw_response.create_variation(
        image=("back.png", raw_pictures(made)[0], "image/png"), extra_body=QUICK
    )
    (item,) = varied.parse().data or []
    record = api.studio.gallery.get((item.model_extra or {})["image_id"])
    assert record.recipe["prompt"] == "a yellow hat" and record.parent_id == image_id


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_variation_of_a_strange_picture_says_how_to_get_better_ones(api: Served) -> None:
    answer = api.client.images.create_variation(
        image=upload(gradient(64, 64)), n=2, size="256x256", extra_body=QUICK
    )
    assert [picture.size for picture in pictures(answer)] == [(256, 256)] * 2
    assert "Send a prompt" in " ".join((answer.model_extra or {})["notes"])


def test_models_are_listed_and_unknown_names_are_served_with_a_note(api: Served) -> None:
    assert [model.id for model in api.client.models.list()] == ["tiny-stable-diffusion"]
    assert api.client.models.retrieve("dall-e-3").id == "dall-e-3"
    with pytest.raises(openai.NotFoundError) as missing:
        api.client.models.retrieve("gpt-9")
    assert missing.value.code == "model_not_found"
    notes = {}
    for name in ("dall-e-3", "gpt-image-2"):
        answer = paint(api, model=name)
        said = answer.model_extra or {}
        assert said["model"] == "tiny-stable-diffusion"
        notes[name] = said["notes"]
    assert notes["dall-e-3"] == []
    assert "gpt-image-2" in notes["gpt-image-2"][0] and "tiny" in notes["gpt-image-2"][0]


def test_what_has_no_effect_is_taken_and_said(api: Served) -> None:
    answer = paint(
        api,
        style="vivid",
        complexity="high",
        moderation="low",
        background="opaque",
        extra={"user": "shopper-1"},
    )
    notes = " ".join((answer.model_extra or {})["notes"])
    assert "style" in notes and "complexity" in notes and "moderation" in notes
    assert answer.safety_identifier == "shopper-1"


def test_a_background_is_removed_or_the_answer_says_why_not(api: Served) -> None:
    """The tiny model paints noise, in which nothing stands before anything."""
    with pytest.raises(openai.BadRequestError) as refused:
        paint(api, background="transparent", extra={"seed": 12})
    assert refused.value.code == "background_not_removed"
    assert "img_" in refused.value.message


def test_a_thing_on_a_plain_background_is_cut_out(api: Served) -> None:
    """Shown with the rendition alone: no tiny model paints a thing."""
    scene = Image.new("RGB", (96, 96), "white")
    scene.paste((180, 30, 40), (30, 30, 66, 66))
    record = api.studio.gallery.add_upload(png(scene))
    rendered = render(record, Rendition(format="webp", transparent=True, size=(192, 192)))
    picture = Image.open(io.BytesIO(rendered.data))
    assert picture.mode == "RGBA" and picture.size == (192, 192)
    assert picture.getpixel((5, 5))[3] == 0 and picture.getpixel((96, 96))[3] == 255


def test_requests_as_chat_platforms_write_them_are_served(api: Served) -> None:
    """The bodies that the sources of Open WebUI and LibreChat write."""
    url = f"{api.url}/v1/images"
    open_webui = {"model": "gpt-image-1", "prompt": "a mug", "n": 1, "size": "512x512"}
    libre_chat = {"background": "auto", "output_format": "png", "quality": "auto", "size": "auto"}
    with httpx2.Client(params={"api-version": "2025-04-01-preview"}, timeout=60) as http:
        answers = [
            http.post(
                f"{url}/generations", json={**open_webui, **QUICK, "response_format": "b64_json"}
            ),
            http.post(f"{url}/generations", json={"prompt": "a mug", "n": 2, **libre_chat}),
            http.post(
                f"{url}/edits",
                data={"model": "dall-e-2", "prompt": "a leaf", "n": "1", "background": "auto"},
                files={"image": ("image.png", png(gradient()), "image/png")},
            ),
            http.post(
                f"{url}/edits",
                data={"model": "x", "prompt": "a leaf", "quality": "auto", "size": "auto"},
                files=[("image[]", ("a.jpg", png(gradient(), "JPEG"), "image/jpeg"))],
            ),
        ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        for item in answer.json()["data"]:
            assert "url" not in item  # Open WebUI would fetch it instead of taking b64_json
            assert Image.open(io.BytesIO(base64.b64decode(item["b64_json"]))).format == "PNG"


def test_a_retry_under_the_same_key_paints_nothing_twice(api: Served) -> None:
    def attempt(key: str) -> bytes:
        answer = paint(api, "a stool", size="128x128", extra_headers={"Idempotency-Key": key})
        return raw_pictures(answer)[0]

    before = api.pictures
    with ThreadPoolExecutor() as pool:
        together = list(pool.map(attempt, ["order-1"] * 4))
    assert len({*together, attempt("order-1")}) == 1
    assert api.pictures == before + 1
    assert attempt("order-2") not in together
