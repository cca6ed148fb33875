"""HTTP to an Images API: one address, one key, attempts with pauses, capped answers."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from engine.errors import GenerationFailed, RemoteRefused, RemoteUnavailable
from engine.remote_address import check_address, check_key, is_loopback
from engine.remote_failures import (
    Failure,
    KeysRefused,
    attempts_for,
    broken,
    explain,
    explain_event,
    retry_after,
    too_large,
    unreachable,
)
from engine.remote_wire import (
    EDITS,
    Call,
    Picture,
    ServerError,
    read_error,
    read_event,
    read_model_names,
    read_pictures,
)

if TYPE_CHECKING:
    import httpx2

logger = logging.getLogger(__name__)
OnPartial = Callable[[bytes], Awaitable[None]]
_Answer = TypeVar("_Answer")

_MAX_ANSWER = 256 * 1024 * 1024
_MAX_PICTURE = 64 * 1024 * 1024
_MAX_LIST = 4 * 1024 * 1024
_MAX_ERROR = 64 * 1024
_CONNECT_S = 10.0
_LONGEST_PAUSE_S = 30.0
_NO_SUCH_PATH = frozenset({404, 405, 501})


class ImagesClient:
    """Knows one Images API. Holds the key; shows it to nobody but that server."""

    def __init__(
        self, base_url: str, api_key: str | None, *, attempts: int, backoff_s: float
    ) -> None:
        """Remember where and how; open nothing.

        Args:
            base_url: up to and including "/v1".
            api_key: sent as a bearer token.
            attempts: how often a request that the server did not take is sent in all.
            backoff_s: bound of the first pause between attempts; doubles with each.

        Raises:
            ValueError: if the address or the key is malformed.
        """
        self.base_url = check_address(base_url)
        self.attempts = attempts
        parts = urlsplit(self.base_url)
        self.host = parts.netloc
        self._is_loopback = is_loopback(parts.hostname or "")
        self._key = None if api_key is None else check_key(api_key)
        self._backoff_s = backoff_s
        self._is_plain = parts.scheme == "http"
        self._tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def session(self, ends_at: float) -> AsyncIterator[Session]:
        """Open connections for one piece of work; leaving the block closes them.

        Args:
            ends_at: event-loop time after which waiting for another attempt makes no sense.
        """
        import httpx2

        headers = {
            "Accept": "application/json, text/event-stream",
            "Accept-Encoding": "identity",
            "User-Agent": "agent-tools",
        }
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        # The caller's deadline ends the whole; a picture may well take minutes to begin.
        timeout = httpx2.Timeout(None, connect=_CONNECT_S)
        async with httpx2.AsyncClient(
            headers=headers,
            timeout=timeout,
            verify=self._tls_context(),
            trust_env=not self._is_loopback,
            follow_redirects=False,
        ) as http:
            yield Session(self, http, ends_at)

    def _tls_context(self) -> ssl.SSLContext:
        """Return the one context of this client: reading the trusted certificates takes 30 ms."""
        if self._tls is None:
            import httpx2

            # Plain http needs no certificates; a context that trusts nobody is made in no time.
            nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls = nobody if self._is_plain else httpx2.create_ssl_context()
        return self._tls

    def without_key(self, said: ServerError) -> ServerError:
        """Return the server's words without the key, should it have repeated it."""
        if not self._key or self._key not in said.message:
            return said
        return replace(said, message=said.message.replace(self._key, "***"))

    def pause_s(self, attempt: int, retry_after_s: float | None) -> float:
        """Return how long to wait after an attempt (0 = the first); never less than asked for.

        Full jitter: drawn between nothing and a doubling bound, so that callers that failed
        together do not come back together.
        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        bound = min(_LONGEST_PAUSE_S, self._backoff_s * 2**attempt)
        return (retry_after_s or 0.0) + random.uniform(0.0, bound)


class Session:
    """Open connections to the server."""

    def __init__(self, client: ImagesClient, http: httpx2.AsyncClient, ends_at: float) -> None:
        self._client = client
        self._http = http
        self._ends_at = ends_at

    async def model_names(self) -> tuple[str, ...] | None:
        """Return the models that the server lists; None if it keeps no list.

        Raises:
            EngineError: if it cannot be asked.
        """

        async def read(response: httpx2.Response) -> tuple[str, ...] | None:
            if response.status_code in _NO_SUCH_PATH:
                return None
            return read_model_names(await _read_capped(response, _MAX_LIST))

        return await self._send("GET", "models", {}, read, also_good=_NO_SUCH_PATH)

    async def paint(self, call: Call, on_partial: OnPartial) -> tuple[bytes, ...]:
        """Send a call and return the encoded pictures.

        Args:
            call: what to send.
            on_partial: given every partial picture of a stream.

        Raises:
            KeysRefused: if the server does not know a key that it need not know.
            EngineError: if there are no pictures.
        """

        async def read(response: httpx2.Response) -> tuple[Picture, ...]:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "text/event-stream":
                return await self._read_stream(response, call.path == EDITS, on_partial)
            body = await _read_capped(response, _MAX_ANSWER)
            return await asyncio.to_thread(read_pictures, body)

        content = {**call.content(), "headers": {"Idempotency-Key": str(uuid.uuid4())}}
        pictures = await self._send("POST", call.path, content, read, call=call)
        return tuple([p.data if p.url is None else await self._fetch(p.url) for p in pictures])

    async def _send(
        self,
        method: str,
        path: str,
        content: dict[str, Any],
        read: Callable[[httpx2.Response], Awaitable[_Answer]],
        *,
        also_good: frozenset[int] = frozenset(),
        call: Call | None = None,
    ) -> _Answer:
        """Send until the server takes it, or until that makes no sense any more."""
        import httpx2

        url = f"{self._client.base_url}/{path}"
        attempt = 0
        while True:
            try:
                async with self._http.stream(method, url, **content) as response:
                    if response.is_success or response.status_code in also_good:
                        return await read(response)
                    failure = await self._failure(response, call)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = unreachable(self._client.host, error, self._client.attempts)
            except httpx2.HTTPError as error:
                raise broken(self._client.host, error) from None
            attempt += 1
            if attempt >= failure.attempts or (failure.retry_after_s or 0.0) > _LONGEST_PAUSE_S:
                raise failure.error
            pause_s = self._client.pause_s(attempt - 1, failure.retry_after_s)
            if asyncio.get_running_loop().time() + pause_s >= self._ends_at:
                raise failure.error
            logger.info(
                "attempt %d at %s: %s; the next one in %.1f s",
                attempt,
                self._client.host,
                failure.error.code,
                pause_s,
            )
            await asyncio.sleep(pause_s)

    async def _failure(self, response: httpx2.Response, call: Call | None) -> Failure:
        """Read an error answer.

        Raises:
            KeysRefused: if leaving out optional keys would help.
        """
        status, headers = response.status_code, response.headers
        sent = frozenset() if call is None else call.optional
        said = read_error(await _read_start(response, _MAX_ERROR), sent)
        wait_s = retry_after(headers)
        error = explain(
            status,
            self._client.without_key(said),
            host=self._client.host,
            retry_after_s=wait_s,
            editing=call is not None and call.path == EDITS,
        )
        if status in (400, 422) and said.refused:
            raise KeysRefused(said.refused, error)
        if isinstance(error, RemoteRefused):
            return Failure(error)
        return Failure(error, attempts_for(status, headers, self._client.attempts), wait_s)

    async def _read_stream(
        self, response: httpx2.Response, editing: bool, on_partial: OnPartial
    ) -> tuple[Picture, ...]:
        import httpx2

        done: list[Picture] = []
        size = 0
        async for sent in httpx2.EventSource(response, max_event_size=2 * _MAX_PICTURE):
            size += len(sent.data)
            if size > _MAX_ANSWER:
                raise too_large(_MAX_ANSWER)
            event = await asyncio.to_thread(read_event, sent.data)
            if event is None:
                continue
            if event.error is not None:
                said = self._client.without_key(event.error)
                raise explain_event(said, host=self._client.host, editing=editing)
            if event.kind == "completed":
                done += event.pictures
            elif event.pictures[0].url is None:
                await on_partial(event.pictures[0].data)
        if not done:
            raise RemoteUnavailable(
                "The remote server ended its stream without a picture.", hint="Try again."
            )
        return tuple(done)

    async def _fetch(self, url: str) -> bytes:
        """Download a picture from the server itself; no other host is ever asked."""
        import httpx2

        base = httpx2.URL(self._client.base_url + "/")
        try:
            target = base.join(url)
        except httpx2.InvalidURL:
            target = httpx2.URL("invalid:")
        if (target.scheme, target.host, target.port) != (base.scheme, base.host, base.port):
            raise GenerationFailed(
                "The remote server answered with an address on another host.",
                hint="Let it answer with b64_json: set AGENT_TOOLS_ENGINE_EXTRAS to auto.",
            )
        try:
            async with self._http.stream("GET", target) as response:
                if not response.is_success:
                    raise GenerationFailed(
                        f"The painted picture could not be fetched: HTTP {response.status_code}.",
                        hint="Try again.",
                    )
                return await _read_capped(response, _MAX_PICTURE)
        except httpx2.HTTPError as error:
            raise broken(self._client.host, error) from None


async def _read_capped(response: httpx2.Response, limit: int) -> bytes:
    """Read a body.

    Raises:
        GenerationFailed: if it is larger than `limit`; the rest is not read.
    """
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)


async def _read_start(response: httpx2.Response, limit: int) -> bytes:
    """Read the beginning of a body."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= limit:
            break
    return bytes(body[:limit])
