"""Streams of the Images API: previews, the finished picture, errors, and clients that leave."""

from __future__ import annotations

import base64
import io
import socket
import threading
from typing import Any

import httpx2
import openai
import pytest
from openai.types import (
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
)
from PIL import Image
from served import Served, gradient, upload


def picture(event: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(event.b64_json)))


def events_of(api: Served, **fields: Any) -> list[Any]:
    extra = {"num_inference_steps": 8, **fields.pop("extra", {})}
    with api.client.images.generate(
        prompt=fields.pop("prompt", "a red mug"), stream=True, extra_body=extra, **fields
    ) as stream:
        return list(stream)


@pytest.mark.parametrize("partials", [0, 1, 3])
def test_previews_come_before_the_picture(partials: int, api: Served) -> None:
    events = events_of(api, partial_images=partials, extra={"seed": partials}, output_format="webp")
    *shown, done = events
    assert all(isinstance(event, ImageGenPartialImageEvent) for event in shown)
    assert [event.partial_image_index for event in shown] == list(range(partials))
    assert isinstance(done, ImageGenCompletedEvent)
    assert {picture(event).format for event in events} == {"WEBP"}
    assert len({event.b64_json for event in events}) == partials + 1
    assert done.usage.total_tokens > 0
    assert (done.model_extra or {})["seed"] == partials


def test_a_streamed_picture_is_the_one_that_comes_without_a_stream(api: Served) -> None:
    *_, done = events_of(api, prompt="a teapot", partial_images=2, extra={"seed": 77})
    plain = api.client.images.generate(
        prompt="a tea pot", extra_body={"num_inference_steps": 8, "seed": 77}
    )
    again = api.client.images.generate(
        prompt="a teapot", extra_body={"num_inference_steps": 8, "seed": 77}
    )
    assert done.b64_json == (again.data or [])[0].b64_json != (plain.data or [])[0].b64_json


def test_several_pictures_come_one_after_the_other(api: Served) -> None:
    events = events_of(api, n=2, partial_images=1, extra={"seed": 5})
    kinds = [(event.type.rpartition(".")[2], event.model_extra["image_index"]) for event in events]
    assert kinds == [
        ("partial_image", 0),
        ("completed", 0),
        ("partial_image", 1),
        ("completed", 1),
    ]
    assert [event.model_extra.get("seed") for event in events if "seed" in event.model_extra] == [
        5,
        6,
    ]


def test_an_edit_streams_under_its_own_names(api: Served) -> None:
    with api.client.images.edit(
        image=upload(gradient()),
        prompt="a leaf",
        stream=True,
        partial_images=1,
        extra_body={"num_inference_steps": 8, "strength": 1.0},
    ) as stream:
        shown, done = list(stream)
    assert isinstance(shown, ImageEditPartialImageEvent)
    assert isinstance(done, ImageEditCompletedEvent)
    assert picture(done).size == (72, 64)


def test_what_is_wrong_before_the_first_event_is_a_plain_error(api: Served) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        events_of(api, prompt="a nude schoolgirl", partial_images=1)
    assert refused.value.code == "moderation_blocked"
    assert refused.value.type == "image_generation_user_error"


def test_what_goes_wrong_later_is_an_event(api: Served) -> None:
    """The painting succeeds; cutting out what is noise does not."""
    with pytest.raises(openai.APIError) as failed:
        events_of(api, background="transparent", extra={"seed": 1})
    assert not isinstance(failed.value, openai.APIStatusError)
    assert failed.value.code == "background_not_removed"


@pytest.mark.parametrize("path", ["generations", "edits"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_painting_within_a_step(
    path: str, stream: bool, api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, ended, seen = threading.Event(), threading.Event(), []
    submit = api.studio.engine.submit

    async def watched(request: Any) -> Any:
        try:
            async for event in submit(request):
                seen.append(event)
                if len(seen) == 4:
                    began.set()
                yield event
        finally:
            ended.set()

    monkeypatch.setattr(api.studio.engine, "submit", watched)
    before = api.pictures
    fields = {"prompt": "a slow mug", "num_inference_steps": 150, "size": "256x256"}
    if stream:
        fields |= {"stream": True}
    if path == "edits":
        text = {name: str(value).lower() for name, value in fields.items()} | {"strength": "1"}
        made = httpx2.Request(
            "POST",
            f"{api.url}/v1/images/edits",
            data=text,
            files={"image": upload(gradient(256, 256))},
        )
    else:
        made = httpx2.Request("POST", f"{api.url}/v1/images/generations", json=fields)
    head = f"POST {made.url.raw_path.decode()} HTTP/1.1\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in made.headers.items()
    )
    with socket.create_connection((made.url.host, made.url.port)) as connection:
        connection.sendall(head.encode() + b"\r\n" + made.read())
        assert began.wait(60)
    assert ended.wait(60)
    assert len(seen) < 140
    assert api.pictures == before
