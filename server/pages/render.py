"""Pages from templates, or the same data as JSON, behind headers that let nothing foreign run."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import Response

import agent_tools
from agent_tools.errors import AgentToolsError

FOLDER = Path(__file__).parent
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": browsers then send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
_STATUS = {
    "not_found": 404,
    "invalid_arguments": 400,
    "bad_form": 400,
    "bad_picture": 400,
    "foreign_form": 403,
    "insufficient_scope": 403,
    "refused": 409,
    "busy": 503,
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds every page's own data.

    Attributes:
        section: which entry of the navigation is current.
        form_token: for the page's forms.
        logged_in: whether there is a session to log out of.
    """

    section: str = ""
    form_token: str = ""
    logged_in: bool = False


@functools.cache
def environment() -> jinja2.Environment:
    """Return the templates: everything is escaped, and a missing value is a fault."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["day"] = _day
    found.filters["moment"] = _moment
    found.filters["tool"] = tool_title
    found.globals["version"] = agent_tools.__version__
    return found


def root_of(request: Request) -> str:
    """Return the way from the requested page to the server's root, so that a proxy's prefix holds.

    "./" for /gallery, "../" for /gallery/ask.
    """
    return "../" * (request.scope["path"].count("/") - 1) or "./"


def wants_json(request: Request) -> bool:
    """Return whether the page's JSON twin was asked for."""
    return str(request.scope["path"]).endswith(".json")


def answer(
    request: Request, template: str, view: dict[str, Any], frame: Frame, status: int = 200
) -> Response:
    """Return a page, or its data as JSON.

    Args:
        template: file name without ".html".
        view: JSON-ready data: all of it is the twin, and all the template shows.
        frame: what surrounds it.
        status: of the answer.
    """
    if wants_json(request):
        text = json.dumps(view, ensure_ascii=False, indent=2) + "\n"
        return Response(text, status, HEADERS, media_type="application/json")
    page = environment().get_template(f"{template}.html")
    html = page.render(view, root=root_of(request), twin=_twin(request), frame=frame)
    return Response(html, status, HEADERS, media_type="text/html; charset=utf-8")


def error_answer(request: Request, error: AgentToolsError, frame: Frame) -> Response:
    """Return an error page, or the error as JSON."""
    view = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
    return answer(request, "error", view, frame, _STATUS.get(error.code, 422))


def redirect(request: Request, target: str, headers: dict[str, str] | None = None) -> Response:
    """Send the browser to a page of this server, `target` without a slash at its beginning."""
    location = f"{root_of(request)}{target}"
    return Response(status_code=303, headers={**HEADERS, "Location": location, **(headers or {})})


def _twin(request: Request) -> str:
    """Return the address of the page's JSON twin, relative to the page."""
    path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
    return f"{path.rpartition('/')[2]}.json{'?' if query else ''}{query}"


def tool_title(name: str) -> str:
    """Return a tool's name for people: "create_product_variants" is "Product variants"."""
    words = name.removeprefix("create_").replace("_", " ")
    return words[:1].upper() + words[1:]


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%b %-d, %Y")


def _moment(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%b %-d, %Y, %H:%M UTC")
