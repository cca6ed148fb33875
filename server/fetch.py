"""The one function that opens an address named from outside; nothing else here does.

An address may be a trap: a name that points into the private network, a redirect there, a name
that changes between check and use (CVE-2026-41488). So the name is resolved once, every address it
has must be public, the connection goes to that very address, and each redirect starts over.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import h11

from agent_tools.errors import AgentToolsError

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Resolve = Callable[[str, int], Awaitable[list[str]]]
Connect = Callable[[str, int, str | None], Awaitable[Stream]]

MAX_URL = 2048
_READ = 65_536
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Letters, digits and hyphens, two labels at least, the last with a letter: no number in disguise.
_NAME = re.compile(
    r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_PRIVATE_SUFFIXES = (
    ".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".corp", ".home",
    ".localdomain", ".onion", ".test", ".invalid",
)  # fmt: skip
# Of IPv6 only what is handed out for the public network, less what carries IPv4 or documents.
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
# https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast: interpreters differ
# in what they call global.
_NOT_PUBLIC_V4 = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_NOT_PUBLIC_V6 = tuple(
    ipaddress.ip_network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


class FetchFailed(AgentToolsError):
    """Say why an address was not opened, or what went wrong there."""

    code = "fetch_failed"


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one fetch may take.

    Attributes:
        max_bytes: of the body.
        seconds: for everything: names, connections, redirects, body.
        redirects: how many are followed.
        operator: the address comes from the settings, not from a caller: private addresses and
            other ports are allowed, and plain http on this machine.
    """

    max_bytes: int
    seconds: float = 15.0
    redirects: int = 3
    operator: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    host: str
    port: int
    tls: bool
    target: str


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public network, reachable by everybody."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        return found in _PUBLIC_V6 and not any(found in net for net in _NOT_PUBLIC_V6)
    return not any(found in net for net in _NOT_PUBLIC_V4)


