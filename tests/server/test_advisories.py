"""One regression test for each real advisory whose kind of fault could be made here.

The ids name what happened elsewhere; the tests show that it cannot happen here. What belongs to
models on the disk (diffusers, transformers, torch) is tested in tests/engine/test_model_sources.py,
and here only what a caller could reach of it.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import re
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

import httpx2
import pytest
from access_helpers import MCP_HEADERS
from mcp import Client
from PIL import Image
from small_tools import http_server, small_studio
from source_helpers import calls
from test_http import HELLO, png

from agent_tools.errors import AgentToolsError, BadSettings
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools import all_tools
from server.app import build_app, serve_http
from server.schemas import arguments_schema
from server.warm_up import WarmUp

pytestmark = pytest.mark.anyio
PICTURE = {"Content-Type": "image/png"}


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return small_studio(Settings(data=tmp_path / "data"))


@pytest.fixture
async def http(studio: Studio) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as client:
        yield client


async def healthy(http: httpx2.AsyncClient) -> bool:
    return bool((await http.get("/healthz")).json()["status"] == "ok")


async def test_cve_2025_66416_cve_2025_10193_dns_rebinding(
    http: httpx2.AsyncClient, studio: Studio, tmp_path: Path
) -> None:
    """A page whose name was pointed at loopback, and a page of another origin, get nothing."""
    for path in ("/mcp", "/images", "/metrics", "/healthz", "/kb/x/", "/v1/models"):
        rebound = await http.get(path, headers={"Host": "evil.example"})
        assert rebound.status_code == 421
        foreign = await http.get(path, headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403
    for host in ("0.0.0.0", "::", "192.168.1.5"):
        with pytest.raises(BadSettings):
            serve_http(Settings(data=tmp_path), host, 0)


async def test_cve_2025_53366_cve_2025_53365_one_bad_message_ends_nothing(
    http: httpx2.AsyncClient,
) -> None:
    bodies = [
        b"", b"{", b"null", b"[]", b"[1]", b"NaN", b"\xff\xfe", b"[" * 50_000, b'{"id":' * 9000,
        b'{"jsonrpc":"2.0","id":1e999,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":[],"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":7}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":null}}',
        b'{"jsonrpc":"2.0","id":1,"method":"notifications/cancelled","params":{"requestId":{}}}',
        json.dumps({**HELLO, "params": {"protocolVersion": {}}}).encode(),
        json.dumps({**HELLO, "method": "\x00\u202e"}).encode(),
    ]  # fmt: skip
    for body in bodies:
        for era in ({}, {"MCP-Protocol-Version": "2026-07-28"}, {"MCP-Protocol-Version": "\x7f"}):
            headers = MCP_HEADERS | era
            answer = await http.post("/mcp", content=body, headers=headers)
            assert answer.status_code < 500 and "Traceback" not in answer.text
    assert await healthy(http)
    async with Client(str(http.base_url).rstrip("/") + "/mcp") as client:
        assert not (await client.call_tool("paint_square", {"color": "red"})).is_error


async def test_cve_2026_32871_arguments_never_become_part_of_an_address(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    """An id is looked up, never pasted into a URL: whatever is in it, no picture is found."""
    for image_id in ("../admin", "..%2f..%2f", "x?y=1", "x#y", "@evil.example", "//evil.example"):
        with pytest.raises(AgentToolsError, match="no image"):
            studio.gallery.get(image_id)
        answer = await http.get(f"/images/{image_id}")
        assert answer.status_code in (404, 401) and answer.url.host == "127.0.0.1"


async def test_cve_2026_40576_callers_name_ids_never_paths(
    http: httpx2.AsyncClient, studio: Studio, tmp_path: Path
) -> None:
    for tool in all_tools():
        fields = arguments_schema(tool.Arguments)["properties"]
        assert not [field for field in fields if re.search(r"path|file|folder|dir|url", field)]
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    sent = await http.post(
        "/images",
        files={"file": ("../../../../evil.py", png(), "image/png")},
        data={"title": "../../evil"},
    )
    assert sent.status_code == 201
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(tmp_path / "data") for path in new)
    assert not [path for path in new if "evil" in path.name]


async def test_cve_2026_26013_cve_2026_41488_no_picture_address_is_opened_on_the_way(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    """Off by default; and where it is on, tests/server/test_fetch.py pins what was checked."""
    assert not studio.settings.allow_fetch
    import test_fetch

    with test_fetch.SPY.watch() as opened:
        asked = {"url": "https://canary.example/a.png"}
        assert (await http.post("/images", json=asked)).status_code == 403
        for title in ("https://canary.example/a.png", "![a](https://canary.example/a.png)"):
            await http.post("/images", params={"title": title}, content=png(), headers=PICTURE)
    assert not [line for line in opened if "canary" in line or "443" in line]


async def test_cve_2025_68664_cve_2026_34070_what_callers_say_is_never_loaded_as_an_object(
    http: httpx2.AsyncClient, modules: dict[str, ast.Module]
) -> None:
    loaders = re.compile(
        r"\b(pickle|marshal|shelve|dill|joblib|cloudpickle)\.|yaml\.(load|unsafe_load)$|"
        r"^langchain_core\.load|load_prompt"
    )
    for name, tree in modules.items():
        for called, _ in calls(tree):
            assert not loaders.search(called), f"{name}: {called}"
        assert "allow_pickle=True" not in ast.unparse(tree), name
    trusted = {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"a": "id"}}
    async with Client(str(http.base_url).rstrip("/") + "/mcp") as client:
        told = await client.call_tool("paint_square", {"color": trusted})
        assert told.is_error and "color" in told.content[0].text
    assert await healthy(http)


async def test_cve_2025_32434_a_pickle_is_never_taken_for_anything(
    http: httpx2.AsyncClient, modules: dict[str, ast.Module]
) -> None:
    import pickle
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
    for data in (pickle.dumps({"a": 1}), packed.getvalue()):
        sent = await http.post("/images", content=data, headers=PICTURE)
        assert sent.json()["error"]["code"] == "bad_picture"
    # The training program reads its own checkpoints; no caller reaches it.
    served = [tree for name, tree in modules.items() if not name.startswith("engine/starter/")]
    assert "torch.load" not in {called for tree in served for called, _ in calls(tree)}


async def test_cve_2024_12029_no_model_is_installed_over_the_network(studio: Studio) -> None:
    routes = [route.path for route in build_app(studio, WarmUp(studio)).routes]  # type: ignore[attr-defined]
    assert not [path for path in routes if re.search(r"install|download|pull|upload-model", path)]
    names = [tool.name for tool in all_tools()]
    assert not [name for name in names if re.search(r"install|download|pull|load", name)]


@pytest.mark.parametrize(
    "upload",
    [
        b"<html><script>alert(1)</script></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<?xml version='1.0'?><svg/>",
        b"GIF89a<script>alert(1)</script>",
        b"import os\n",
    ],
)
async def test_cve_2026_56671_cve_2024_10099_cve_2026_123790_what_is_served_is_a_picture_only(
    upload: bytes, http: httpx2.AsyncClient, studio: Studio
) -> None:
    for media_type in ("image/png", "image/jpeg", "application/octet-stream"):
        sent = await http.post("/images", content=upload, headers={"Content-Type": media_type})
        assert sent.status_code == 400
    # A picture that is also a page keeps only its pixels.
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "PNG")
    both = await http.post("/images", content=buffer.getvalue() + upload, headers=PICTURE)
    shown = await http.get(both.headers["Location"])
    assert upload not in shown.content
    assert shown.headers["Content-Type"] == "image/png"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert shown.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert shown.headers["Content-Disposition"].startswith("inline; filename=")


TRAVERSALS = [
    f"{before}{step * depth}{target}{after}"
    for step in ("../", "..%2f", "..%5c", "..\\", "%2e%2e/", "....//", "..;/", "%252e%252e%252f")
    for depth in (1, 6)
    for target in ("etc/passwd", "gallery.sqlite3", "tokens.sqlite3")
    for before, after in (("", ""), ("img_0/", ".png"), ("/", "%00.png"))
] + [
    "/etc/passwd", "//etc/passwd", "C:\\Windows\\win.ini", "C:/Windows/win.ini", "c:boot.ini",
    "\\\\server\\share\\x", "//server/share/x", "file:///etc/passwd", "%00", "a%00b", ".", "..",
    "~root", "$HOME", "con", "nul.png", "a" * 300, "%u002e%u002e/", "..%c0%af..%c0%afetc/passwd",
]  # fmt: skip


class OpenSpy:
    """See every file that this process opens."""

    def __init__(self) -> None:
        self.watching = False
        self.opened: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.watching and event == "open":
            self.opened.append(str(arguments[0]))


OPENED = OpenSpy()


async def test_cve_2026_28416_cve_2026_59806_cve_2026_49119_cve_2026_28414_no_path_leads_outside(
    http: httpx2.AsyncClient, studio: Studio, tmp_path: Path
) -> None:
    assert len(set(TRAVERSALS)) >= 150
    (tmp_path / "data" / "kb-pages").mkdir()
    OPENED.watching = True
    try:
        for form in TRAVERSALS:
            for path in ("/images/", "/kb/", "/kb/x/pictures/", "/kb/x/images/aa/"):
                answer = await http.get(path + form)
                # A redirect only adds the missing slash, or leads from the root to the gallery.
                assert answer.status_code in (303, 307, 404, 405), path + form
                if answer.status_code == 303:
                    assert answer.headers["Location"] == "./gallery", path + form
                assert "evil" not in answer.headers.get("Location", "").partition("/kb/")[0]
            with pytest.raises(AgentToolsError):
                studio.gallery.get(form)
            with pytest.raises(AgentToolsError):
                studio.personas.get(form)
    finally:
        OPENED.watching = False
    read = [name for name in OPENED.opened if re.search(r"passwd|win\.ini|share|sqlite3$", name)]
    assert read == []
    assert not [name for name in OPENED.opened if ".." in name]


async def test_cve_2026_40192_cve_2026_55379_cve_2026_25990_cve_2025_48379_three_formats_only(
    http: httpx2.AsyncClient,
) -> None:
    assert tuple(int(part) for part in version("pillow").split(".")[:2]) >= (12, 3)
    small = Image.new("RGB", (8, 8))
    for kind in ("GIF", "BMP", "TIFF", "ICO", "PPM", "TGA", "PCX", "DDS", "SGI", "EPS", "PDF"):
        buffer = io.BytesIO()
        small.save(buffer, kind)
        sent = await http.post("/images", content=buffer.getvalue(), headers=PICTURE)
        assert sent.json()["error"]["code"] == "bad_picture", kind
    for magic in (b"SIMPLE  =", b"gd\x02", b"\xff\xff\x00\x08", b"STARTFONT 2.1\n", b"\x01fcp"):
        sent = await http.post("/images", content=magic + b"\0" * 400, headers=PICTURE)
        assert sent.json()["error"]["code"] == "bad_picture"


async def test_cve_2025_62727_cve_2025_54121_cve_2024_47874_ranges_and_forms_are_cheap(
    http: httpx2.AsyncClient,
) -> None:
    assert tuple(int(part) for part in version("starlette").split(".")[:2]) >= (0, 50)
    sent = await http.post("/images", content=png(), headers=PICTURE)
    many = ",".join(f"{start}-{start + 1}" for start in range(9000))
    for value in (f"bytes={many}", "bytes=" + "0-" * 20_000, "bytes=-1", "bytes=0-0"):
        shown = await http.get(sent.headers["Location"], headers={"Range": value})
        assert shown.status_code == 200 and shown.content.startswith(b"\x89PNG")
    fields = "".join(
        f'--x\r\nContent-Disposition: form-data; name="f{n}"\r\n\r\nv\r\n' for n in range(20_000)
    )
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    refused = await http.post("/images", content=f"{fields}--x--\r\n".encode(), headers=form)
    assert refused.status_code == 400
    assert await healthy(http)


async def test_cve_2025_32711_no_text_of_a_caller_becomes_a_live_address(
    http: httpx2.AsyncClient, studio: Studio
) -> None:
    for title in (
        "![x](https://canary.example/?q=secret)",
        "<img src=https://canary.example/>",
        "[ref]: https://canary.example/a",
        "see https://canary.example/ now",
    ):
        sent = await http.post("/images", params={"title": title}, content=png(), headers=PICTURE)
        record = studio.gallery.get(sent.json()["image_id"])
        said = " ".join((record.title, record.caption, record.alt))
        assert "canary.example/" not in said and "<img" not in said and "](" not in said


def test_every_row_that_touches_the_server_is_here() -> None:
    """What this file and its two neighbors answer for; a new row needs a new test."""
    rows = """66416 53366 49596 6514 51994 32871 15061 53107 40576 77267 79747 26013 41488 68664
        34070 44513 45804 5241 32434 12029 56671 10099 123790 28416 59806 49119 28414 40192 55379
        25990 48379 62727 54121 47874 32711"""
    import test_advisories_access
    import test_advisories_code

    found = globals() | vars(test_advisories_access) | vars(test_advisories_code)
    names = " ".join(
        name for name, one in found.items() if inspect.isfunction(one) and "cve" in name
    )
    assert [row for row in rows.split() if f"_{row}_" not in f"{names}_"] == []
