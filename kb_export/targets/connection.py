"""Where a platform is and the key to it, read from settings and checked."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from kb_export.errors import BadTarget
from kb_export.targets.settings import TargetSettings, variable_name

_KEY = re.compile(r"[\x21-\x7e]{1,512}")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a platform is and how to get in. Shows neither key nor path.

    Attributes:
        platform: its name as people know it, such as "Open WebUI".
        url: base address without a trailing slash.
        url_variable: the setting that holds it, for error messages.
        key_variable: the setting that holds the key, for error messages.
    """

    platform: str
    url: str
    api_key: str
    url_variable: str
    key_variable: str

    def __repr__(self) -> str:
        return f"Connection({self.platform} at {urlsplit(self.url).hostname})"


def read_connection(platform: str, scheme: str, settings: TargetSettings) -> Connection:
    """Return the connection that the settings `url` and `api_key` describe.

    Raises:
        BadTarget: if one is missing or malformed. The values are never repeated.
    """
    url_variable = variable_name(scheme, "url")
    key_variable = variable_name(scheme, "api_key")
    url = _checked_url(settings.require("url"), url_variable)
    key = settings.require("api_key").strip()
    if not _KEY.fullmatch(key):
        raise BadTarget(
            f"{key_variable} is no API key.",
            hint="Keys are one word of plain characters; copy it again from the platform.",
        )
    return Connection(platform, url, key, url_variable, key_variable)


def _checked_url(url: str, variable: str) -> str:
    """Return the base address without a trailing slash.

    Raises:
        BadTarget: unless it is a plain https address, or http on this very machine.
    """
    try:
        parts = urlsplit(url.strip())
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        port_is_right = False
    if (
        not port_is_right
        or not re.fullmatch(r"https?://[A-Za-z0-9.\-:\[\]_~/]{1,300}", url.strip())
        or not parts.hostname
        or "/../" in f"{parts.path}/"
    ):
        raise BadTarget(
            f"{variable} is no plain web address.",
            hint="Write https://host/path without user name, query or fragment.",
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise BadTarget(
            f"{variable} must begin with https: the key would travel in the open.",
            hint="Put TLS in front of the platform; plain http is taken for this machine only.",
        )
    return url.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this very machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