async def resolve_name(host: str, port: int) -> list[str]:
    """Return the addresses of a name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def connect_to(address: str, port: int, tls_name: str | None) -> Stream:
    """Connect to an address; with `tls_name` the certificate must be valid for that name."""
    if tls_name is None:
        return await asyncio.open_connection(address, port)
    context = ssl.create_default_context()
    return await asyncio.open_connection(address, port, ssl=context, server_hostname=tls_name)


async def fetch(
    url: str,
    limits: FetchLimits,
    *,
    accept: Callable[[bytes], bool] | None = None,
    resolve: Resolve | None = None,
    connect: Connect | None = None,
) -> bytes:
    """Return the body at an address. No cookie, credential or proxy is used or followed.

    Args:
        url: https, a name (never a number), the default port; see `FetchLimits.operator`.
        limits: bounds of size, time and redirects.
        accept: asked with the first 12 bytes or more; false ends the fetch.
        resolve: finds the addresses of a name; the system's resolver if None.
        connect: opens a connection to (address, port, name in the certificate or None).

    Raises:
        FetchFailed: code "address_refused" before anything is opened there, "too_large",
            "fetch_failed", or "bad_picture" if `accept` says no.
    """
    try:
        async with asyncio.timeout(limits.seconds):
            for _ in range(limits.redirects + 1):
                place = _parse(url, operator=limits.operator)
                address = await _address(place, limits, resolve or resolve_name)
                status, location, body = await _get(
                    place, address, limits, accept, connect or connect_to
                )
                if location is None:
                    if status != 200:
                        raise _failed(f"The other side answered {status}.", status >= 500)
                    return body
                url = urljoin(url, location)
    except TimeoutError:
        raise _failed(f"It took longer than {limits.seconds:g} seconds.", True) from None
    except (OSError, h11.RemoteProtocolError, h11.LocalProtocolError, EOFError) as error:
        raise _failed("The other side could not be reached or broke off.", True) from error
    raise _failed("There were too many redirects.", False)


def _parse(url: str, *, operator: bool) -> _Place:
    if len(url) > MAX_URL or not re.fullmatch(r"[!-~]+", url) or "\\" in url:
        raise _refused("It is too long or has odd characters.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise _refused("It is no address.") from None
    tls = parts.scheme == "https"
    local = operator and host in ("localhost", "127.0.0.1", "::1")
    if not tls and not (parts.scheme == "http" and local):
        raise _refused("Only https is opened.")
    if "@" in parts.netloc:
        raise _refused("It carries a user name.")
    if not operator:
        if port not in (None, 443):
            raise _refused("Only the usual port is opened.")
        if not _NAME.fullmatch(host) or host.endswith(_PRIVATE_SUFFIXES):
            raise _refused("Its host is no public name.")
    elif not host:
        raise _refused("It has no host.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Place(host, port or (443 if tls else 80), tls, target)


async def _address(place: _Place, limits: FetchLimits, resolve: Resolve) -> str:
    try:
        found = await resolve(place.host, place.port)
    except (OSError, UnicodeError) as error:
        raise _failed("Its name is not known.", False) from error
    if not found:
        raise _failed("Its name is not known.", False)
    if not limits.operator and not all(is_public(address) for address in found):
        raise _refused("Its host is not in the public network.")
    return found[0]


async def _get(
    place: _Place,
    address: str,
    limits: FetchLimits,
    accept: Callable[[bytes], bool] | None,
    connect: Connect,
) -> tuple[int, str | None, bytes]:
    """Return status, where it redirects to, and the body."""
    reader, writer = await connect(address, place.port, place.host if place.tls else None)
    try:
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=16_384)
        usual = place.port == (443 if place.tls else 80)
        name = f"[{place.host}]" if ":" in place.host else place.host
        headers = [
            ("Host", name if usual else f"{name}:{place.port}"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", "agent-tools"),
            ("Connection", "close"),
        ]
        writer.write(http.send(h11.Request(method="GET", target=place.target, headers=headers)))
        writer.write(http.send(h11.EndOfMessage()))
        await writer.drain()
        status, body, sniffed = 0, bytearray(), accept is None
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(_READ))
            elif isinstance(event, h11.Response):
                status = event.status_code
                found = {name.decode("ascii"): value for name, value in event.headers}
                if status in _REDIRECTS:
                    return status, found.get("location", b"").decode("latin-1"), b""
                if status != 200:
                    return status, None, b""
                if found.get("content-encoding", b"identity").lower() != b"identity":
                    raise _failed("It sends an encoding that was not asked for.", False)
                length = found.get("content-length", b"0")
                if length.isdigit() and int(length) > limits.max_bytes:
                    raise _too_large(limits)
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > limits.max_bytes:
                    raise _too_large(limits)
                if not sniffed and len(body) >= 12:
                    _check(accept, body)
                    sniffed = True
            elif isinstance(event, h11.EndOfMessage):
                if not sniffed:
                    _check(accept, body)
                return status, None, bytes(body)
            elif isinstance(event, h11.ConnectionClosed):
                raise EOFError
    finally:
        writer.transport.abort()  # nothing is owed to the other side


def _check(accept: Callable[[bytes], bool] | None, body: bytearray) -> None:
    if accept is not None and not accept(bytes(body[:64])):
        raise FetchFailed(
            "What is there is not a PNG, JPEG or WebP picture.",
            code="bad_picture",
            hint="Give the address of the picture file, not of a page that shows it.",
        )


def _refused(reason: str) -> FetchFailed:
    return FetchFailed(
        f"This address is not opened. {reason}",
        code="address_refused",
        hint="Give a plain https address of a public picture, or upload the file.",
    )


def _failed(reason: str, retryable: bool) -> FetchFailed:
    return FetchFailed(
        f"The address could not be read. {reason}",
        retryable=retryable,
        hint="Check the address, or upload the file.",
    )


def _too_large(limits: FetchLimits) -> FetchFailed:
    return FetchFailed(
        f"More than {limits.max_bytes / 1e6:g} MB are there.",
        code="too_large",
        hint="Give the address of a smaller copy.",
    )
