"""The gallery inside the chat, clicked through in Chromium under the official host side."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright")

from app_page import BRIDGE, CHROMIUM, AppPage, add_cup, app_page, chromium, quick_studio
from playwright.async_api import Browser, expect

from agent_tools.settings import Settings
from agent_tools.studio import Studio

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(not BRIDGE.exists(), reason="run scripts/app_bridge first"),
]

VARIANTS = "create_product_variants"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    opened = quick_studio(Settings(data=tmp_path / "data"))
    yield opened
    await opened.close()


async def names(app: AppPage) -> list[str]:
    return await app.view.locator(".name").all_inner_texts()


async def drawn(app: AppPage, count: int) -> None:
    """Wait until that many pictures show their pixels."""
    await expect(app.view.locator("[role=option] img")).to_have_count(count)
    for image in await app.view.locator("[role=option] img").all():
        assert await image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 50


async def test_a_shopper_chooses_a_color_and_the_model_hears_which(
    browser: Browser, studio: Studio
) -> None:
    arguments = {**add_cup(studio), "colors": ["sage", "navy", "#c04f3c"]}
    async with app_page(browser, studio, VARIANTS, arguments) as app:
        await drawn(app, 3)
        cards = app.view.get_by_role("option")
        await expect(cards.first).to_contain_text("Exact match (ΔE")
        # What a screen reader says: the alternative text, the color, how close it came.
        spoken = re.compile("recolored to navy.*Navy.*match")
        await expect(app.view.get_by_role("option", name=spoken)).to_have_count(1)
        await cards.nth(1).click()
        await expect(cards.nth(1)).to_have_attribute("aria-selected", "true")
        await expect(cards.nth(0)).to_have_attribute("aria-selected", "false")
        told = await app.heard("ui/update-model-context")
        chosen = told["structuredContent"]["chosen"]
        assert chosen["name"] == "Navy"
        assert studio.gallery.get(chosen["image_id"]).metadata["color"] == "navy"
        assert chosen["image_id"] in told["content"][0]["text"]
        await expect(app.view.get_by_role("status")).to_contain_text("The assistant knows")
        assert not app.requests
        assert not app.errors


async def test_another_color_is_made_from_the_same_photo_and_mask(
    browser: Browser, studio: Studio
) -> None:
    cup = add_cup(studio)
    async with app_page(browser, studio, VARIANTS, {**cup, "colors": ["sage"]}) as app:
        await drawn(app, 1)
        await app.view.get_by_label("Another color").fill("dusty rose")
        await app.view.get_by_role("button", name="Add").click()
        call = await app.heard("tools/call")
        assert call == {"name": VARIANTS, "arguments": {**cup, "colors": ["dusty rose"]}}
        await drawn(app, 2)
        new = app.view.get_by_role("option", name="Dusty rose")
        await expect(new).to_be_focused()
        told = await app.heard("ui/update-model-context")
        (added,) = told["structuredContent"]["added"]
        assert studio.gallery.get(added["image_id"]).metadata["color"] == "dusty rose"
        await app.page.keyboard.press("Enter")
        told = await app.heard("ui/update-model-context")
        assert told["structuredContent"]["chosen"] == added


async def test_a_color_that_is_none_is_explained_and_nothing_is_lost(
    browser: Browser, studio: Studio
) -> None:
    arguments = {**add_cup(studio), "colors": ["sage"]}
    async with app_page(browser, studio, VARIANTS, arguments) as app:
        await drawn(app, 1)
        await app.view.get_by_label("Another color").fill("<img src=x onerror=alert(1)>")
        await app.view.get_by_role("button", name="Add").click()
        await expect(app.view.locator("#status.failed")).to_contain_text("<img src=x")
        await drawn(app, 1)
        await expect(app.view.get_by_role("button", name="Add")).to_be_enabled()
        assert not app.requests
        assert not app.has_heard("ui/update-model-context")


async def test_the_keyboard_alone_reaches_every_picture(browser: Browser, studio: Studio) -> None:
    colors = ["red", "orange", "gold", "green", "navy"]
    arguments = {**add_cup(studio), "colors": colors}
    async with app_page(browser, studio, VARIANTS, arguments, width=300) as app:
        await drawn(app, 5)
        press = app.page.keyboard.press
        cards = app.view.get_by_role("option")
        await app.view.locator("body").evaluate("body => window.focus()")
        await press("Tab")
        await expect(cards.nth(0)).to_be_focused()
        outline = await cards.nth(0).evaluate("card => getComputedStyle(card).outlineStyle")
        assert outline == "solid"
        for key, at in (
            ("ArrowRight", 1),
            ("ArrowDown", 3),  # two columns at this width
            ("ArrowLeft", 2),
            ("ArrowUp", 0),
            ("ArrowUp", 0),
            ("End", 4),
            ("Home", 0),
        ):
            await press(key)
            await expect(cards.nth(at)).to_be_focused()
        assert not app.has_heard("ui/update-model-context")
        await press("End")
        await press("Space")
        assert (await app.heard("ui/update-model-context"))["structuredContent"]["chosen"][
            "name"
        ] == "Navy"
        assert await cards.evaluate_all("cards => cards.filter(c => c.tabIndex === 0).length") == 1
        overflow = "body => document.documentElement.scrollWidth > window.innerWidth"
        assert not await app.view.locator("body").evaluate(overflow)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (VARIANTS, {"colors": ["sage", "navy"]}),
        ("create_persona_avatar", {"name": "Mina", "description": "agent with glasses"}),
        ("generate_image", {"prompt": "a teapot", "seed": 4, "count": 2}),
    ],
    ids=["variants", "persona", "painting"],
)
async def test_a_host_that_keeps_the_structured_half_back_shows_the_same(
    tool: str, arguments: dict[str, Any], browser: Browser, studio: Studio
) -> None:
    if tool == VARIANTS:
        arguments = {**add_cup(studio), **arguments}
    shown = []
    for kept_back in ((), ("structuredContent", "_meta")):
        async with app_page(browser, studio, tool, arguments, kept_back=kept_back) as app:
            await drawn(app, len(arguments.get("colors", "")) or arguments.get("count", 1))
            heading = await app.view.get_by_role("heading").inner_text()
            forms = await app.view.get_by_role("button").all_inner_texts()
            shown.append((heading, await names(app), forms))
            assert not app.has_heard("tools/call")
    assert shown[0] == shown[1]


@pytest.mark.parametrize("relayed", ["serverResources", "serverTools"])
async def test_pictures_that_the_result_does_not_carry_are_fetched_through_the_host(
    relayed: str, browser: Browser, tmp_path: Path
) -> None:
    images: Any = "link" if relayed == "serverResources" else "inline"
    studio = quick_studio(Settings(data=tmp_path / "data", images=images))
    arguments = {**add_cup(studio), "colors": ["sage", "navy"]}
    can = {relayed: {}}
    async with app_page(
        browser, studio, VARIANTS, arguments, capabilities=can, kept_back=("content",)
    ) as app:
        await drawn(app, 2)
        assert await names(app) == ["Sage", "Navy"]
    await studio.close()


async def test_a_host_that_relays_nothing_still_shows_what_there_is(
    browser: Browser, studio: Studio
) -> None:
    arguments = {**add_cup(studio), "colors": ["sage", "navy"]}
    async with app_page(browser, studio, VARIANTS, arguments, capabilities={}) as app:
        await drawn(app, 2)
        assert await app.view.get_by_role("button").count() == 0
        await app.view.get_by_role("option").first.click()
        image_id = await app.view.get_by_role("option").first.get_attribute("id")
        await expect(app.view.get_by_role("status")).to_contain_text(str(image_id))


async def test_a_face_is_drawn_again_with_another_expression(
    browser: Browser, studio: Studio
) -> None:
    arguments = {"name": "Mina", "description": "support agent, short black hair, glasses"}
    async with app_page(browser, studio, "create_persona_avatar", arguments) as app:
        await drawn(app, 1)
        await expect(app.view.get_by_role("heading")).to_have_text("Mina")
        options = await app.view.get_by_label("Another expression").inner_text()
        assert options.split()[:3] == ["Neutral", "Smiling", "Thinking"]
        await app.view.get_by_label("Another expression").select_option("thinking")
        await app.view.get_by_role("button", name="Add").click()
        await drawn(app, 2)
        assert await names(app) == ["Neutral", "Thinking"]
        call = await app.heard("tools/call")
        assert studio.personas.get(call["arguments"]["persona_id"]).name == "Mina"


async def test_a_painting_is_chosen_and_passed_on_and_another_one_painted(
    browser: Browser, studio: Studio
) -> None:
    arguments = {"prompt": "a purple teapot", "count": 2, "seed": 4}
    async with app_page(browser, studio, "generate_image", arguments) as app:
        await drawn(app, 2)
        await app.view.get_by_role("button", name="Paint another").click()
        call = await app.heard("tools/call")
        assert call["arguments"] == {"prompt": "a purple teapot", "count": 1}
        await drawn(app, 3)
        assert await names(app) == ["Picture 1", "Picture 2", "Picture 3"]
        await app.view.get_by_role("option").nth(1).click()
        chosen = await app.view.get_by_role("option").nth(1).get_attribute("id")
        await app.view.get_by_role("button", name="Download").click()
        (link,) = (await app.heard("ui/download-file"))["contents"]
        assert link["uri"] == f"image://{chosen}"
        await app.view.get_by_role("button", name="Use this one").click()
        message = await app.heard("ui/message")
        assert message["role"] == "user"
        assert str(chosen) in message["content"][0]["text"]
        await app.view.get_by_role("button", name="Make larger").click()
        assert (await app.heard("tools/call"))["arguments"] == {"image_id": chosen, "factor": 2}
        await drawn(app, 4)
        assert (await names(app))[-1] == "Picture 2, larger"


async def test_a_long_call_is_waited_for_as_a_job(browser: Browser, studio: Studio) -> None:
    real = await studio.call("generate_image", {"prompt": "a teapot", "seed": 4})
    job = {"job_id": "job_0a", "status": "working", "message": "step 3 of 20"}
    pending = {"content": [], "structuredContent": {"job": job}}
    done = {"job": {**job, "status": "completed"}, "result": real.data.model_dump(mode="json")}
    answers = [pending, {"content": [], "structuredContent": done}]
    async with app_page(
        browser, studio, "generate_image", {}, result=pending, answers={"get_job": answers}
    ) as app:
        await drawn(app, 1)
        assert await app.heard("tools/call") == {
            "name": "get_job",
            "arguments": {"job_id": "job_0a"},
        }
        assert (await app.heard("tools/call"))["name"] == "get_job"


async def test_a_job_that_failed_says_why(browser: Browser, studio: Studio) -> None:
    text = "generate_image is failed (job_id=job_0a): The queue is full. Ask for fewer."
    ended = {"job": {"job_id": "job_0a", "status": "failed"}, "error": {"code": "busy"}}
    result = {"content": [{"type": "text", "text": text}], "structuredContent": ended}
    async with app_page(browser, studio, "generate_image", {}, result=result) as app:
        await expect(app.view.locator("#status.failed")).to_have_text(text)
        assert not app.has_heard("tools/call")


async def test_a_face_is_chosen_among_candidates_and_kept(browser: Browser, studio: Studio) -> None:
    drawn_before = await studio.call(
        "create_persona_avatar", {"name": "Mina", "description": "agent with glasses", "count": 2}
    )
    data = drawn_before.data.model_dump(mode="json")
    persona_id = data["persona"]["persona_id"]
    data["persona"]["locked"], data["verdicts"] = False, ["candidate", "candidate"]
    kept = {**data, "persona": {**data["persona"], "locked": True}, "images": data["images"][1:]}
    answers = {"create_persona_avatar": [{"content": [], "structuredContent": kept}]}
    result = {"content": [], "structuredContent": data}
    async with app_page(
        browser, studio, "create_persona_avatar", {}, result=result, answers=answers
    ) as app:
        await drawn(app, 2)
        assert await names(app) == ["Face 1", "Face 2"]
        await app.view.get_by_role("option", name="Face 2").click()
        await app.view.get_by_role("button", name="Keep this face").click()
        chosen = data["images"][1]["image_id"]
        call = await app.heard("tools/call")
        assert call["arguments"] == {"persona_id": persona_id, "lock_image_id": chosen}
        await expect(app.view.get_by_role("status")).to_contain_text("keeps this face")
        await expect(app.view.get_by_role("button", name="Keep this face")).to_be_hidden()


async def test_a_sheet_stands_in_where_single_pictures_cannot_be_fetched(
    browser: Browser, studio: Studio
) -> None:
    arguments = {**add_cup(studio), "colors": ["sage", "navy"]}
    made = await studio.call(VARIANTS, arguments)
    sheet = {
        "type": "image",
        "mimeType": "image/webp",
        "data": base64.b64encode(made.images[0].thumbnail).decode(),
    }
    result = {"content": [sheet], "structuredContent": made.data.model_dump(mode="json")}
    async with app_page(
        browser, studio, VARIANTS, arguments, result=result, capabilities={}
    ) as app:
        await expect(app.view.get_by_alt_text("All of them side by side")).to_be_visible()
        await expect(app.view.get_by_role("option")).to_have_count(2)


async def test_hostile_words_addresses_and_colors_stay_words(
    browser: Browser, studio: Studio
) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    image_id = "img_" + "0" * 24
    image = {"image_id": image_id, "alt": evil, "caption": evil, "url": "javascript:alert(1)"}
    variant = {"color": evil, "color_hex": "red;background:url(http://evil.test/)", "image": image}
    pixels = {"type": "image", "mimeType": "image/svg+xml", "data": "PHN2Zz4="}
    result = {
        "content": [{**pixels, "_meta": {"agent-tools/image_id": image_id}}],
        "structuredContent": {"variants": [variant]},
    }
    async with app_page(browser, studio, VARIANTS, {}, result=result) as app:
        await expect(app.view.get_by_role("option")).to_contain_text(evil)
        assert await app.view.locator("[role=option] img, .swatch").count() == 0
        await app.view.get_by_role("option").click()
        await expect(app.view.get_by_role("button", name="Open full size")).to_be_hidden()
        # Only the host is listened to.
        cancelled = {"jsonrpc": "2.0", "method": "ui/notifications/tool-cancelled", "params": {}}
        post = "(body, message) => new Promise(done => { addEventListener('message', done); "
        post += "postMessage(message, '*') }).then(() => null)"
        await app.view.locator("body").evaluate(post, cancelled)
        await expect(app.view.get_by_role("option")).to_have_count(1)
        assert not app.requests


async def test_a_request_of_the_view_would_be_blocked_and_noticed(
    browser: Browser, studio: Studio
) -> None:
    arguments = {**add_cup(studio), "colors": ["sage"]}
    async with app_page(browser, studio, VARIANTS, arguments) as app:
        await drawn(app, 1)
        async with app.page.expect_console_message() as reported:
            load = "() => { new Image().src = 'http://elsewhere.test/pixel.png' }"
            await app.view.locator("body").evaluate(load)
        assert "Content Security Policy" in (await reported.value).text
        assert app.errors


async def test_light_and_dark_follow_the_host_while_it_runs(
    browser: Browser, studio: Studio
) -> None:
    arguments = {**add_cup(studio), "colors": ["sage"]}
    paper = "body => getComputedStyle(body).backgroundColor"
    async with app_page(browser, studio, VARIANTS, arguments, theme="dark") as app:
        await drawn(app, 1)
        assert await app.view.locator("body").evaluate(paper) == "rgb(31, 31, 30)"
        variables = {"--color-background-primary": "light-dark(#ffeedd, #000000)"}
        change = {"theme": "light", "styles": {"variables": variables}}
        await app.page.evaluate("change => bridge.sendHostContextChange(change)", change)
        await expect(app.view.locator("body")).to_have_css("background-color", "rgb(255, 238, 221)")
