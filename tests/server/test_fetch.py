"""Addresses from outside: opened only in the public network, at the address that was checked."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from picture_site import HOST, LIMITS, PUBLIC, Site
from small_tools import http_server, small_studio
from test_http import png

from agent_tools.pictures import looks_like_picture
from agent_tools.settings import Settings
from server import fetch as fetching
from server.fetch import FetchFailed, FetchLimits, fetch, is_public

pytestmark = pytest.mark.anyio

# Every form of an address that is no public one.
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200",
    "127.0.0.1", "127.1.2.3", "127.255.255.254", "169.254.0.1", "169.254.169.254",
    "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1",
    "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "::ffff:93.184.215.14", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001::7f00:1", "2001:db8::1",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "3fff::1", "100::1", "4000::1",
    "not an address", "",
]  # fmt: skip
NUMBERS = [
    "127.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "017700000001", "0x7f000001",
    "0x7f.0.0.1", "0x7f.1", "0177.0.0.1", "0177.1", "127.0.0.01", "00000177.0.0.1", "2852039166",
    "0xa9fea9fe", "169.254.169.254", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376",
    "169.16689662", "10.0.0.1", "192.168.1.1", "172.16.0.1", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "[fe80::1%25eth0]",
    "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "93.184.215.14", "1.1.1.1",
    "[2606:4700::1111]", "127。0。0。1", "127%2E0%2E0%2E1", "①②⑦.⓪.⓪.①",
    "\uff11\uff12\uff17.0.0.1", "1e9.1",
    "0x.0x.0",
    "0.0", "256.256.256.256", "4294967296", "-1", "127.0.0.1.", "127..0.0.1", "0x7F000001.",
]  # fmt: skip
NAMES = [
    "localhost", "LOCALHOST", "localhost.", "foo.localhost", "localhost.localdomain", "printer",
    "router.lan", "nas.local", "vault.internal", "metadata.google.internal", "db.corp", "tv.home",
    "x.home.arpa", "a.intranet", "x.onion", "a.test", "b.invalid", "kubernetes.default.svc.local",
    "ex_ample.com", "-a.example", "a-.example", "a..example", ".example", "exa mple.com",
    "ex%61mple.com", "exämple.com", "\u0440\u0430ypal.com", "a.example。com", "*.example.com",
    "a.b.c.1", "example.0x7f", "a" * 64 + ".example", "a.example:80.evil", "", "example",
    "[pictures.example]", "pictures.example%00.evil.example", "pictures.example%2eevil",
    "pic\u00adtures.example",
]  # fmt: skip
SHAPES = [
    f"http://{HOST}/a.png", f"HTTP://{HOST}/", f"ftp://{HOST}/a", "file:///etc/passwd",
    f"file://{HOST}/etc/passwd", f"gopher://{HOST}:70/_x", "data:image/png;base64,AAAA",
    "javascript:alert(1)", f"//{HOST}/a.png", "/etc/passwd", "etc/passwd", "", "https:", "https://",
    "https:///a.png", f"https:/{HOST}/a", f"https:{HOST}/a", f"https:\\\\{HOST}\\a",
    f"https://{HOST}\\@127.0.0.1/", f"https://127.0.0.1\\@{HOST}/", f"https://user@{HOST}/",
    f"https://user:word@{HOST}/", f"https://@{HOST}/", f"https://{HOST}@127.0.0.1/",
    f"https://127.0.0.1@{HOST}/", f"https://{HOST}:80/", f"https://{HOST}:22/",
    f"https://{HOST}:8443/", f"https://{HOST}:0/", f"https://{HOST}:65536/", f"https://{HOST}:-1/",
    f"https://{HOST}:port/", f"https://{HOST}:443:80/", f"https://{HOST}:443@127.0.0.1/",
    f"https://{HOST}/a b", f"https://{HOST}/a\nb", f"https://{HOST}/a\r\nHost: evil",
    f"https://{HOST}/\x00", f" https://{HOST}/", f"https://{HOST}/\u202e", f"ht\ttps://{HOST}/",
    f"https://{HOST}#@127.0.0.1/".replace("#", "?@").replace("?@@", "@"), "https://[::1/",
    "https://::1/", f"https://{HOST}/" + "a" * 3000, f"jar:https://{HOST}!/a",
    f"url:https://{HOST}/", f"blob:https://{HOST}/1", f"view-source:https://{HOST}/",
    f"ssh://{HOST}/", f"ws://{HOST}/", f"ldap://{HOST}/", f"dict://{HOST}:11211/", "https://%00/",
]  # fmt: skip
FORMS = [*SHAPES, *(f"https://{host}/a.png" for host in (*NUMBERS, *NAMES))]


class Spy:
    """See every connection that this process opens, below everything else."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.watching = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.watching and event in ("socket.connect", "socket.getaddrinfo"):
            self.opened.append(
                f"{event} {arguments[1:] if event == 'socket.connect' else arguments}"
            )

    @contextmanager
    def watch(self) -> Iterator[list[str]]:
        self.opened.clear()
        self.watching = True
        try:
            yield self.opened
        finally:
            self.watching = False


