"""The pages of exported collections, over HTTP: what is shown, to whom, and what never is."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin
from xml.etree import ElementTree

import httpx2
import pytest
from kb_pictures import add_pictures, new_picture, rewrite
from PIL import Image
from small_tools import http_server
from small_tools import small_studio as studio_without_knowledge

from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from kb_export.collection import Collection
from kb_export.site import PICTURES_PER_PAGE

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-enough-characters"
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
IMAGE = "{http://www.google.com/schemas/sitemap-image/1.1}"


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return small_studio(Settings(data=tmp_path / "data", kb="pages:shop"))


@pytest.fixture
async def http(studio: Studio) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as client:
        yield client


def small_studio(settings: Settings) -> Studio:
    studio = studio_without_knowledge(settings)
    studio.knowledge = Knowledge(studio.gallery, settings)
    return studio


class Page(HTMLParser):
    """Collects links, pictures and elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        values = dict(attrs)
        if tag == "a":
            self.links.append(values["href"] or "")
        if tag == "img":
            self.images.append(values)


async def test_a_crawler_finds_every_picture_from_the_start_page_and_from_the_sitemap(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    records = add_pictures(studio.gallery, "red teapot", "blue teapot", metadata={"sku": "TP-1"})
    assert len(studio.knowledge.export().put) == 2
    start = await http.get("/kb/shop/")
    assert start.status_code == 200
    found = {urljoin(str(start.url), link) for link in Page(start.text).links}
    tree = ElementTree.fromstring((await http.get("/kb/shop/sitemap.xml")).content)
    listed = {element.text or "" for element in tree.iter(f"{SITEMAP}loc")}
    assert listed <= found | {str(start.url)}
    images = {element.text or "" for element in tree.iter(f"{IMAGE}loc")}
    assert len(listed) == 3 and len(images) == 2
    for url in listed - {str(start.url)}:
        answer = await http.get(url)
        page = Page(answer.text)
        assert answer.status_code == 200
        assert {urljoin(url, image["src"] or "") for image in page.images} <= images
        assert page.images[0]["alt"] and "TP-1" in answer.text
        for link in page.links:
            assert (await http.get(urljoin(url, link))).status_code == 200
    hashes = set()
    for url in images:
        hashes.add(hashlib.sha256((await http.get(url)).content).hexdigest())
    assert hashes == {record.sha256 for record in records}


async def test_the_markdown_is_ready_to_be_uploaded(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    (record,) = add_pictures(studio.gallery, "red teapot")
    studio.knowledge.export()
    answer = await http.get(f"/kb/shop/pictures/{record.sha256[:24]}.md")
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    (url,) = re.findall(r"!\[[^]]*\]\((http[^)]+)\)", answer.text)
    assert (await http.get(url)).content == studio.gallery.read_bytes(record.image_id)
    assert "Someone asks to see a red teapot" in answer.text


async def test_a_picture_of_a_kind_that_platforms_do_not_take_is_shown_as_a_copy(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), (200, 20, 40)).save(buffer, "WEBP")
    steps = "Pick a color\nPay <now>"
    picture = replace(
        new_picture("red teapot", long_description=steps),
        data=buffer.getvalue(),
        media_type="image/webp",
    )
    (record,) = studio.gallery.add([picture])
    studio.knowledge.export()
    page = await http.get(f"/kb/shop/pictures/{record.sha256[:24]}")
    (image,) = Page(page.text).images
    assert (image["src"] or "").endswith(f"{record.sha256}.delivery.jpg")
    copy = await http.get(urljoin(str(page.url), image["src"] or ""))
    assert copy.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(copy.content)).format == "JPEG"
    original = await http.get(f"/kb/shop/images/{record.sha256[:2]}/{record.sha256}.webp")
    assert original.content == studio.gallery.read_bytes(record.image_id)
    assert "<li>Pick a color</li>" in page.text and "<now>" not in page.text
    studio.knowledge.remove([record.image_id])
    assert not list((studio.settings.kb_pages_root / "shop").glob("images/*/*"))


