"""The gallery pages: to whom they show what, and what never gets in or out."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import pytest
from gallery_forms import CORPUS, HTML, TOKEN, Page, form_of
from gallery_tools import gallery_studio
from kb_pictures import add_pictures
from small_tools import http_server

from agent_tools.callers import acting_as
from agent_tools.image_record import ImageRecord
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.tokens import TokenStore

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_encoder")]


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty gallery, unless the test also asks for `pictures`."""
    return gallery_studio(Settings(data=tmp_path / "data"))


@pytest.fixture
async def http(studio: Studio) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url, headers=HTML) as client:
        yield client


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
