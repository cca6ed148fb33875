"""Structured logs: one JSON object a line on stderr, the request's id on every line.

Stdout is left alone: it belongs to the stdio protocol and to `--json`. Prompts, arguments and
secrets are never logged at INFO or above.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

NO_REQUEST = "-"
_request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# At INFO these log session ids and text from peers; both stay out of the logs.
QUIET = (
    "mcp",
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "asyncio",
    "PIL",
)


def new_request_id(offered: str | None = None) -> str:
    """Return the caller's id if it is short and plain, otherwise a new random one."""
    if offered and _ACCEPTED_ID.fullmatch(offered):
        return offered
    return uuid.uuid4().hex


def current_request_id() -> str:
    """Return the id of the request being served, "-" outside of one."""
    return _request_id.get()


@contextmanager
def request(request_id: str) -> Iterator[str]:
    """Put `request_id` on every line logged inside the block, also from tasks started in it."""
    token = _request_id.set(request_id)
    try:
        yield request_id
    finally:
        _request_id.reset(token)


class JsonLines(logging.Formatter):
    """Format a log record as one line of JSON; `extra={"fields": {...}}` adds to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its line end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", NO_REQUEST),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # ASCII: no terminal escape, bidi character or line break of a peer's text gets out.
        return json.dumps(line, ensure_ascii=True, default=str)


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id()
        return True


def configure_logging(level: str = "info") -> None:
    """Send all logs of the process to stderr as JSON lines. Call once, before anything is logged.

    Args:
        level: "debug", "info", "warning" or "error".
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(_RequestIdFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    if level != "debug":
        for name in QUIET:
            logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
