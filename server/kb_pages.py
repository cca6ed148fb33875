"""Pages of exported collections at /kb/<collection>/: for people, crawlers and upload forms.

Read only. Behind the server's token, unless the setting `kb_public` opens them to everybody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent_tools.studio import Studio
from kb_export.collection import NAME, Collection
from kb_export.site import (
    CONTENT_SECURITY_POLICY,
    PICTURES_PER_PAGE,
    PICTURES_PER_SITEMAP,
    Site,
    render_index,
    render_markdown,
    render_picture,
    render_sitemap,
    render_sitemap_index,
)
from server.auth import error_response

_FILE = re.compile(r"([0-9a-f]{64})(?:\.delivery)?\.(png|jpg|webp)")
_MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
_HTML = "text/html; charset=utf-8"
_XML = "application/xml; charset=utf-8"
_MARKDOWN = "text/markdown; charset=utf-8"

# A page's bytes, its media type, and the Unix time of its last change if it has one.
_Page = tuple[bytes, str, float | None]


def kb_routes(studio: Studio) -> list[Route]:
    """Return the routes of a studio's collections; what was never exported is not found."""
    settings = studio.settings
    public = settings.kb_public

    def route(path: str, build: Callable[[Collection, Site, Request], _Page | None]) -> Route:
        async def answer(request: Request) -> Response:
            name = request.path_params["collection"]
            if not NAME.fullmatch(name):
                return _not_found()
            base = (settings.public_url or str(request.base_url)).rstrip("/")

            def work() -> _Page | None:
                collection = Collection(settings.kb_pages_root, name)
                return build(collection, Site(base, name), request) if collection.exists else None

            page = await to_thread.run_sync(work)
            return _not_found() if page is None else _respond(request, page, public=public)

        return Route(f"/kb/{{collection}}/{path}", answer, methods=["GET"])

    return [
        route("", _index),
        route("sitemap.xml", _sitemap),
        route("sitemap-{number:int}.xml", _sitemap_part),
        route("pictures/{picture}.md", _markdown),
        route("pictures/{picture}", _picture),
        route("images/{shard}/{file}", _image),
    ]


def _index(collection: Collection, site: Site, request: Request) -> _Page | None:
    asked = request.query_params.get("page", "1")
    pages = max(1, -(-collection.count() // PICTURES_PER_PAGE))
    if not re.fullmatch(r"[1-9][0-9]{0,6}", asked) or int(asked) > pages:
        return None
    page = int(asked)
    entries = collection.page((page - 1) * PICTURES_PER_PAGE, PICTURES_PER_PAGE)
    # No time of change: a picture that was removed changes the page, too. The ETag knows.
    return render_index(entries, site, page=page, pages=pages).encode(), _HTML, None


def _sitemap(collection: Collection, site: Site, request: Request) -> _Page | None:
    parts = -(-collection.count() // PICTURES_PER_SITEMAP)
    if parts > 1:
        return render_sitemap_index(parts, site).encode(), _XML, None
    entries = collection.page(0, PICTURES_PER_SITEMAP)
    return render_sitemap(entries, site, with_index=True).encode(), _XML, None


def _sitemap_part(collection: Collection, site: Site, request: Request) -> _Page | None:
    number = min(request.path_params["number"], 10**6)
    entries = collection.page((number - 1) * PICTURES_PER_SITEMAP, PICTURES_PER_SITEMAP)
    if number < 1 or not entries:
        return None
    return render_sitemap(entries, site, with_index=number == 1).encode(), _XML, None


def _picture(collection: Collection, site: Site, request: Request) -> _Page | None:
    shown = collection.find(request.path_params["picture"])
    return (
        None if shown is None else (render_picture(shown, site).encode(), _HTML, shown.changed_at)
    )


def _markdown(collection: Collection, site: Site, request: Request) -> _Page | None:
    shown = collection.find(request.path_params["picture"])
    return None if shown is None else (render_markdown(shown, site), _MARKDOWN, shown.changed_at)


def _image(collection: Collection, site: Site, request: Request) -> _Page | None:
    found = _FILE.fullmatch(request.path_params["file"])
    if found is None or request.path_params["shard"] != found[1][:2]:
        return None
    shown = collection.find(found[1][:24])
    if shown is None or shown.record.sha256 != found[1]:
        return None
    try:
        data = Path(collection.image_file(f"images/{found[1][:2]}/{found[0]}")).read_bytes()
    except FileNotFoundError:
        return None
    return data, _MEDIA_TYPES[found[2]], None


def _respond(request: Request, page: _Page, *, public: bool) -> Response:
    """Return the page, or 304 to those who have it; nothing in it may run or be framed."""
    data, media_type, changed_at = page
    scope = "public" if public else "private"
    image = media_type.startswith("image/")
    headers = {
        "Content-Security-Policy": "default-src 'none'; sandbox"
        if image
        else CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": f"{scope}, max-age=31536000, immutable"
        if image
        else f"{scope}, max-age=0, must-revalidate",
        "ETag": (etag := f'"{hashlib.sha256(data).hexdigest()[:32]}"'),
    }
    if changed_at is not None:
        headers["Last-Modified"] = formatdate(changed_at, usegmt=True)
    if _has_it(request, etag, changed_at):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=media_type, headers=headers)


def _has_it(request: Request, etag: str, changed_at: float | None) -> bool:
    """Tell whether the caller's copy is current (RFC 9110, sections 13.1.2 and 13.1.3)."""
    known = request.headers.get("if-none-match")
    if known is not None:
        tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
        return etag in tags or "*" in tags
    since = request.headers.get("if-modified-since")
    if since is None or changed_at is None:
        return False
    try:
        return int(changed_at) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def _not_found() -> Response:
    return error_response(404, "not_found", "There is no such page.", "Begin at the start page.")
