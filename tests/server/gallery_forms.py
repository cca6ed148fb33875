"""Reading the gallery pages and pressing their buttons."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
from test_kb_pages import Page as PageOfLinks

TOKEN = "a-token-of-enough-characters"
CORPUS = Path(__file__).parents[1] / "data" / "injection_captions.txt"
HTML = {"Accept": "text/html"}


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
