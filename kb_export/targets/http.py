"""One HTTP client for knowledge-base platforms: JSON in and out, a bearer key, no surprises.

Whatever a platform answers is untrusted: redirects are not followed, answers are capped in size
and time, words from it are cleaned before anybody reads them. The key is in the request's header
and nowhere else. httpx2 (a dependency of mcp) is loaded with the first client.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kb_export.captions import clean
from kb_export.errors import TargetUnavailable
from kb_export.leases import full_jitter
from kb_export.targets.connection import Connection, is_loopback

if TYPE_CHECKING:
    import ssl

    import httpx2

ATTEMPTS = 4
TIMEOUT_S = 60.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_RETRY_AFTER_S = 20.0
_BUSY = frozenset({429, 502, 503, 504})
_BROKEN = frozenset({500, *_BUSY})

Params = Mapping[str, str | int]
Upload = tuple[str, bytes, str]  # file name, content, media type


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform answered: a status the caller knows how to read, and its JSON.

    Attributes:
        body: the parsed JSON; None if the answer was empty.
    """

    status: int
    body: Any

    def field(self, *path: str | int) -> Any:
        """Return the value at a path such as ("data", 0, "id"); None if it is not there."""
        value = self.body
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value


class PlatformClient:
    """Send requests to one platform; retries what is safe to repeat.

    Args:
        connection: where to.
        sleep: how it waits between attempts.
        timeout_s: for one attempt, from the first byte sent to the last received.
        max_answer_bytes: longer answers are refused unread.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        sleep: Callable[[float], None] = time.sleep,
        timeout_s: float = TIMEOUT_S,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        import httpx2

        self._connection = connection
        self._sleep = sleep
        self._timeout_s = timeout_s
        self._max_answer_bytes = max_answer_bytes
        self._http = httpx2
        self._client = httpx2.Client(
            headers={
                "Authorization": f"Bearer {connection.api_key}",
                "Accept": "application/json",
                # A compressed answer could be a thousand times its size.
                "Accept-Encoding": "identity",
                "User-Agent": "agent-tools",
            },
            timeout=httpx2.Timeout(timeout_s, connect=min(10.0, timeout_s)),
            follow_redirects=False,
            verify=_tls_context(),
            trust_env=not is_loopback(urlsplit(connection.url).hostname or ""),
        )

    def __repr__(self) -> str:
        return f"PlatformClient({self._connection!r})"

    @property
    def platform(self) -> str:
        """The platform's name, for messages."""
        return self._connection.platform

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        upload: Upload | None = None,
        repeatable: bool = True,
        known: frozenset[int] = frozenset(),
    ) -> Answer:
        """Send one request and return its answer, after retries if need be.

        Args:
            path: below the base address; begins with "/".
            body: sent as JSON.
            form, upload: sent as multipart/form-data; the file's field is called "file".
            repeatable: sending it twice has the outcome of sending it once. Otherwise it is sent
                again only if it certainly was not carried out.
            known: statuses other than 2xx that the caller reads itself.

        Raises:
            TargetUnavailable: for every other status, an unreadable answer, or no answer.
        """
        problem: TargetUnavailable | None = None
        for attempt in range(1, ATTEMPTS + 1):
            try:
                status, headers, content = self._send(method, path, params, body, form, upload)
            except self._http.TransportError as error:
                problem = self._unreachable(error)
                certainly_not_sent = isinstance(
                    error, self._http.ConnectError | self._http.ConnectTimeout
                )
                wait = full_jitter(attempt) if repeatable or certainly_not_sent else None
            else:
                if 200 <= status < 300 or status in known:
                    return Answer(status, self._parsed(status, headers, content))
                problem = self._refused(status, headers, content)
                again = _BROKEN if repeatable else frozenset({429})
                wait = _wait(headers, attempt) if status in again else None
            if wait is None or attempt == ATTEMPTS:
                break
            self._sleep(wait)
        assert problem is not None
        raise problem from None

    def message(self, answer: Answer) -> str:
        """Return what the platform says about a refusal, cleaned, at most 200 characters."""
        return self._words(answer.body)

    def rows(self, answer: Answer, *path: str | int) -> list[dict[str, Any]]:
        """Return the objects of a listing.

        Raises:
            TargetUnavailable: if there is no list: taken for an empty one, everything in the
                knowledge base would be put a second time.
        """
        value = answer.field(*path) if path else answer.body
        if not isinstance(value, list):
            raise self._strange("answers a listing without a list")
        return [item for item in value if isinstance(item, dict)]

    def cleaned(self, text: object) -> str:
        """Return a platform's words as one safe line of at most 200 characters."""
        if not isinstance(text, str):
            return ""
        # They may repeat what we sent.
        return clean(text[:2000].replace(self._connection.api_key, "(key)"), 200).rstrip(".")

    def _send(
        self,
        method: str,
        path: str,
        params: Params | None,
        body: Any,
        form: Mapping[str, str] | None,
        upload: Upload | None,
    ) -> tuple[int, httpx2.Headers, bytes]:
        deadline = time.monotonic() + self._timeout_s
        with self._client.stream(
            method,
            self._connection.url + path,
            params=params,
            json=body,
            data=form,
            files={"file": upload} if upload is not None else None,
        ) as response:
            content = bytearray()
            for part in response.iter_raw():
                content += part
                if len(content) > self._max_answer_bytes:
                    raise self._strange(f"answers more than {self._max_answer_bytes} bytes")
                if time.monotonic() > deadline:
                    raise self._http.ReadTimeout("The answer does not end.")
            return response.status_code, response.headers, bytes(content)

    def _parsed(self, status: int, headers: httpx2.Headers, content: bytes) -> Any:
        if not content.strip():
            return None
        if headers.get("content-encoding", "identity") not in ("", "identity"):
            raise self._strange("answers compressed data nobody asked for")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            if 200 <= status < 300:
                raise self._strange("answers something that is not JSON") from None
            return None

    def _unreachable(self, error: Exception) -> TargetUnavailable:
        name = type(error).__name__
        return TargetUnavailable(
            f"{self.platform} cannot be reached ({name}).",
            hint=f"Check the network and {self._connection.url_variable}, then export again; "
            "nothing is lost.",
        )

    def _strange(self, what: str) -> TargetUnavailable:
        return TargetUnavailable(
            f"{self.platform} {what}.",
            hint=f"Check that {self._connection.url_variable} is the address of its API.",
            retryable=False,
        )

    def _refused(self, status: int, headers: httpx2.Headers, content: bytes) -> TargetUnavailable:
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        words = self._words(body)
        said = f": {words}" if words else ""
        if status in (401, 403):
            return self.unauthorized(words)
        if 300 <= status < 400:
            host = clean(urlsplit(headers.get("location", "")).hostname or "another path", 100)
            return self._strange(f"answers {status}, a redirect ({host}), which is not followed")
        if status in _BROKEN:
            return TargetUnavailable(
                f"{self.platform} answers {status}{said}.",
                hint="Export again later; nothing is lost.",
            )
        return self._strange(f"answers {status}{said}")

    def unauthorized(self, words: str = "") -> TargetUnavailable:
        """Return the error for a key that is not accepted."""
        said = f" It says: {words}." if words else ""
        return TargetUnavailable(
            f"{self.platform} does not accept the key or its rights.{said}",
            hint=f"Set {self._connection.key_variable} to a key that may write to this "
            "knowledge base.",
            retryable=False,
        )

    def _words(self, body: Any) -> str:
        """Find the message in a platform's error."""
        if not isinstance(body, dict):
            return ""
        found = (body[name] for name in ("message", "detail", "error") if name in body)
        return next(filter(None, map(self.cleaned, found)), "")


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return the one context of this process: reading the certificates takes 40 ms."""
    import httpx2

    return httpx2.create_ssl_context()


def _wait(headers: httpx2.Headers, attempt: int) -> float | None:
    """Return seconds to wait: what `Retry-After` asks, else full jitter; None if it asks too much.

    RFC 9110, section 10.2.3: seconds, or a date.
    """
    asked = headers.get("retry-after", "").strip()
    if not asked:
        return full_jitter(attempt)
    if re.fullmatch(r"\d{1,9}", asked):
        seconds = float(asked)
    else:
        try:
            then = parsedate_to_datetime(asked)
        except (ValueError, TypeError):
            return full_jitter(attempt)
        if then.tzinfo is None:
            then = then.replace(tzinfo=UTC)
        seconds = max(0.0, (then - datetime.now(UTC)).total_seconds())
    return seconds if seconds <= MAX_RETRY_AFTER_S else None
