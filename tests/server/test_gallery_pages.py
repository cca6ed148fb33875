"""The gallery's pages over HTTP: what they show, to whom, and what never gets in or out."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
from gallery_tools import PaintNoise, fill, gallery_studio
from kb_pictures import add_pictures
from small_tools import http_server
from test_kb_pages import Page as PageOfLinks

from agent_tools.callers import acting_as
from agent_tools.image_record import ImageRecord
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.tokens import TokenStore

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-enough-characters"
CORPUS = Path(__file__).parents[1] / "data" / "injection_captions.txt"
HTML = {"Accept": "text/html"}


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Fill a gallery once; tests copy its folder."""

    async def work() -> dict[str, str]:
        studio = gallery_studio(Settings(data=data))
        records = await fill(studio)
        await studio.close()
        return {name: record.image_id for name, record in records.items()}

    data = tmp_path_factory.mktemp("filled") / "data"
    return data, asyncio.run(work())


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty gallery, unless the test also asks for `pictures`."""
    return gallery_studio(Settings(data=tmp_path / "data"))


@pytest.fixture
def pictures(tmp_path: Path, filled: tuple[Path, dict[str, str]]) -> dict[str, str]:
    """Fill the gallery that `studio` opens and return the ids of its pictures by name."""
    shutil.copytree(filled[0], tmp_path / "data")
    return filled[1]


@pytest.fixture
async def http(studio: Studio) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url, headers=HTML) as client:
        yield client


class Page(PageOfLinks):
    """Collects also the names of all attributes."""

    def __init__(self, text: str) -> None:
        self.attributes: set[str] = set()
        super().__init__(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        super().handle_starttag(tag, attrs)


async def form_of(http: httpx2.AsyncClient, page: str) -> dict[str, str]:
    """Return the hidden fields that a form of the page would send."""
    found = re.findall(r'name="form_token" value="([0-9a-f]+)"', (await http.get(page)).text)
    return {"form_token": found[0]}


async def finished(http: httpx2.AsyncClient, page: str) -> dict[str, Any]:
    """Return a picture's data once what its page started is over."""
    twin = page.partition("#")[0].replace("?", ".json?")
    for _ in range(600):
        view: dict[str, Any] = (await http.get(twin)).json()
        if view["run"]["state"] != "running":
            return view
        await asyncio.sleep(0.05)
    raise AssertionError("it never ended")


async def post(http: httpx2.AsyncClient, image_id: str, action: str, **fields: str) -> str:
    """Press a button of a picture's page and return where the browser is sent."""
    page = f"/gallery/{image_id}"
    answer = await http.post(f"{page}/{action}", data=await form_of(http, page) | fields)
    assert answer.status_code == 303, answer.text
    return urljoin(f"{page}/{action}", answer.headers["Location"])


async def test_the_first_page_leads_to_every_picture_and_each_page_has_a_json_twin(
    pictures: dict[str, str], studio: Studio, http: httpx2.AsyncClient
) -> None:
    assert (await http.get("/")).headers["Location"] == "./gallery"
    answer = await http.get("/gallery")
    page, twin = Page(answer.text), (await http.get("/gallery.json")).json()
    links = {urljoin("/gallery", link) for link in page.links}
    shown = {view["image_id"] for view in twin["pictures"]}
    assert {f"/gallery/{image_id}" for image_id in shown} <= links
    assert shown == {image_id for name, image_id in pictures.items() if name != "mask"}
    for image in page.images:
        assert image["alt"]
        got = await http.get(urljoin("/gallery", image["src"] or ""))
        assert got.headers["Content-Type"] == "image/webp" and got.status_code == 200
    two = f"?id={pictures['photo']}&id={pictures['navy']}"
    for path, query in (
        (f"/gallery/{pictures['navy']}", ""),
        ("/gallery/compare", two),
        ("/gallery/ask", "?q=navy+cup"),
        ("/gallery/jobs", ""),
        ("/gallery/read", ""),
    ):
        assert (await http.get(path + query)).status_code == 200
        alternate = re.findall(
            r'type="application/json" href="([^"]+)"', (await http.get(path + query)).text
        )
        data = await http.get(urljoin(path, alternate[0].replace("&amp;", "&")))
        assert data.headers["Content-Type"] == "application/json" and data.json()