SPY = Spy()


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_address_but_a_public_one_counts_as_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


async def test_of_far_more_than_150_address_forms_none_opens_a_connection() -> None:
    assert len(set(FORMS)) >= 130
    refused = 0
    with SPY.watch() as opened:
        for url in FORMS:
            with pytest.raises(FetchFailed) as caught:
                await fetch(url, LIMITS)
            assert caught.value.code == "address_refused", url
            refused += 1

        async def points_inside(host: str, port: int) -> list[str]:
            return [address]

        # A public name whose address is not.
        for address in NOT_PUBLIC:
            with pytest.raises(FetchFailed) as caught:
                await fetch(f"https://{HOST}/a.png", LIMITS, resolve=points_inside)
            assert caught.value.code == "address_refused", address
            refused += 1
    assert refused >= 180
    assert opened == []


async def test_the_spy_sees_what_would_be_opened() -> None:
    """The negative control: the same spy, a fetch that does open something."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with SPY.watch() as opened, pytest.raises(FetchFailed):
        await fetch(f"http://127.0.0.1:{port}/", FetchLimits(max_bytes=9, operator=True))
    assert any("socket.connect" in line and str(port) in line for line in opened)
    server.close()


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    async def both(host: str, port: int) -> list[str]:
        return [PUBLIC, "127.0.0.1"]

    with SPY.watch() as opened, pytest.raises(FetchFailed, match="public"):
        await fetch(f"https://{HOST}/", LIMITS, resolve=both)
    assert opened == []


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    found = Site(tmp_path)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=found.context)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


def ok(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def moved(where: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_a_picture_comes_from_the_very_address_that_was_checked(site: Site) -> None:
    site.answers["/a.png?size=2"] = ok(png())
    assert await site.get("/a.png?size=2", accept=looks_like_picture) == png()
    assert site.resolved == [HOST]
    assert site.connected == [(PUBLIC, 443, HOST)]
    head = site.heads[0].lower()
    assert f"host: {HOST}\r\n" in head
    assert not {"cookie", "authorization", "referer", "origin"} & {
        line.partition(":")[0] for line in head.splitlines()
    }


async def test_a_name_that_changes_its_address_meets_only_the_checked_one(site: Site) -> None:
    """DNS rebinding: public when it is checked, private when it is asked again."""
    answers = iter([[PUBLIC], ["127.0.0.1"], ["169.254.169.254"]])

    async def changing(host: str, port: int) -> list[str]:
        return next(answers)

    site.answers["/"] = ok(png())
    await fetch(f"https://{HOST}/", LIMITS, resolve=changing, connect=site.connect)
    with pytest.raises(FetchFailed):
        await fetch(f"https://{HOST}/", LIMITS, resolve=changing, connect=site.connect)
    assert [address for address, _, _ in site.connected] == [PUBLIC]


async def test_a_redirect_is_followed_within_the_public_network(site: Site) -> None:
    site.answers |= {"/old": moved("/new"), "/new": moved(f"https://{HOST}/pic"), "/pic": ok(png())}
    assert await site.get("/old") == png()
    assert site.resolved == [HOST] * 3


@pytest.mark.parametrize(
    "where",
    [
        "http://pictures.example/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://localhost/",
        "https://2130706433/",
        "https://user@pictures.example/",
        "https://pictures.example:8443/",
        "//127.0.0.1/",
        "file:///etc/passwd",
        "gopher://pictures.example/",
        "https://metadata.google.internal/",
        "javascript:alert(1)",
    ],
)
async def test_a_redirect_to_anywhere_else_is_refused(where: str, site: Site) -> None:
    site.answers["/"] = moved(where)
    with pytest.raises(FetchFailed) as caught:
        await site.get("/")
    assert caught.value.code == "address_refused"
    assert len(site.connected) == 1


async def test_a_redirect_to_a_name_inside_is_refused(site: Site) -> None:
    async def inside_second(host: str, port: int) -> list[str]:
        return [PUBLIC] if host == HOST else ["10.0.0.5"]

    site.answers["/"] = moved("https://inside.example/")
    with pytest.raises(FetchFailed, match="public"):
        await fetch(f"https://{HOST}/", LIMITS, resolve=inside_second, connect=site.connect)
    assert len(site.connected) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (moved("/"), "fetch_failed"),
        (ok(b"x" * 200_000), "too_large"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"\x89PNG\r\n\x1a\n" + b"x" * 200_000, "too_large"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30000\r\n" + b"x" * 196_700,
            "too_large",
        ),
        (ok(b"<html><img src=a.png></html>"), "bad_picture"),
        (
            ok(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "Content-Type: image/png"),
            "bad_picture",
        ),
        (ok(b""), "bad_picture"),
        (ok(b"\x1f\x8b" + b"0" * 90, "Content-Encoding: gzip"), "fetch_failed"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "fetch_failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort", "fetch_failed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\n\r\n", "fetch_failed"),
        (b"SSH-2.0-OpenSSH\r\n", "fetch_failed"),
        (b"", "fetch_failed"),
    ],
)
async def test_too_much_or_no_picture_is_one_clear_error(
    answer: bytes, code: str, site: Site
) -> None:
    site.answers["/"] = answer
    with pytest.raises(FetchFailed) as caught:
        await site.get("/", accept=None if code == "too_large" else looks_like_picture)
    assert caught.value.code == code
    assert caught.value.hint
    assert PUBLIC not in str(caught.value)


async def test_a_site_that_goes_silent_is_left_in_time(site: Site) -> None:
    site.answers["/"] = b"HTTP/1.1 200 OK\r\nHold: yes\r\nContent-Length: 90000\r\n\r\nab"
    with pytest.raises(FetchFailed, match="longer"):
        await site.get("/", FetchLimits(max_bytes=100_000, seconds=0.5))


async def test_a_certificate_of_another_name_is_refused(site: Site) -> None:
    site.answers["/"] = ok(png())
    with pytest.raises(FetchFailed):
        await fetch("https://other.example/", LIMITS, resolve=site.resolve, connect=site.connect)
    assert site.heads == []


async def test_a_picture_enters_by_its_address_only_where_that_is_allowed(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "resolve_name", site.resolve)
    monkeypatch.setattr(fetching, "connect_to", site.connect)
    site.answers |= {"/mug.png": ok(png()), "/page": ok(b"<html></html>" * 9)}
    asked = {"url": f"https://{HOST}/mug.png", "title": "a mug"}
    for allowed in (False, True):
        settings = Settings(data=tmp_path / str(allowed), allow_fetch=allowed)
        studio = small_studio(settings)
        async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:
            answer = await http.post("/images", json=asked)
            if not allowed:
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "fetch_off")
                assert site.connected == []
                continue
            assert answer.status_code == 201
            assert studio.gallery.get(answer.json()["image_id"]).title == "a mug"
            page = await http.post("/images", json={"url": f"https://{HOST}/page"})
            inside = await http.post("/images", json={"url": "https://169.254.169.254/latest"})
            odd = await http.post("/images", json={"url": asked["url"], "headers": {"a": "b"}})
            codes = [reply.json()["error"]["code"] for reply in (page, inside, odd)]
            assert codes == ["bad_picture", "address_refused", "bad_upload"]
            assert len(studio.gallery.list()) == 1


def test_the_checked_addresses_are_what_they_say() -> None:
    for address in NOT_PUBLIC[:-2]:
        ipaddress.ip_address(address)
