"""What the Images API does not take, and that it says so in OpenAI's shape."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from PIL import Image
from served import QUICK, Served, gradient, hole, png, serving, upload

from agent_tools.callers import acting_as
from agent_tools.errors import AgentToolsError, BadSettings, Overloaded
from server.images_api.errors import as_api_error
from server.tokens import TokenStore

TOKEN = "a-token-of-enough-characters"


def refused(answer: httpx2.Response) -> dict[str, Any]:
    """Return the error of an answer, whose shape is always the same."""
    assert set(answer.json()) == {"error"}, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert error["message"] and error["type"] and error["code"]
    return error


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"prompt": ""}, "prompt", "string_below_min_length"),
        ({"prompt": "   "}, "prompt", "string_below_min_length"),
        ({"prompt": "x" * 2001}, "prompt", "string_above_max_length"),
        ({"prompt": ["a"]}, "prompt", "invalid_value"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 11}, "n", "integer_above_max_value"),
        ({"n": "2"}, "n", "invalid_value"),
        ({"n": True}, "n", "invalid_value"),
        ({"size": "huge"}, "size", "invalid_value"),
        ({"size": "32x64"}, "size", "invalid_value"),
        ({"size": "4096x1024"}, "size", "invalid_value"),
        ({"size": "3840x3840"}, "size", "invalid_value"),
        ({"size": "-64x64"}, "size", "invalid_value"),
        ({"size": 64}, "size", "invalid_value"),
        ({"quality": "best"}, "quality", "invalid_value"),
        ({"background": "blue"}, "background", "invalid_value"),
        ({"output_format": "gif"}, "output_format", "unsupported_value"),
        ({"output_format": "svg"}, "output_format", "unsupported_value"),
        ({"output_format": "bmp"}, "output_format", "invalid_value"),
        ({"output_compression": 101}, "output_compression", "integer_above_max_value"),
        ({"output_compression": 50}, "output_compression", "invalid_value"),
        ({"background": "transparent", "output_format": "jpeg"}, "output_format", "invalid_value"),
        ({"response_format": "path"}, "response_format", "invalid_value"),
        ({"response_format": "url", "stream": True}, "response_format", "invalid_value"),
        ({"response_format": "url", "output_format": "webp"}, "response_format", "invalid_value"),
        ({"partial_images": 2}, "partial_images", "invalid_value"),
        ({"partial_images": 4, "stream": True}, "partial_images", "integer_above_max_value"),
        ({"frame_count": 4}, "frame_count", "unsupported_parameter"),
        ({"frame_duration_ms": 40}, "frame_duration_ms", "unsupported_parameter"),
        ({"svg": {"model": "x"}}, "svg", "unsupported_parameter"),
        ({"seed": -1}, "seed", "integer_below_min_value"),
        ({"seed": 2**32}, "seed", "integer_above_max_value"),
        ({"seed": 1.5}, "seed", "invalid_value"),
        ({"model": "x" * 300}, "model", "string_above_max_length"),
        ({"image": "data:image/png;base64,AAAA"}, "image", "unknown_parameter"),
        ({"lora": "x"}, "lora", "unknown_parameter"),
    ],
)
def test_a_wrong_field_is_named(fields: Any, param: str, code: str, api: Served) -> None:
    before = api.pictures
    answer = httpx2.post(
        f"{api.url}/v1/images/generations", json={"prompt": "a mug", **QUICK, **fields}
    )
    assert answer.status_code == 400
    error = refused(answer)
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"
    assert api.pictures == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"a mug"',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"prompt": NaN}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "a mug", "\\ud800": 1}',
        b'{"prompt": "a mug", "seed": ' + b"9" * 5000 + b"}",
        json.dumps({"prompt": "a mug", "x" * 5000: 1}).encode(),
        json.dumps({f"key{k}": k for k in range(5000)}).encode(),
        b'{"prompt": "a mug", "n": 1e400}',
    ],
)
def test_a_malformed_body_is_the_callers_fault(body: bytes, api: Served) -> None:
    answer = httpx2.post(
        f"{api.url}/v1/images/generations",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 400
    assert len(answer.content) < 2000
    refused(answer)
    assert httpx2.get(f"{api.url}/healthz").status_code == 200


def test_too_large_a_body_is_refused_before_it_is_read(api: Served) -> None:
    for path, content_type in (
        ("generations", "application/json"),
        ("edits", "multipart/form-data; boundary=y"),
        ("variations", "multipart/form-data; boundary=y"),
    ):
        answer = httpx2.post(
            f"{api.url}/v1/images/{path}",
            content=b"x" * 5_000_000,
            headers={"Content-Type": content_type},
        )
        assert answer.status_code == 413
        assert refused(answer)["code"] == "body_too_large"


def bomb() -> bytes:
    return png(Image.new("1", (12_000, 12_000)))


def animation() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("files", "param", "code"),
    [
        ([], "image", "missing_required_parameter"),
        ([("image", b"not a picture")], None, "invalid_image"),
        ([("image", png(gradient())[:100])], None, "invalid_image"),
        ([("image", bomb())], None, "invalid_image"),
        ([("image", animation())], None, "invalid_image"),
        ([("image", b"")], None, "invalid_image"),
        ([("image", b"<svg xmlns='http://www.w3.org/2000/svg'/>")], None, "invalid_image"),
        ([("image", png(gradient())), ("mask", png(hole((64, 64))))], "mask", "invalid_value"),
        ([("image", png(gradient())), ("mask", png(gradient()))], "mask", "invalid_value"),
        (
            [("image", png(gradient())), ("mask", png(Image.new("RGBA", (72, 64), "black")))],
            "mask",
            "invalid_value",
        ),
        ([("image", png(gradient())), ("mask", b"x")], None, "invalid_image"),
        ([("image", png(gradient())), ("mask", png(hole())), ("mask", png(hole()))], "mask", None),
        ([("image[]", png(gradient()))] * 6, "image", "invalid_value"),
        ([("image", b"\x00" * 2_100_000)], "image", "image_too_large"),
        ([("image", png(gradient())), ("markup", png(hole()))], "markup", "unsupported_parameter"),
        ([("image", png(gradient())), ("secret", b"x")], "secret", "unknown_parameter"),
        ([("image", png(gradient())), ("mask_image", b"x")], "mask_image", "unknown_parameter"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(
    files: Any, param: str | None, code: str | None, api: Served
) -> None:
    before = len(api.studio.gallery.list(limit=1000))
    parts = [(name, ("../../etc/passwd.png", data, "image/png")) for name, data in files]
    answer = httpx2.post(f"{api.url}/v1/images/edits", files=[("prompt", (None, "a leaf")), *parts])
    assert answer.status_code == 400
    error = refused(answer)
    assert error["param"] == param and code in (None, error["code"])
    assert len(api.studio.gallery.list(limit=1000)) == before


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"{}", "application/json"),
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary=y"),
        (b"--y\r\n" * 5000, "multipart/form-data; boundary=y"),
        (b"--y\r\nContent-Disposition: form-data; name=image\r\n\r\nabc\r\n--y--\r\n", None),
        (b"--y\r\nContent-Disposition: form-data; name=prompt\r\n\r\na\r\n" * 2 + b"--y--", None),
        (
            b"".join(
                b"--y\r\nContent-Disposition: form-data; name=a%d\r\n\r\n1\r\n" % k
                for k in range(500)
            )
            + b"--y--\r\n",
            None,
        ),
        (
            b'--y\r\nContent-Disposition: form-data; name="\xff\xfe"\r\n\r\n1\r\n--y--\r\n',
            None,
        ),
        (
            b"--y\r\nContent-Disposition: form-data; name=prompt\r\n\r\n"
            + b"x" * 200_000
            + b"\r\n--y--\r\n",
            None,
        ),
    ],
)
def test_a_broken_form_is_the_callers_fault(
    content: bytes, content_type: str | None, api: Served
) -> None:
    headers = {"Content-Type": content_type or "multipart/form-data; boundary=y"}
    for path in ("edits", "variations"):
        answer = httpx2.post(f"{api.url}/v1/images/{path}", content=content, headers=headers)
        assert answer.status_code == 400
        refused(answer)
    assert httpx2.get(f"{api.url}/healthz").status_code == 200


def test_a_refused_prompt_has_openais_code(api: Served) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        api.client.images.generate(prompt="undress her", extra_body=QUICK)
    assert caught.value.code == "moderation_blocked"
    assert caught.value.type == "image_generation_user_error"
    assert "clothing" in caught.value.message


def test_a_way_that_the_model_does_not_know_is_refused(api: Served) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        api.client.images.edit(
            image=[upload(gradient()), upload(gradient(64, 64))], prompt="a leaf", extra_body=QUICK
        )
    assert caught.value.code == "unsupported_mode"


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"),
    [
        (
            Overloaded("Full.", data={"retry_after_s": 6.2}),
            429,
            "rate_limit_exceeded",
            {"Retry-After": "7"},
        ),
        (AgentToolsError("x", code="deadline_exceeded", retryable=True), 504, None, {}),
        (AgentToolsError("x", code="remote_unavailable", retryable=True), 503, None, {}),
        (
            AgentToolsError("x", code="model_not_loaded"),
            500,
            "model_not_loaded",
            {"x-should-retry": "false"},
        ),
    ],
)
def test_a_tools_errors_tell_clients_whether_to_try_again(
    error: AgentToolsError, status: int, code: str | None, headers: dict[str, str]
) -> None:
    said = as_api_error(error)
    answer = said.response()
    assert answer.status_code == status and code in (None, said.code)
    assert {**dict(answer.headers), **{k.lower(): v for k, v in headers.items()}} == dict(
        answer.headers
    )
    assert ("x-should-retry" in answer.headers) == ("x-should-retry" in headers)


def test_a_full_engine_answers_429_and_names_the_time(
    tmp_path: Path, tiny_stable_diffusion: Path
) -> None:
    with serving(tmp_path / "data", tiny_stable_diffusion, max_queue_s=0.001) as full:
        holding = full.client.images.generate(
            prompt="a slow mug", stream=True, extra_body={"num_inference_steps": 150}
        )
        with pytest.raises(openai.RateLimitError) as caught:
            full.client.images.generate(prompt="another", extra_body={"num_inference_steps": 150})
        assert caught.value.code == "rate_limit_exceeded"
        assert int(caught.value.response.headers["retry-after"]) >= 1
        holding.close()


def test_a_call_that_takes_too_long_is_ended(tmp_path: Path, tiny_stable_diffusion: Path) -> None:
    with serving(tmp_path / "data", tiny_stable_diffusion, images_deadline_s=0.2) as short:
        for more in ({}, {"stream": True}):
            sent = {"prompt": "a mug", "size": "512x512", "num_inference_steps": 150, **more}
            answer = httpx2.post(f"{short.url}/v1/images/generations", json=sent, timeout=60)
            assert "deadline_exceeded" in answer.text
        assert short.pictures == 0


def test_the_token_opens_every_route_and_nothing_else_does(
    tmp_path: Path, tiny_stable_diffusion: Path
) -> None:
    with serving(tmp_path / "data", tiny_stable_diffusion, token=TOKEN) as guarded:
        assert [model.id for model in guarded.client.models.list()]
        stranger = openai.OpenAI(
            base_url=f"{guarded.url}/v1", api_key="sk-wrong-key-of-some-length", max_retries=0
        )
        for call in (
            lambda: stranger.models.list(),
            lambda: stranger.images.generate(prompt="a mug"),
            lambda: stranger.images.edit(image=upload(gradient()), prompt="a mug"),
        ):
            with pytest.raises(openai.AuthenticationError) as caught:
                call()
            assert caught.value.code == "unauthorized"
        stranger.close()
        assert guarded.studio.gallery.list() == []


def test_an_alias_that_leads_nowhere_stops_the_start(tmp_path: Path) -> None:
    aliases = "dall-e-3=no-such-model"
    with (
        pytest.raises(BadSettings, match="no-such-model"),
        serving(tmp_path / "data", "starter", model_aliases=aliases),
    ):
        pass


def test_other_paths_and_methods_have_the_same_shape(api: Served) -> None:
    assert refused(httpx2.get(f"{api.url}/v1/images/generations"))["code"] == "method_not_allowed"
    assert refused(httpx2.post(f"{api.url}/v1/chat/completions"))["code"] == "not_found"


def test_tokens_with_scopes_open_what_they_say_and_callers_do_not_meet(
    tmp_path: Path, tiny_stable_diffusion: Path
) -> None:
    store = TokenStore(tmp_path / "data")
    tokens = {
        name: store.create(name, scopes)
        for name, scopes in (
            ("reader", ["read"]),
            ("shop", ["read", "generate"]),
            ("other", ["read", "generate"]),
        )
    }
    store.close()
    with serving(tmp_path / "data", tiny_stable_diffusion, token=TOKEN) as served:
        clients = {name: served.client.with_options(api_key=key) for name, key in tokens.items()}
        assert list(clients["reader"].models.list())
        with pytest.raises(openai.PermissionDeniedError) as caught:
            clients["reader"].images.generate(prompt="a mug", extra_body=QUICK)
        assert caught.value.code == "insufficient_scope"
        made = clients["shop"].images.generate(prompt="a secret mug", extra_body=QUICK)
        (item,) = made.data or []
        picture = ("back.png", base64.b64decode(item.b64_json or ""), "image/png")
        parents = {}
        for name in ("shop", "other"):
            edited = clients[name].images.edit(image=picture, prompt="a leaf", extra_body=QUICK)
            image_id = (edited.data or [])[0].model_extra["image_id"]
            with acting_as(name):
                parents[name] = served.studio.gallery.get(image_id).parent_id
        shown = (item.model_extra or {})["image_id"]
        assert parents["shop"] == shown != parents["other"]


def test_a_tool_that_agents_are_not_offered_is_no_way_in(
    tmp_path: Path, tiny_stable_diffusion: Path
) -> None:
    with serving(tmp_path / "data", tiny_stable_diffusion, tools=("find_images",)) as served:
        answer = httpx2.post(
            f"{served.url}/v1/images/generations", json={"prompt": "a mug", **QUICK}, timeout=60
        )
        assert answer.status_code == 404
        assert "generate_image" in refused(answer)["message"] and served.pictures == 0
