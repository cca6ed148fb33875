"""Forms that change something: read within bounds, and only from pages of this server.

Against cross-site request forgery three things must hold: the browser says that the request came
from here (Origin, or Sec-Fetch-Site), the form carries a token that only our pages show, and the
session's cookie is SameSite=Strict.
"""

from __future__ import annotations

import hmac
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from agent_tools.errors import AgentToolsError
from agent_tools.links import ImageLinks
from agent_tools.settings import Settings
from server.bodies import BodyTooLarge, bounded_body
from server.pages.render import Frame
from server.pages.sessions import session_of

MAX_FORM_BYTES = 65_536
TOKEN_FIELD = "form_token"


class ForeignForm(AgentToolsError):
    """Say that a form does not come from a page of this server."""

    code = "foreign_form"


def form_token(request: Request, links: ImageLinks) -> str:
    """Return the token that forms for this session carry."""
    return links.digest("form", session_of(request.headers) or "local")


def frame_of(request: Request, links: ImageLinks, section: str = "") -> Frame:
    """Return what surrounds a page: the place in the navigation, the form token, the way out."""
    return Frame(section, form_token(request, links), bool(session_of(request.headers)))


async def read_form(request: Request, links: ImageLinks, settings: Settings) -> dict[str, str]:
    """Return the fields of a form from one of our own pages; of equal names the last.

    Raises:
        ForeignForm: if it came from elsewhere, or carries no valid token.
        AgentToolsError: if it is too large, or no form.
    """
    check_origin(request, settings)
    fields = dict(parse_qsl((await _body(request)).decode("utf-8", "replace"), max_num_fields=40))
    check_token(request, links, fields.get(TOKEN_FIELD, ""))
    return fields


def check_origin(request: Request, settings: Settings) -> None:
    """Let requests pass that a browser sent from this server's pages, or that no browser sent.

    Raises:
        ForeignForm: otherwise.
    """
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    own = {request.headers.get("host", "").lower()}
    if settings.public_url:
        own.add(urlsplit(settings.public_url).netloc.lower())
    if site not in ("same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc.lower() not in own
    ):
        raise ForeignForm(
            "This form was sent from another site.", hint="Use the gallery's own pages."
        )


def check_token(request: Request, links: ImageLinks, token: str) -> None:
    """Let a request with this session's form token pass.

    Raises:
        ForeignForm: otherwise.
    """
    expected = form_token(request, links)
    if not hmac.compare_digest(expected.encode(), token.encode()):
        raise ForeignForm("This form is out of date.", hint="Reload the page and try again.")


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise AgentToolsError("This is no form.", code="bad_form", hint="Use the page's own form.")
    try:
        return await bounded_body(request, MAX_FORM_BYTES)
    except (BodyTooLarge, TimeoutError):
        raise AgentToolsError(
            "The form is too large or too slow.", code="bad_form", hint="Shorten it."
        ) from None
