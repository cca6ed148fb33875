"""Crawlable pages, and a signed message to a receiver of yours whenever some of them change.

The message tells addresses, never pictures:

    {"type": "kb.pictures.changed", "timestamp": "2026-11-24T12:00:00Z",
     "data": {"collection": "shop", "changes": [
       {"change": "changed", "record_id": "kb_...", "image_id": "img_...", "sha256": "...",
        "title": "...", "page_url": "https://...", "markdown_url": "https://....md",
        "image_url": "https://....png", "changed_at": "2026-11-24T12:00:00Z"},
       {"change": "deleted", ...}]}}

Each change is told at least once, oldest first, by a message whose id stays the same on every
attempt. Signed as `kb_export.signatures` says. A receiver answers 2xx once it has kept the
message; 408, 425, 429, 5xx and silence mean "again later", everything else "look into it".
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import random
import re
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from kb_export.collection import Change, Collection, Message
from kb_export.errors import BadTarget, TargetUnavailable
from kb_export.record import KBRecord
from kb_export.signatures import read_secrets, sign
from kb_export.site import Site
from kb_export.targets.base import Capabilities, KBTarget
from kb_export.targets.kind import TargetKind
from kb_export.targets.pages import PagesTarget, collection_name
from kb_export.targets.settings import TargetSettings, variable_name

CHANGES_PER_MESSAGE = 25  # about 20 KB, what the specification recommends as the most
ATTEMPTS = 4
TIMEOUT_S = 10.0
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
_AGAIN_LATER = frozenset({408, 425, 429})


class WebhookTarget(PagesTarget):
    """Write records into a collection, and tell `url` at the end of each run of exports.

    Args:
        url: https, or http on this machine; from the operator's settings only.
        keys: each signs; see `read_secrets`.
        site: where the collection's pages are found.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        url: str,
        keys: tuple[bytes, ...],
        site: Site,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(collection)
        self._url = read_url(url)
        self._keys = keys
        self._site = site
        self._sleep = sleep
        self._clock = clock

    @property
    def name(self) -> str:
        """The full name, as `open_target` takes it."""
        return f"webhook:{self._collection.name}"

    @property
    def capabilities(self) -> Capabilities:
        """As of pages; what the receiver makes of a message is its own affair."""
        return Capabilities(conditional_put=True, checksums=True, pages=True)

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture, and owe the receiver a notice."""
        self._collection.put(record, image, notice=True)

    def delete(self, sha256: str) -> None:
        """Remove the picture and its record, and owe the receiver a notice."""
        self._collection.delete(sha256, notice=True)

    def flush(self) -> None:
        """Tell the receiver all that it is owed.

        Raises:
            TargetUnavailable: if it does not take a message; that one and later ones stay owed,
                and the next run of exports begins with it.
        """
        while (message := self._collection.next_message(CHANGES_PER_MESSAGE)) is not None:
            if message.changes:  # none if another version wrote them
                self._deliver(message)
            self._collection.delivered(message.message_id)
        super().flush()

    def _deliver(self, message: Message) -> None:
        body = self._body(message)
        said = ""
        for attempt in range(ATTEMPTS):
            try:
                status, retry_after = self._post(message.message_id, body)
            except (OSError, http.client.HTTPException) as error:
                said, retry_after = f"cannot be reached ({type(error).__name__})", None
            else:
                if 200 <= status < 300:
                    return
                said = f"answered {status}"
                if status < 500 and status not in _AGAIN_LATER:
                    raise self._unavailable(said, _advice(status), retryable=False)
            if attempt + 1 < ATTEMPTS:
                # Full jitter: https://aws.amazon.com/blogs/architecture/
                # exponential-backoff-and-jitter/
                longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 4**attempt)
                self._sleep(retry_after or random.uniform(0, longest))
        raise self._unavailable(said, "Export again later; nothing is lost.", retryable=True)

    def _unavailable(self, said: str, advice: str, *, retryable: bool) -> TargetUnavailable:
        return TargetUnavailable(
            f"The receiver of {self.name} {said}; {self._collection.owed()} changes wait.",
            hint=advice,
            retryable=retryable,
        )

    def _post(self, message_id: str, body: bytes) -> tuple[int, float | None]:
        """Send one attempt; return the status and the seconds that the receiver asks for.

        Redirects are not followed: they could lead a signed message anywhere. Proxies of the
        environment are not used.
        """
        host, port = self._url.hostname or "", self._url.port
        connection: http.client.HTTPConnection
        if self._url.scheme == "https":
            connection = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        path = self._url.path or "/"
        try:
            connection.request(
                "POST",
                f"{path}?{self._url.query}" if self._url.query else path,
                body,
                {
                    "Content-Type": "application/json",
                    "User-Agent": "agent-tools",
                    **sign(self._keys, message_id, int(self._clock()), body),
                },
            )
            answer = connection.getresponse()
            asked = answer.getheader("Retry-After") or ""
            seconds = float(asked) if re.fullmatch(r"[0-9]{1,6}", asked) else 0.0
            return answer.status, min(seconds, _LONGEST_WAIT_S) or None
        finally:
            connection.close()

    def _body(self, message: Message) -> bytes:
        """Return the message's bytes: the same on every attempt, also after a crash."""
        changes = [self._told(change) for change in message.changes]
        newest = max((change.changed_at for change in message.changes), default=0.0)
        return json.dumps(
            {
                "type": "kb.pictures.changed",
                "timestamp": _iso(newest),
                "data": {"collection": self._collection.name, "changes": changes},
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()

    def _told(self, change: Change) -> dict[str, str]:
        record = change.record
        return {
            "change": change.change,
            "record_id": record.record_id,
            "image_id": record.image_id,
            "sha256": record.sha256,
            "title": record.title,
            "page_url": self._site.page_url(record),
            "markdown_url": self._site.markdown_url(record),
            "image_url": self._site.image_url(record),
            "changed_at": _iso(change.changed_at),
        }


def read_url(url: str) -> SplitResult:
    """Return the parts of a receiver's address.

    Raises:
        BadTarget: unless it is https, or http on this machine, without name, password or fragment.
    """
    variable = variable_name("webhook", "url")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise BadTarget(f"{variable} is no web address.", hint="Write https://...") from None
    if not parts.hostname or not re.fullmatch(r"[!-~]+", url):
        raise BadTarget(f"{variable} is no web address.", hint="Write https://...")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise BadTarget(
            f"{variable} holds a name, a password or a fragment.",
            hint="Messages are signed instead: the receiver checks the signature.",
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and _on_loopback(parts.hostname)):
        raise BadTarget(f"{variable} must begin with https://.", hint="Give the receiver TLS.")
    return parts


def _on_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _advice(status: int) -> str:
    if 300 <= status < 400:
        return "Redirects are not followed: set the final address."
    if status in (401, 403):
        return "Check that the receiver has the same secret and that its clock is right."
    if status in (404, 410):
        return f"Set {variable_name('webhook', 'url')} to the receiver's address."
    return "Look into the receiver's log, then export again; nothing is lost."


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(rest: str) -> str:
    """Return the full name; raises BadTarget for a malformed one."""
    return collection_name("webhook", rest)


def open_target(name: str, settings: TargetSettings) -> KBTarget:
    """Return the collection that `name` names.

    Settings: `url` of the receiver; `secret`, one or more separated by spaces; `root`, the folder
    of all collections, and `public_url` of this server, both of which the server sets.

    Raises:
        BadTarget: for a missing or malformed setting; no secret is repeated.
    """
    try:
        keys = read_secrets(settings.require("secret"))
    except ValueError as error:
        raise BadTarget(
            f"{variable_name('webhook', 'secret')}: {error}.",
            hint='Make one with: python -c "import base64,secrets; '
            "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\"",
        ) from None
    if not settings.get("public_url"):
        raise BadTarget(
            "A webhook tells addresses, and this server does not know its own.",
            hint="Set AGENT_TOOLS_PUBLIC_URL to the address at which the pages are reached.",
        )
    collection = name.removeprefix("webhook:")
    return WebhookTarget(
        Collection(Path(settings.require("root")), collection),
        url=settings.require("url"),
        keys=keys,
        site=Site(settings["public_url"].rstrip("/"), collection),
    )


KIND = TargetKind(
    "webhook",
    "webhook:COLLECTION",
    parse,
    open_target,
    settings=("url", "secret", "root", "public_url"),
)