async def test_the_detail_page_says_how_it_was_made_in_a_fixed_order(
    pictures: dict[str, str], studio: Studio, http: httpx2.AsyncClient
) -> None:
    view = (await http.get(f"/gallery/{pictures['noise']}.json")).json()
    assert [field["label"] for field in view["made"]] == [
        "Prompt", "Seed", "Model", "Steps", "Size", "Tool", "Painted in",
    ]  # fmt: skip
    recolor = await http.get(f"/gallery/{pictures['navy']}")
    assert "Compare with its original" in recolor.text and "Target color" in recolor.text
    upload = await http.get(f"/gallery/{pictures['photo']}")
    assert "came from outside" in upload.text and ">Replay<" not in upload.text
    copies = (await http.get(f"/gallery/{pictures['navy']}.json")).json()["share"]
    assert (await http.get(copies["url"])).content == studio.gallery.read_bytes(pictures["navy"])
    assert copies["markdown"].startswith("![") and f'src="{copies["url"]}"' in copies["html"]


async def test_replay_proves_the_bytes_and_remix_changes_all_but_the_seed(
    pictures: dict[str, str], studio: Studio, http: httpx2.AsyncClient
) -> None:
    view = await finished(http, await post(http, pictures["navy"], "replay"))
    assert view["run"]["same_bytes"] is True and view["run"]["made"] == []
    noise = studio.gallery.get(pictures["noise"])
    view = await finished(http, await post(http, noise.image_id, "remix", words=noise.caption))
    (made,) = (studio.gallery.get(image_id) for image_id in view["run"]["made"])
    assert made.seed != noise.seed and made.caption == noise.caption
    view = await finished(http, await post(http, noise.image_id, "remix", words="other words"))
    assert studio.gallery.get(view["run"]["made"][0]).caption == "other words"
    failed = await finished(http, await post(http, pictures["sage"], "remix"))
    assert failed["run"]["state"] == "failed" and "without a seed" in failed["run"]["message"]
    upload = f"/gallery/{pictures['photo']}"
    form = await form_of(http, upload)
    assert (await http.post(f"{upload}/replay", data=form)).status_code == 400
    assert (await http.post(f"{upload}/delete", data=form)).status_code == 404


async def test_a_replay_that_gives_other_bytes_says_why(
    pictures: dict[str, str], studio: Studio, http: httpx2.AsyncClient
) -> None:
    recipe = studio.gallery.get(pictures["noise"]).recipe | {
        "arguments": {"prompt": "a field of noise", "seed": 6}
    }
    with studio.gallery.transaction() as connection:
        connection.execute(
            "UPDATE images SET recipe = ? WHERE image_id = ?",
            (json.dumps(recipe), pictures["noise"]),
        )
    page = await post(http, pictures["noise"], "replay")
    view = await finished(http, page)
    assert view["run"]["same_bytes"] is False and view["run"]["reasons"]
    assert "Not the same bytes." in (await http.get(page.partition("#")[0])).text


async def test_words_edited_by_a_person_are_marked_so_and_reach_the_knowledge_base(
    pictures: dict[str, str], studio: Studio, http: httpx2.AsyncClient
) -> None:
    image_id = pictures["navy"]
    page = await post(
        http, image_id, "words", caption="A dark blue cup.", alt="A cup.", use_when="Blue cup?"
    )
    view = (await http.get(f"{page.partition('#')[0]}.json")).json()
    assert view["verified"] and view["caption"] == "A dark blue cup."
    assert not (await http.get(f"/gallery/{pictures['sage']}.json")).json()["verified"]
    view = await finished(http, await post(http, image_id, "export"))
    assert view["run"]["message"] == "Exported to the knowledge base."
    assert view["in_knowledge_bases"] == ["folder"]
    (hit,) = studio.knowledge.search("a dark blue cup")
    assert hit.record.caption == "A dark blue cup." and hit.record.caption_verified == "human"
    view = await finished(http, await post(http, image_id, "export"))
    assert "already" in view["run"]["message"]


