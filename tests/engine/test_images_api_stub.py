"""The stub that the remote engine is tested against speaks what OpenAI's own client speaks."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from engine_helpers import photograph
from images_api_stub import KEY, ImagesApi, serving
from PIL import Image

from engine.remote_wire import encode_mask, encode_png

openai = pytest.importorskip("openai", reason="the openai client is not installed")
pytestmark = pytest.mark.anyio
ASKED = {"model": "painter-1", "prompt": "a red mug", "size": "64x64"}


@pytest.fixture
async def api(anyio_backend: str) -> AsyncIterator[ImagesApi]:
    async with serving(ImagesApi("openai")) as served:
        yield served


@pytest.fixture
async def client(api: ImagesApi) -> AsyncIterator[Any]:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=api.url, max_retries=0) as opened:
        yield opened


def size_of(encoded: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(encoded))).size


def strictly(answer: Any) -> Any:
    """Check an answer against the client's own types, which it parses without checking."""
    return type(answer).model_validate(answer.model_dump(exclude_unset=True))


async def test_models_are_listed(client: Any) -> None:
    assert [strictly(model).id async for model in client.models.list()] == ["painter-1"]


async def test_pictures_are_generated(client: Any) -> None:
    answer = strictly(await client.images.generate(n=2, **ASKED))
    assert [size_of(picture.b64_json) for picture in answer.data] == [(64, 64)] * 2


async def test_one_picture_or_several_are_edited_with_a_mask(client: Any, api: ImagesApi) -> None:
    source = ("a.png", encode_png(photograph((64, 64))), "image/png")
    mask = ("m.png", encode_mask(Image.new("L", (64, 64), 255)), "image/png")
    for pictures in (source, [source, source]):
        answer = strictly(await client.images.edit(image=pictures, mask=mask, **ASKED))
        assert size_of(answer.data[0].b64_json) == (64, 64)
    names = [[name for name, _ in call.files] for call in api.received]
    assert names == [["image", "mask"], ["image[]", "image[]", "mask"]]


async def test_partial_pictures_stream(client: Any) -> None:
    source = ("a.png", encode_png(photograph((64, 64))), "image/png")
    for ask, kind in (
        (client.images.generate(stream=True, partial_images=2, **ASKED), "image_generation"),
        (client.images.edit(image=source, stream=True, partial_images=2, **ASKED), "image_edit"),
    ):
        events = [strictly(event) async for event in await ask]
        kinds = [f"{kind}.partial_image"] * 2 + [f"{kind}.completed"]
        assert [event.type for event in events] == kinds


async def test_errors_have_their_names(client: Any, api: ImagesApi) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.images.generate(**ASKED, extra_body={"seed": 1})
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "seed")
    stranger = client.with_options(api_key="sk-other")
    with pytest.raises(openai.AuthenticationError):
        await stranger.images.generate(**ASKED)
    api.answer_next(429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}})
    with pytest.raises(openai.RateLimitError):
        await client.images.generate(**ASKED)
