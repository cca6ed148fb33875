"""The gallery in a real browser: everything a person does there, by mouse, keyboard and reader."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_site import Site, chromium, needs_chromium, site
from gallery_tools import PHOTO_TITLE, PaintNoise, fill, gallery_studio
from kb_pictures import add_pictures

from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.app import build_app
from server.warm_up import WarmUp

pytestmark = [pytest.mark.browser, needs_chromium]

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

# The contrast of every visible text with what lies behind it (WCAG 2.2, 1.4.3), below 4.5.
_LOW_CONTRAST = """
() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return parse(getComputedStyle(document.body).backgroundColor);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    if (element.matches(".unseen, .unseen *, .skip, option, :disabled")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${element.outerHTML.slice(0, 90)}`);
  }
  return found;
}
"""
# What a screen reader would stumble over.
_UNNAMED = """
() => [...document.querySelectorAll(
    "input:not([type=hidden]), select, textarea, button, a[href], img, nav, meter, progress"
  )]
  .filter((e) => e.checkVisibility() && e.getAttribute("aria-hidden") !== "true")
  .filter((e) => {
    if (e.matches("img")) return !e.hasAttribute("alt");
    const own = e.getAttribute("aria-label") || e.textContent.trim() || e.querySelector("img[alt]");
    return !own && ![...(e.labels ?? [])].some((label) => label.textContent.trim());
  }).map((e) => e.outerHTML.slice(0, 120))
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Studio, dict[str, str]]]:
    """A server over the demo's photograph and its exact recolors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
        studio = gallery_studio(Settings(data=tmp_path_factory.mktemp("browser") / "data"))
        with site(lambda: build_app(studio, WarmUp(studio))) as found:
            records = found.run(lambda: fill(studio))
            yield found, studio, {name: record.image_id for name, record in records.items()}


@pytest.fixture
def page(browser: Any, shop: tuple[Site, Studio, dict[str, str]]) -> Iterator[Any]:
    """A tab at desktop size; whatever its console says is a failure."""
    context = browser.new_context(viewport=DESKTOP, base_url=shop[0].url)
    context.set_default_timeout(20_000)
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    yield tab
    context.close()
    assert said == []


@pytest.fixture
def studio(shop: tuple[Site, Studio, dict[str, str]]) -> Studio:
    return shop[1]


@pytest.fixture
def ids(shop: tuple[Site, Studio, dict[str, str]]) -> dict[str, str]:
    return shop[2]


def test_search_and_filters_narrow_the_grid_down(page: Any) -> None:
    page.goto("/gallery")
    page.get_by_role("searchbox").fill("navy")
    page.get_by_role("button", name="Search").click()
    assert page.locator(".card").count() == 1
    page.get_by_role("link", name="Show all").click()
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Tool").select_option(label="Product variants")
    page.get_by_label("From day").fill("2020-01-01")
    page.get_by_role("button", name="Apply filters").click()
    assert page.locator(".card").count() == 2
    page.get_by_label("To day").fill("2020-01-02")
    page.get_by_role("button", name="Apply filters").click()
    assert page.get_by_role("heading", name="Nothing fits").is_visible()


def test_chosen_pictures_are_compared_by_keys_and_by_wiping(page: Any, ids: dict[str, str]) -> None:
    page.goto("/gallery")
    assert page.locator("[data-tray]").is_hidden()
    page.get_by_role("checkbox", name=f"“{PHOTO_TITLE}”").check()
    assert page.get_by_role("button", name="Compare").is_disabled()
    page.get_by_role("checkbox", name="navy").check()
    page.get_by_role("button", name="Compare").click()
    assert page.get_by_text("every byte unchanged").count() == 1
    order = page.locator("[data-compare] figure a")
    first, second = order.nth(0).inner_text(), order.nth(1).inner_text()
    page.get_by_role("button", name="One at a time").click()
    figures = page.locator("[data-compare] figure")
    assert figures.nth(0).is_visible() and figures.nth(1).is_hidden()
    page.keyboard.press("ArrowRight")
    assert figures.nth(1).is_visible() and figures.nth(0).is_hidden()
    page.keyboard.press("ArrowRight")
    assert figures.nth(0).is_visible() and first != second
    page.get_by_role("button", name="Wipe").click()
    page.get_by_role("slider").fill("25")
    clip = figures.nth(1).evaluate("e => getComputedStyle(e).clipPath")
    assert "25%" in clip
    sizes = page.locator(".map img").evaluate_all(
        "async (all) => { for (const i of all) { i.loading = 'eager'; await i.decode(); } "
        "return all.map((i) => i.naturalWidth); }"
    )
    assert len(sizes) >= 2 and min(sizes) > 0


def test_replay_says_same_bytes_without_a_reload_and_remix_shows_the_new_picture(
    page: Any, ids: dict[str, str]
) -> None:
    page.goto(f"/gallery/{ids['navy']}")
    page.get_by_role("button", name="Replay").click()
    page.locator("#run").get_by_text("✓ Same bytes.").wait_for()
    assert page.locator("[data-announcer]").inner_text().startswith("✓ Same bytes.")
    page.goto(f"/gallery/{ids['noise']}")
    page.get_by_role("textbox", name="Words to remix with").fill("other noise")
    page.get_by_role("button", name="Remix").click()
    page.locator("#run").get_by_text("✓ Remixed.").wait_for()
    page.locator("#run .card a").last.click()
    page.get_by_role("heading", name="other noise", level=1).wait_for()


def test_words_are_edited_pushed_and_found_by_a_question(page: Any, ids: dict[str, str]) -> None:
    page.goto(f"/gallery/{ids['sage']}")
    page.get_by_text("Edit the words").click()
    page.get_by_role("textbox", name="Caption", exact=True).fill(
        "A sage green cup <script>alert(1)</script>"
    )
    page.get_by_role("textbox", name="When a bot should show it").fill(
        "Someone wants a green espresso cup."
    )
    page.get_by_role("button", name="Save as checked by a person").click()
    page.get_by_text("Words checked by a person").wait_for()
    page.get_by_role("button", name="Push to the knowledge base").click()
    page.locator("#run").get_by_text("Exported to the knowledge base.").wait_for()
    page.get_by_role("link", name="Ask as the bot").click()
    page.get_by_role("searchbox").fill("do you have a green espresso cup")
    page.get_by_role("button", name="Ask").click()
    assert page.get_by_text("The bot would show").is_visible()
    assert page.locator(".hit.shown .score b").first.is_visible()
    page.get_by_role("searchbox").fill("how is the weather tomorrow")
    page.keyboard.press("Enter")
    page.get_by_text("The bot stays silent.").wait_for()


def test_addresses_are_copied_and_show_the_picture(
    page: Any, browser: Any, shop: tuple[Site, Studio, dict[str, str]]
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/gallery/{shop[2]['navy']}")
    texts = {}
    for name in ("Address", "Markdown", "HTML"):
        page.get_by_role("button", name=f"Copy {name}").click()
        page.get_by_role("button", name=re.compile("Copied")).first.wait_for()
        texts[name] = page.evaluate("navigator.clipboard.readText()")
    assert texts["Markdown"].endswith(f"]({texts['Address']})")
    blank = browser.new_page()
    blank.set_content(texts["HTML"])
    image = blank.locator("img")
    image.evaluate("i => i.decode()")
    assert image.evaluate("i => i.naturalWidth") == 600 and image.get_attribute("alt")
    blank.close()


def test_a_running_job_appears_moves_and_can_be_cancelled_without_a_reload(
    page: Any, shop: tuple[Site, Studio, dict[str, str]]
) -> None:
    site, studio, _ = shop

    async def gate() -> None:
        PaintNoise.gate = asyncio.Event()

    async def call() -> None:
        await studio.call("generate_image", {"prompt": "a slow <b>pot</b>", "seed": 77})

    page.goto("/gallery/jobs")
    assert page.get_by_text("Nothing is running.").is_visible()
    site.run(gate)
    try:
        site.begin(call)
        page.locator("[data-call]", has_text="a slow <b>pot</b>").wait_for()
        page.get_by_text("step 2 of 4").wait_for()
        page.locator("[data-preview]").wait_for(state="visible")
        assert page.locator("[data-running]").inner_text() == "1"
        assert page.locator("progress").evaluate("p => p.value") == pytest.approx(0.4)
        page.get_by_role("button", name="Cancel Generate image a slow <b>pot</b>").click()
        page.get_by_text("Nothing is running.").wait_for()
        page.locator(".ended .cancelled", has_text="a slow <b>pot</b>").wait_for()
    finally:
        PaintNoise.gate = None


def test_new_pictures_are_offered_on_the_open_grid(
    page: Any, shop: tuple[Site, Studio, dict[str, str]]
) -> None:
    site, studio, _ = shop
    with page.expect_response(lambda response: "jobs/events" in response.url):
        page.goto("/gallery")
    site.run(lambda: studio.call("generate_image", {"prompt": "fresh noise", "seed": 88}))
    page.get_by_role("link", name="New pictures are ready").click()
    assert page.get_by_role("link", name="fresh noise").first.is_visible()


def test_a_dropped_file_leads_to_its_recipe(
    page: Any, studio: Studio, ids: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "found.png"
    file.write_bytes(studio.gallery.read_bytes(ids["navy"]))
    page.goto("/gallery/read")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_text("This very file is in the gallery.").wait_for()
    assert page.get_by_text("Target color").is_visible()
    page.goto("/gallery/read")
    dropped = page.evaluate_handle(
        """async (url) => {
          const data = new DataTransfer();
          data.items.add(new File([await (await fetch(url)).blob()], "x.png"));
          return data;
        }""",
        f"/{studio.links.path(studio.gallery.get(ids['sage']))}",
    )
    page.dispatch_event("main", "drop", {"dataTransfer": dropped})
    page.get_by_text("This very file is in the gallery.").wait_for()


def test_arrow_keys_go_to_the_neighbors_but_not_while_typing(
    page: Any, ids: dict[str, str]
) -> None:
    page.goto(f"/gallery/{ids['navy']}")
    page.get_by_text("Edit the words").click()
    page.get_by_role("textbox", name="Caption", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert page.url.endswith(ids["navy"])
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: not url.endswith(ids["navy"]))


def test_the_keyboard_alone_reaches_the_content_and_shows_where_it_is(page: Any) -> None:
    page.goto("/gallery")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "q"
    for _ in range(6):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_legible_named_and_never_wider_than_the_screen(
    scheme: str, browser: Any, shop: tuple[Site, Studio, dict[str, str]]
) -> None:
    site, studio, ids = shop
    long = "An extraordinarily-long-unbroken-title" * 3
    (wide,) = add_pictures(studio.gallery, "long words", title=long, caption=(long + " ") * 4)
    compared = f"/gallery/compare?id={ids['photo']}&id={ids['navy']}&id={ids['sage']}"
    for size in (PHONE, DESKTOP):
        context = browser.new_context(viewport=size, color_scheme=scheme, base_url=site.url)
        tab = context.new_page()
        for path in (
            "/gallery",
            "/gallery?q=cup&kind=product",
            "/gallery?q=zzz",
            f"/gallery/{ids['navy']}",
            f"/gallery/{wide.image_id}",
            compared,
            "/gallery/ask?q=green+cup",
            "/gallery/jobs",
            "/gallery/read",
            "/gallery/img_0",
        ):
            tab.goto(path)
            assert tab.evaluate("document.documentElement.scrollWidth") <= size["width"], path
            assert tab.evaluate(_LOW_CONTRAST) == [], path
            assert tab.evaluate(_UNNAMED) == [], path
            assert tab.locator("h1").count() == 1 and tab.locator("main").count() == 1
        context.close()


def test_without_javascript_everything_can_be_read_and_done(
    browser: Any, shop: tuple[Site, Studio, dict[str, str]]
) -> None:
    site, _, ids = shop
    context = browser.new_context(java_script_enabled=False, base_url=site.url)
    tab = context.new_page()
    tab.goto("/gallery")
    tab.get_by_role("checkbox", name="navy").check()
    tab.get_by_role("checkbox", name=f"“{PHOTO_TITLE}”").check()
    tab.get_by_role("button", name="Compare").click()
    assert tab.get_by_text("every byte unchanged").is_visible()
    tab.goto(f"/gallery/{ids['navy']}")
    tab.get_by_role("button", name="Replay").click()
    for _ in range(100):
        if tab.get_by_text("✓ Same bytes.").count():
            break
        tab.get_by_role("link", name="See whether it is done").click()
    assert tab.get_by_text("✓ Same bytes.").is_visible()
    tab.goto("/gallery/ask?q=cup")
    assert tab.get_by_role("heading", name="Ask as the bot").is_visible()
    context.close()


def test_a_person_logs_in_with_the_token_and_out_again(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
    token = "a-token-of-enough-characters"
    studio = gallery_studio(Settings(data=tmp_path, token=token))
    with site(lambda: build_app(studio, WarmUp(studio))) as found:
        context = browser.new_context(base_url=found.url)
        tab = context.new_page()
        tab.goto("/gallery/jobs")
        tab.get_by_label("Token").fill("not-the-token-at-all")
        tab.get_by_role("button", name="Log in").click()
        assert tab.get_by_role("alert").inner_text() == "This token is not valid."
        tab.get_by_label("Token").fill(token)
        tab.get_by_role("button", name="Log in").click()
        tab.get_by_text("Nothing is running.").wait_for()
        tab.goto("/gallery")
        assert tab.get_by_role("heading", name="No pictures yet").is_visible()
        tab.get_by_role("button", name="Log out").click()
        tab.get_by_label("Token").wait_for()
        tab.goto("/gallery")
        assert "/gallery/login" in tab.url
        context.close()
