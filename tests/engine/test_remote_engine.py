"""Painting behind an OpenAI-compatible Images API: over real HTTP on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from engine_helpers import events_of, paint, photograph
from images_api_stub import KEY
from remote_helpers import Remote, ask

from engine import Done, Queued, SamplingParams, StepEvent
from engine.errors import (
    EngineError,
    InvalidRequest,
    ModelNotLoaded,
    RemoteRefused,
    RemoteUnavailable,
    UnsupportedMode,
)
from engine.remote import RemoteEngine

pytestmark = pytest.mark.anyio


async def test_each_seed_is_one_call_and_the_same_seed_is_the_same_picture(remote: Remote) -> None:
    api, engine = await remote()
    first = await paint(engine, ask(seeds=(7, 8)))
    again = await paint(engine, ask(seeds=(8, 7)))
    assert sorted(call.fields["seed"] for call in api.received) == [7, 7, 8, 8]
    assert first.images[0].tobytes() == again.images[1].tobytes()
    assert first.images[0].tobytes() != first.images[1].tobytes()
    assert first.seeds == (7, 8) and first.model == engine.model == "painter-1"
    assert first.warnings == () and first.timings_s["total"] > 0


async def test_what_the_request_says_arrives_under_the_servers_names(remote: Remote) -> None:
    api, engine = await remote()
    params = SamplingParams(num_inference_steps=9, guidance_scale=3.5)
    await paint(engine, ask(negative_prompt="blur", params=params, width=96, height=64))
    assert api.received[0].fields == {
        "model": "painter-1",
        "prompt": "a red mug",
        "n": 1,
        "size": "96x64",
        "seed": 7,
        "negative_prompt": "blur",
        "num_inference_steps": 9,
        "guidance_scale": 3.5,
        "output_format": "png",
        "response_format": "b64_json",
    }


async def test_events_are_queued_steps_done(remote: Remote) -> None:
    _, engine = await remote()
    request = ask(seeds=(1, 2, 3))
    events = await events_of(engine, request)
    assert [type(event) for event in events] == [Queued, StepEvent, StepEvent, StepEvent, Done]
    assert {event.request_id for event in events} == {request.request_id}
    assert [(e.step, e.total) for e in events if isinstance(e, StepEvent)] == [
        (1, 3),
        (2, 3),
        (3, 3),
    ]


async def test_without_a_size_the_server_chooses(remote: Remote) -> None:
    api, engine = await remote()
    result = await paint(engine, ask(width=None, height=None))
    assert "size" not in api.received[0].fields
    assert result.images[0].size == (1024, 1024) and result.warnings == ()


async def test_a_size_off_the_grid_is_rounded_and_said(remote: Remote) -> None:
    api, engine = await remote("openai")
    result = await paint(engine, ask(width=100, height=70))
    assert api.received[0].fields["size"] == "96x64"
    assert "Painted at 96x64 instead of 100x70: the remote server chose the size." in (
        result.warnings
    )


async def test_what_has_no_field_is_refused_with_the_way_out(remote: Remote) -> None:
    api, engine = await remote()
    source = photograph()
    for changes in (
        {"sketch": source},
        {"image": source, "upscale": 2, "width": None, "height": None},
        {"refine": True, "upscale": 2},
        {"deterministic": True},
    ):
        with pytest.raises(UnsupportedMode, match="AGENT_TOOLS_ENGINE"):
            await paint(engine, ask(**changes))
    assert api.received == []


async def test_a_sampler_is_left_to_the_server_and_said(remote: Remote) -> None:
    _, engine = await remote()
    result = await paint(engine, ask(params=SamplingParams(sampler="euler")))
    assert "The remote server chooses the sampler." in result.warnings
    assert result.params.sampler is None


async def test_keys_that_a_strict_server_refuses_are_left_out_once_and_for_all(
    remote: Remote,
) -> None:
    api, engine = await remote("openai")
    params = SamplingParams(num_inference_steps=9, guidance_scale=3.5)
    request = ask(negative_prompt="blur", params=params, seeds=(1, 2))
    result = await paint(engine, request)
    assert len(api.received) == 2  # refusals are no received calls
    assert set(api.received[0].fields) == {"model", "prompt", "n", "size", "output_format"}
    for word in ("seed", "negative prompt", "number of steps", "guidance"):
        assert any(word in warning for warning in result.warnings), word
    await paint(engine, replace(request, request_id="later", seeds=(1, 2, 3)))
    assert [call.fields["n"] for call in api.received] == [1, 1, 3]


async def test_extras_off_sends_no_such_key(remote: Remote) -> None:
    api, engine = await remote(extras="off")
    result = await paint(engine, ask(negative_prompt="blur", seeds=(1, 2)))
    assert not {"seed", "negative_prompt"} & api.received[0].fields.keys()
    assert api.received[0].fields["n"] == 2 and len(result.images) == 2


async def test_extras_on_insists_and_the_servers_words_reach_the_caller(remote: Remote) -> None:
    api, engine = await remote("openai", extras="on")
    with pytest.raises(InvalidRequest, match="Unknown parameter: 'seed'"):
        await paint(engine, ask())
    assert api.painted == 0


async def test_a_wrong_value_of_a_known_key_is_an_error_and_not_a_missing_key(
    remote: Remote,
) -> None:
    api, engine = await remote()
    with pytest.raises(InvalidRequest, match="guidance_scale: Input should be at most 20"):
        await paint(engine, ask(params=SamplingParams(guidance_scale=25)))
    assert (await paint(engine, ask(params=SamplingParams(guidance_scale=5)))).warnings == ()
    assert api.received[-1].fields["guidance_scale"] == 5


async def test_pydantic_servers_that_forbid_extra_keys_are_understood(remote: Remote) -> None:
    api, engine = await remote()
    said = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs ..."}
    api.answer_next(422, {"detail": [said]})
    result = await paint(engine, ask())
    assert "seed" not in api.received[-1].fields
    assert any("seed" in warning for warning in result.warnings)


async def test_a_server_that_gives_one_picture_a_call_is_asked_until_all_are_there(
    remote: Remote,
) -> None:
    api, engine = await remote(extras="off")
    api.at_most = 2
    result = await paint(engine, ask(seeds=(1, 2, 3, 4, 5)))
    assert len(result.images) == 5
    assert [call.fields["n"] for call in api.received] == [5, 3, 1]


@pytest.mark.parametrize("editing", [False, True])
async def test_partial_pictures_become_small_previews(remote: Remote, editing: bool) -> None:
    api, engine = await remote("openai")
    source = {"image": photograph((1024, 512)), "width": None, "height": None}
    request = ask(
        preview_every=1, seeds=(1, 2), **(source if editing else {"width": 512, "height": 384})
    )
    steps = [e for e in await events_of(engine, request) if isinstance(e, StepEvent)]
    assert {call.fields["partial_images"] for call in api.received} == {3}
    assert [step.step for step in steps] == list(range(1, 9)) and steps[0].total == 8
    previews = [step.preview for step in steps if step.preview is not None]
    assert len(previews) == 6 and all(max(preview.size) <= 256 for preview in previews)


async def test_a_server_that_does_not_stream_is_asked_without(remote: Remote) -> None:
    api, engine = await remote()
    request = ask(image=photograph((64, 64)), preview_every=2)
    events = await events_of(engine, request)
    assert isinstance(events[-1], Done)
    assert "stream" not in api.received[-1].fields
    assert (await events_of(engine, ask(preview_every=2)))[-1].result.images  # and ignores it


@pytest.mark.parametrize(
    ("code", "kind"),
    [("moderation_blocked", InvalidRequest), (None, RemoteUnavailable)],
)
async def test_an_error_inside_a_stream_is_an_error(
    remote: Remote, code: str | None, kind: type[EngineError]
) -> None:
    api, engine = await remote("openai")
    await paint(engine, ask())  # it learns which keys are taken
    error = {"type": "error", "error": {"message": "blocked or broken", "code": code}}
    body = f"event: error\ndata: {json.dumps(error)}\n\n".encode()
    api.answer_next(200, body, {"content-type": "text/event-stream"})
    with pytest.raises(kind, match="blocked or broken"):
        await paint(engine, ask(preview_every=1))


async def test_a_stream_that_ends_early_is_retryable(remote: Remote) -> None:
    api, engine = await remote()
    api.answer_next(200, b"data: [DONE]\n\n", {"content-type": "text/event-stream"})
    with pytest.raises(RemoteUnavailable, match="without a picture") as caught:
        await paint(engine, ask(preview_every=1))
    assert caught.value.retryable


async def test_loading_finds_the_only_model(remote: Remote) -> None:
    api, engine = await remote()
    assert engine.model in api.url
    await engine.load()
    await engine.load()
    assert engine.model == "painter-1"


async def test_a_model_that_the_server_does_not_run_names_the_setting(remote: Remote) -> None:
    _, engine = await remote(model="other")
    with pytest.raises(RemoteRefused, match="AGENT_TOOLS_ENGINE_MODEL"):
        await paint(engine, ask())


@pytest.mark.parametrize(
    ("models", "model", "message"),
    [
        (("a", "b"), None, "'a', 'b'"),
        (("a", "b"), "c", "no model 'c'"),
        ((), None, "AGENT_TOOLS_ENGINE_MODEL"),
        (None, None, "AGENT_TOOLS_ENGINE_MODEL"),
    ],
)
async def test_a_model_that_is_not_clear_is_not_loaded(
    remote: Remote, models: tuple[str, ...] | None, model: str | None, message: str
) -> None:
    _, engine = await remote(server={"models": models}, model=model)
    with pytest.raises(ModelNotLoaded, match=message):
        await engine.load()


async def test_a_server_without_a_list_is_taken_at_its_word(remote: Remote) -> None:
    _, engine = await remote(server={"models": None}, model="mine")
    await engine.load()
    assert (await paint(engine, ask())).model == "mine"


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/v1",
        "ftp://localhost/v1",
        "localhost:8000/v1",
        "https://user:secret@host/v1",
        "https://host/v1?key=secret",
        "https://host:port/v1",
        "https://",
        "",
    ],
)
def test_an_address_that_could_leak_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(ValueError) as caught:
        RemoteEngine(address, KEY)
    assert "secret" not in str(caught.value) and KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel", ""])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError) as caught:
        RemoteEngine("https://host/v1", key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://host/v1/", "http://[::1]:8000/v1", "http://localhost"]
)
def test_https_and_this_machine_are_taken(address: str) -> None:
    assert RemoteEngine(address).model


def test_importing_and_constructing_loads_no_http_and_no_torch() -> None:
    program = (
        "import sys; from engine import RemoteEngine; RemoteEngine('https://host/v1', 'k');"
        "heavy = {'torch', 'httpx2', 'httpx', 'PIL', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