async def test_asking_as_the_bot_shows_scores_and_when_it_stays_silent(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    assert "Nothing is exported yet" in (await http.get("/gallery/ask?q=cup")).text
    add_pictures(studio.gallery, "red teapot", "walnut chair")
    studio.knowledge.export()
    view = (await http.get("/gallery/ask.json?q=a+red+teapot")).json()
    assert view["hits"][0]["title"] == "Red teapot" and view["hits"][0]["shown"]
    assert not view["silent"] and view["threshold"] == studio.knowledge.threshold
    said = [hit.record.title for hit in studio.knowledge.search("a red teapot")]
    assert said == [hit["title"] for hit in view["hits"] if hit["shown"]]
    page = await http.get("/gallery/ask?q=how+is+the+weather+tomorrow")
    assert "The bot stays silent" in page.text and "0.30" in page.text


async def test_a_comparison_proves_that_nothing_outside_the_mask_changed(
    pictures: dict[str, str], studio: Studio, http: httpx2.AsyncClient
) -> None:
    ids = [pictures[name] for name in ("photo", "navy", "noise")]
    query = "&".join(f"id={image_id}" for image_id in ids)
    view = (await http.get(f"/gallery/compare.json?{query}")).json()
    measured = view["pictures"][1]["difference"]
    assert measured["outside_max_change"] == 0 and measured["mean_delta_e"] > 3
    assert 0.2 < measured["mask_area"] < 0.5 and measured["changed_share"] <= measured["mask_area"]
    assert view["pictures"][2]["difference"] is None and not view["same_size"]
    for path in (f"/gallery/difference/{ids[0]}/{ids[1]}", f"/gallery/{ids[1]}/mask"):
        answer = await http.get(path)
        assert answer.headers["Content-Type"] == "image/webp" and answer.content[8:12] == b"WEBP"
    assert (await http.get(f"/gallery/difference/{ids[0]}/{ids[2]}")).status_code == 400
    assert (await http.get(f"/gallery/{ids[0]}/mask")).status_code == 404
    for wrong in ("", f"id={ids[0]}", f"id={ids[0]}&id={ids[0]}", "&".join(["id=a"] * 9)):
        assert (await http.get(f"/gallery/compare?{wrong}")).status_code == 400
    assert (await http.get(f"/gallery/compare?id={ids[0]}&id=img_0")).status_code == 404


async def test_running_jobs_are_streamed_with_step_time_and_preview_and_can_be_cancelled(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    PaintNoise.gate = asyncio.Event()
    async with http.stream("GET", "/gallery/jobs/events") as stream:
        lines = stream.aiter_lines()

        async def next_event() -> dict[str, Any]:
            async for line in lines:
                if line.startswith("data: "):
                    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
                    return event
            raise AssertionError("the stream ended")

        assert (await next_event())["running"] == []
        task = asyncio.create_task(studio.call("generate_image", {"prompt": "a <b>slow</b> pot"}))
        while not (running := (await next_event())["running"]) or running[0]["step"] != 2:
            pass
        (call,) = running
        assert call["steps"] == 4 and call["seconds_left"] == 3.0 and call["preview"]
        assert (await http.get(f"/{call['preview']}")).headers["Content-Type"] == "image/webp"
        page = (await http.get("/gallery/jobs")).text
        assert "&lt;b&gt;slow" in page and "<b>slow" not in page and "step 2 of 4" in page
        form = await form_of(http, "/gallery/jobs")
        answer = await http.post(f"/gallery/jobs/{call['call_id']}/cancel", data=form)
        assert answer.status_code == 303
        while (ended := await next_event())["running"]:
            pass
        assert ended["finished"][0]["state"] == "cancelled"
    with pytest.raises(Exception, match="cancelled"):
        await task
    assert studio.gallery.list() == []


async def test_a_file_made_here_is_recognized_and_anything_else_is_refused_or_a_stranger(
    pictures: dict[str, str], studio: Studio, http: httpx2.AsyncClient
) -> None:
    token = await form_of(http, "/gallery/read")
    kept = {record.image_id for record in studio.gallery.list()}

    async def read(data: bytes, path: str = "/gallery/read.json") -> httpx2.Response:
        return await http.post(path, data=token, files={"file": ("x.png", data, "image/png")})

    navy = studio.gallery.read_bytes(pictures["navy"])
    view = (await read(navy)).json()
    assert view["match"] == "same_file"
    assert view["picture"]["image_id"] == pictures["navy"]
    assert "algorithmicallyEnhanced" in view["mark"]["source_type"]
    assert "This very file is in the gallery" in (await read(navy, "/gallery/read")).text
    assert (await read(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)).json()["match"] == "none"
    assert (await read(b"GIF89a")).status_code == 400
    assert (await read(b"")).status_code == 400
    token["form_token"] = "0" * 32
    assert (await read(navy)).status_code == 403
    assert {record.image_id for record in studio.gallery.list()} == kept


async def test_hostile_words_are_shown_as_words_on_every_page(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    lines = CORPUS.read_text(encoding="utf-8").splitlines()
    strings = [json.loads(line) for line in lines if line and not line.startswith("#")][::6]
    names = [f"{number} {text}" for number, text in enumerate(strings)]
    records: list[ImageRecord] = []
    for start in range(0, len(names), 40):
        records += add_pictures(
            studio.gallery,
            *(name.encode("utf-8", "replace").decode() for name in names[start : start + 40]),
            metadata={"product": '"><script>alert(1)</script>', "color_hex": '"/><script>'},
            group="g",
        )
    pages = ["/gallery?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/gallery"]
    pages += [f"/gallery/{record.image_id}" for record in records]
    pages += ["/gallery/ask?q=%3Cimg+src=x+onerror=alert(1)%3E", "/gallery/%3Cscript%3E"]
    for path in pages:
        answer = await http.get(path)
        page = Page(answer.text)
        assert page.elements.count("script") == 1, path
        for image in page.images:
            assert set(image) <= {"src", "alt", "width", "height", "loading", "decoding"}, path
        for link in page.links:
            target = urljoin(str(answer.url), link)
            assert target.startswith(str(http.base_url)), (path, link)
        assert not {"iframe", "object", "embed", "style", "base"} & set(page.elements), path
        assert not {name for name in page.attributes if name.startswith(("on", "style"))}, path


async def test_every_answer_forbids_what_is_foreign(
    pictures: dict[str, str], studio: Studio, http: httpx2.AsyncClient
) -> None:
    for path in (
        "/gallery",
        f"/gallery/{pictures['navy']}",
        "/gallery/x",
        "/gallery.json",
    ):
        headers = (await http.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and headers["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in headers["Cache-Control"]
    for name, kind in (("gallery.js", "javascript"), ("gallery.css", "css")):
        answer = await http.get(f"/gallery/static/{name}")
        assert kind in answer.headers["Content-Type"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("../render.py", "%2e%2e/render.py", "..%2frender.py", "", "/etc/passwd"):
        assert (await http.get(f"/gallery/static/{path}")).status_code in (404, 405)


async def test_broken_ids_and_filters_get_one_clear_error(http: httpx2.AsyncClient) -> None:
    for path, status in (
        ("/gallery/img_0", 404),
        ("/gallery/" + "x" * 3000, 404),
        ("/gallery/%00", 404),
        ("/gallery/img_0.json", 404),
        ("/gallery?page=0", 404),
        ("/gallery?page=9999999999", 404),
        ("/gallery?page=2", 404),
        ("/gallery?since=yesterday", 400),
        ("/gallery/jobs/nothing/preview", 404),
        ("/gallery/img_0?run=nothing", 404),
    ):
        answer = await http.get(path)
        assert answer.status_code == status, path
        assert "Traceback" not in answer.text
        if not path.endswith(".json"):
            assert "<h1>" in answer.text
    assert (await http.get("/gallery")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
    ids=["foreign", "null", "other port", "cross-site", "same-site", "no token"],
)
async def test_a_form_of_another_site_changes_nothing(
    headers: dict[str, str], http: httpx2.AsyncClient, studio: Studio
) -> None:
    (record,) = add_pictures(studio.gallery, "red teapot")
    page = f"/gallery/{record.image_id}"
    form = await form_of(http, page) if headers else {"form_token": "0" * 32}
    form |= {"caption": "Changed.", "alt": "Changed."}
    answer = await http.post(f"{page}/words", data=form, headers=headers)
    assert answer.status_code == 403
    body = {"content": b'{"caption": "Changed."}', "headers": {"Content-Type": "text/plain"}}
    assert (await http.post(f"{page}/words", **body)).status_code == 400  # type: ignore[arg-type]
    assert studio.gallery.get(record.image_id).caption == record.caption


async def test_signed_pictures_are_shown_without_the_token_and_nothing_else_is(
    tmp_path: Path,
) -> None:
    studio = gallery_studio(
        Settings(data=tmp_path, token=TOKEN, public_url="https://pictures.example")
    )
    one, two = add_pictures(studio.gallery, "red teapot", "blue teapot")
    signed = studio.links.path(one)
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as client:
        assert f"https://pictures.example/{signed}" == studio.show(one).info.url
        answer = await client.get(f"/{signed}")
        assert answer.content == studio.gallery.read_bytes(one.image_id)
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        etag = {"If-None-Match": answer.headers["ETag"]}
        assert (await client.get(f"/{signed}", headers=etag)).status_code == 304
        small = await client.get(f"/{studio.links.path(one, 384)}")
        assert small.headers["Content-Type"] == "image/webp"
        for wrong in (
            signed.replace(one.image_id, two.image_id),
            signed.replace(".png", ".webp"),
            signed.replace(".png", "-385.webp"),
            signed.replace(".png", "-384.png"),
            signed[:-5] + "0.png",
            f"i/{one.image_id}/x.png",
            "i/../images/x",
            f"i/{one.image_id}/..%2f..%2fgallery",
        ):
            assert (await client.get(f"/{wrong}")).status_code in (401, 404), wrong
        for closed in (
            "/gallery",
            f"/gallery/{one.image_id}",
            "/gallery/jobs/events",
            "/gallery/loginx",
        ):
            assert (await client.get(closed)).status_code == 401, closed


async def test_logging_in_takes_the_token_once_and_out_again(tmp_path: Path) -> None:
    studio = gallery_studio(Settings(data=tmp_path, token=TOKEN))
    (record,) = add_pictures(studio.gallery, "red teapot")
    page = f"/gallery/{record.image_id}"
    async with (
        http_server(studio) as url,
        httpx2.AsyncClient(base_url=url, headers=HTML) as client,
    ):
        turned = await client.get(page)
        assert turned.status_code == 303
        login = urljoin(page, turned.headers["Location"])
        assert login.startswith("/gallery/login?next=gallery/img_")
        assert (await client.get(login)).status_code == 200
        wrong = await client.post(login, data={"token": "wrong-token-of-enough-chars"})
        assert wrong.status_code == 401 and "not valid" in wrong.text
        assert "set-cookie" not in wrong.headers
        foreign = {"Origin": "https://evil.example"}
        assert (await client.post(login, data={"token": TOKEN}, headers=foreign)).status_code == 403
        right = await client.post(login, data={"token": TOKEN})
        cookie = right.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
        assert urljoin("/gallery/login", right.headers["Location"]) == page
        assert (await client.get(page)).status_code == 200
        # The cookie opens pages only: no other route takes it.
        assert (await client.get(f"/images/{record.image_id}")).status_code == 401
        assert (await client.post("/mcp", json={})).status_code == 401
        form = await form_of(client, page)
        other = {"form_token": studio.links.digest("form", "local"), "caption": "x", "alt": "x"}
        assert (await client.post(f"{page}/words", data=other)).status_code == 403
        assert form["form_token"] != other["form_token"]
        out = await client.post("/gallery/logout")
        assert out.status_code == 303
        client.cookies.set("agent_tools_session", cookie.split("=", 1)[1].split(";")[0])
        assert (await client.get(page)).status_code == 303  # the session is over, not only hidden
        elsewhere = await client.post(
            "/gallery/login?next=https://evil.example", data={"token": TOKEN}
        )
        assert urljoin("/gallery/login", elsewhere.headers["Location"]) == "/gallery"


async def test_the_pages_work_behind_a_proxy_that_adds_a_prefix(
    pictures: dict[str, str], studio: Studio, http: httpx2.AsyncClient
) -> None:
    for path in ("/gallery", f"/gallery/{pictures['navy']}", "/gallery/ask"):
        answer = await http.get(path)
        for link in re.findall(r'(?:href|src|action)="([^"]+)"', answer.text):
            seen = urljoin(f"https://shop.example/tools{path}", link)
            assert seen.startswith(("https://shop.example/tools/", str(http.base_url))), link


async def test_callers_see_only_their_own_pictures_and_jobs_and_the_operator_all(
    tmp_path: Path,
) -> None:
    tokens = TokenStore(tmp_path)
    keys = {name: tokens.create(name, ["read", "generate"]) for name in ("anna", "bert")}
    keys["operator"] = TOKEN
    keys["reader"] = tokens.create("reader", ["read"])
    studio = gallery_studio(Settings(data=tmp_path, token=TOKEN))
    with acting_as("anna"):
        (record,) = add_pictures(studio.gallery, "red teapot", group="g")
        add_pictures(studio.gallery, "red mug", group="g", parent_id=record.image_id)
    page = f"/gallery/{record.image_id}"
    async with http_server(studio) as url:

        @asynccontextmanager
        async def client(name: str) -> AsyncIterator[httpx2.AsyncClient]:
            async with httpx2.AsyncClient(base_url=url, headers=HTML) as opened:
                answer = await opened.post("/gallery/login", data={"token": keys[name]})
                assert answer.status_code == 303
                yield opened

        seen = {}
        for name in keys:
            async with client(name) as tab:
                view = (await tab.get("/gallery.json")).json()
                seen[name] = (view["total"], (await tab.get(page)).status_code)
                assert bool(view["choices"]["kind"][:-1]) == (view["total"] > 0)
        assert seen == {
            "anna": (2, 200),
            "bert": (0, 404),
            "operator": (2, 200),
            "reader": (0, 404),
        }
        async with client("anna") as tab:
            relatives = (await tab.get(f"{page}.json")).json()["relatives"]
            assert [other["title"] for other in relatives] == ["Red mug"]
        with studio.gallery.transaction() as connection:
            studio.gallery.publish(connection, [record.image_id])
        words = {"caption": "Changed.", "alt": "Changed."}
        async with client("bert") as tab:
            view = (await tab.get(f"{page}.json")).json()
            assert not view["is_own"] and view["recipe"] == {} and view["relatives"] == []
            form = await form_of(tab, "/gallery/read") | words
            assert (await tab.post(f"{page}/words", data=form)).status_code == 404
            assert (await tab.get(f"/{view['thumbnail']}")).status_code == 200
        async with client("reader") as tab:
            form = await form_of(tab, "/gallery/read") | words
            assert (await tab.post(f"{page}/words", data=form)).status_code == 403
        assert studio.gallery.get(record.image_id).caption == record.caption
