"""The gallery's pages over HTTP: what they show, to whom, and what never gets in or out."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
from gallery_forms import HTML, Page, finished, form_of, post
from gallery_tools import PaintNoise, gallery_studio
from kb_pictures import add_pictures
from small_tools import http_server

from agent_tools.settings import Settings
from agent_tools.studio import Studio

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_encoder")]


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty gallery, unless the test also asks for `pictures`."""
    return gallery_studio(Settings(data=tmp_path / "data"))


@pytest.fixture
async def http(studio: Studio) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url, headers=HTML) as client:
        yield client


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