async def test_a_picture_keeps_its_address_when_its_words_change_and_loses_it_when_removed(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    (record,) = add_pictures(studio.gallery, "red teapot")
    studio.knowledge.export()
    address = f"/kb/shop/pictures/{record.sha256[:24]}"
    first = await http.get(address)
    known = {"If-None-Match": first.headers["ETag"]}
    assert (await http.get(address, headers=known)).status_code == 304
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    assert (await http.get(address, headers=since)).status_code == 304
    assert (await http.get(address, headers={"If-Modified-Since": "garbage"})).status_code == 200
    old = {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}
    assert (await http.get(address, headers=old)).status_code == 200
    rewrite(studio.gallery, record.image_id, caption="Newer words.")
    studio.knowledge.export()
    second = await http.get(address, headers=known)
    assert second.status_code == 200 and "Newer words." in second.text
    studio.knowledge.remove([record.image_id])
    shard = record.sha256[:2]
    gone = [address, f"{address}.md", f"/kb/shop/images/{shard}/{record.sha256}.png"]
    assert [(await http.get(path)).status_code for path in gone] == [404] * 3
    assert (await http.get("/kb/shop/")).status_code == 200
    assert not list((studio.settings.kb_pages_root / "shop").glob("images/*/*"))


async def test_hostile_words_are_shown_as_words(http: httpx2.AsyncClient, studio: Studio) -> None:
    evil = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&lt;b&gt; </title> {{7*7}}"
    (record,) = add_pictures(
        studio.gallery, "teapot", title=evil, caption=evil, alt=evil, use_when=evil,
        tags=(evil,), notes=(evil,), metadata={"sku": evil},
    )  # fmt: skip
    studio.knowledge.export()
    for path in ("/kb/shop/", f"/kb/shop/pictures/{record.sha256[:24]}"):
        answer = await http.get(path)
        page = Page(answer.text)
        assert "script" not in page.elements and len(page.images) == 1
        assert not [image for image in page.images if "onerror" in image]
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in policy
        assert not re.findall(r"\sstyle=|\son\w+=", answer.text)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    ElementTree.fromstring((await http.get("/kb/shop/sitemap.xml")).content)


async def test_only_what_was_exported_there_is_found(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    shown, hidden = add_pictures(studio.gallery, "red teapot", "blue teapot")
    studio.knowledge.export([shown.image_id])
    (studio.settings.kb_pages_root / "shop" / "secret.txt").write_text("secret")
    shard, name = hidden.sha256[:2], shown.sha256[:24]
    for path in (
        "/kb/other/",
        "/kb/other/sitemap.xml",
        "/kb/Shop/",
        "/kb/../shop/",
        "/kb/%2e%2e/",
        "/kb/shop%2f..%2fshop/",
        "/kb/shop/secret.txt",
        "/kb/shop/collection.sqlite",
        "/kb/shop/images/../secret.txt",
        "/kb/shop/images/%2e%2e/secret.txt",
        "/kb/shop/images/..%2f..%2fcollection.sqlite",
        f"/kb/shop/images/{shard}/{hidden.sha256}.png",
        f"/kb/shop/images/{shown.sha256[:2]}/{shown.sha256}.jpg",
        f"/kb/shop/images/00/{shown.sha256}.png",
        f"/kb/shop/pictures/{hidden.sha256[:24]}",
        f"/kb/shop/pictures/{name}.md.md",
        f"/kb/shop/pictures/{name[:-1]}%25",
        "/kb/shop/?page=0",
        "/kb/shop/?page=2",
        "/kb/shop/?page=99999999999999999999",
        "/kb/shop/sitemap-0.xml",
        "/kb/shop/sitemap-2.xml",
        "/kb/shop/sitemap-99999999999999999999.xml",
    ):
        answer = await http.get(path)
        assert answer.status_code == 404, path
        assert "secret" not in answer.text
    assert (await http.post("/kb/shop/", content=b"x")).status_code == 405
    assert not (studio.settings.kb_pages_root / "other").exists()


async def test_many_pictures_are_shown_page_by_page_each_once(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    records = add_pictures(studio.gallery, *(f"teapot {n}" for n in range(PICTURES_PER_PAGE + 5)))
    studio.knowledge.export()
    seen: list[str] = []
    address = "/kb/shop/"
    while address:
        answer = await http.get(address)
        page = Page(answer.text)
        seen += [link for link in page.links if link.startswith("pictures/")][::2]
        following = re.findall(r'rel="next" href="([^"]+)"', answer.text)
        address = f"/kb/shop/{following[0]}" if following else ""
    assert sorted(seen) == sorted(f"pictures/{record.sha256[:24]}" for record in records)


async def test_a_large_collection_has_a_sitemap_in_parts(
    http: httpx2.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.kb_pages.PICTURES_PER_SITEMAP", 3)
    add_pictures(studio.gallery, *(f"teapot {n}" for n in range(7)))
    studio.knowledge.export()
    tree = ElementTree.fromstring((await http.get("/kb/shop/sitemap.xml")).content)
    parts = [element.text or "" for element in tree.iter(f"{SITEMAP}loc")]
    pages = set()
    for part in parts:
        found = ElementTree.fromstring((await http.get(part)).content)
        pages |= {element.text for element in found.iter(f"{SITEMAP}loc")}
    assert len(parts) == 3 and len(pages) == 8


@pytest.mark.parametrize("public", [False, True])
async def test_without_the_token_pages_are_shown_only_if_the_operator_says_so(
    public: bool, tmp_path: Path
) -> None:
    settings = Settings(
        data=tmp_path / "data",
        token=TOKEN,
        kb="pages:shop",
        kb_public=public,
        public_url="https://pictures.example/tools/",
    )
    studio = small_studio(settings)
    (record,) = add_pictures(studio.gallery, "red teapot")
    studio.knowledge.export()
    paths = [
        "/kb/shop/",
        "/kb/shop/sitemap.xml",
        f"/kb/shop/pictures/{record.sha256[:24]}",
        f"/kb/shop/images/{record.sha256[:2]}/{record.sha256}.png",
    ]
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as client:
        answers = [await client.get(path) for path in paths]
        assert [answer.status_code for answer in answers] == [200 if public else 401] * 4
        others = ["/kb/../images/x", f"/images/{record.image_id}", "/kb", "/mcp"]
        assert [(await client.get(path)).status_code for path in others] == [401] * 4
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answers = [await client.get(path, headers=headers) for path in paths]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert (await client.get(paths[0], headers={"Host": "evil.example"})).status_code == 421
    scope = "public" if public else "private"
    assert all(answer.headers["Cache-Control"].startswith(scope) for answer in answers)
    site = "https://pictures.example/tools/kb/shop/"
    assert f"<loc>{site}pictures/{record.sha256[:24]}</loc>" in answers[1].text


async def test_words_that_another_program_wrote_into_the_collection_are_not_shown(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    (record,) = add_pictures(studio.gallery, "red teapot")
    studio.knowledge.export()
    collection = Collection(studio.settings.kb_pages_root, "shop")
    with sqlite3.connect(studio.settings.kb_pages_root / "shop" / "collection.sqlite") as database:
        database.execute("UPDATE records SET record = replace(record, 'teapot', '<script>')")
    assert collection.find(record.sha256[:24]) is None
    assert (await http.get(f"/kb/shop/pictures/{record.sha256[:24]}")).status_code == 404
    assert "script" not in Page((await http.get("/kb/shop/")).text).elements
