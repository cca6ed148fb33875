"""Addresses and keys of remote engines: what is accepted. Pure Python, loads nothing."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def check_address(address: str) -> str:
    """Return the base address without its trailing slash.

    Raises:
        ValueError: if it is no web address, carries a password, or is plain http to elsewhere.
    """
    parts = urlsplit(address.strip())
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("an address such as https://host/v1 is needed")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address must not carry a password; the key has its own setting")
    if parts.query or parts.fragment:
        raise ValueError("the address must end with its path, such as /v1")
    _ = parts.port  # raises ValueError for one that is no number
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("https is needed for every host but this one (localhost)")
    return address.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_key(key: str) -> str:
    """Return the key.

    Raises:
        ValueError: if it cannot stand in a header; the text does not show it.
    """
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key must be printable ASCII without spaces")
    return key
