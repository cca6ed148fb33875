"""The routes of the gallery's pages."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any
from urllib.parse import urlencode

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from agent_tools.browse import ANY_KIND, Filter, browse, choices, neighbors, relatives
from agent_tools.differences import heat_map, mask_picture
from agent_tools.errors import InvalidArguments, NotFound, as_agent_tools_error
from agent_tools.studio import Studio
from kb_export.errors import BadRecord
from server.pages.actions import Actions
from server.pages.forms import frame_of
from server.pages.jobs import Jobs
from server.pages.login import Login
from server.pages.reading import Reading
from server.pages.render import FOLDER, HEADERS, answer, error_answer, redirect
from server.pages.runs import Runs
from server.pages.sessions import Sessions
from server.pages.views import (
    comparison_view,
    detail_view,
    existing,
    hit_view,
    picture_view,
    run_view,
)

PICTURES_PER_PAGE = 48
MOST_COMPARED = 4
_HITS_SHOWN = 8
_MAX_PAGE = 100_000

Handler = Callable[[Request], Awaitable[Response]]


class GalleryPages:
    """The pages of one studio.

    Attributes:
        sessions: who is logged in; the middleware `BrowserSession` needs them.
    """

    def __init__(self, studio: Studio, admits: Callable[[str], Awaitable[bool]]) -> None:
        """Prepare the pages.

        Args:
            studio: whose gallery is shown.
            admits: tells whether a token may come in; with an empty one, whether none is needed.
        """
        self._studio = studio
        self.sessions = Sessions()
        self._runs = Runs()
        self._jobs = Jobs(studio)
        self._actions = Actions(studio, self._runs)
        self._reading = Reading(studio)
        self._login = Login(self.sessions, admits, studio.settings)

    def routes(self) -> list[BaseRoute]:
        """Return the routes, in the order in which they must be tried."""
        picture = "/gallery/{image_id}"
        return [
            Route("/", self._start, methods=["GET"]),
            Mount("/gallery/static", _Static(directory=FOLDER / "static")),
            Route("/gallery/login", self._login.answer, methods=["GET", "POST"]),
            Route("/gallery/logout", self._login.leave, methods=["POST"]),
            *self._page("/gallery", self._grid),
            *self._page("/gallery/ask", self._ask),
            *self._page("/gallery/compare", self._compare),
            *self._page("/gallery/read", self._reading.answer, "GET", "POST"),
            *self._page("/gallery/jobs", self._jobs.page),
            Route("/gallery/jobs/events", self._shown(self._jobs.events)),
            Route("/gallery/jobs/{call_id}/preview", self._shown(self._jobs.preview)),
            Route(
                "/gallery/jobs/{call_id}/cancel", self._shown(self._jobs.cancel), methods=["POST"]
            ),
            Route("/gallery/difference/{first}/{second}", self._shown(self._difference)),
            Route(f"{picture}/mask", self._shown(self._mask)),
            Route(f"{picture}/{{action}}", self._shown(self._actions.answer), methods=["POST"]),
            *self._page(picture, self._picture),
        ]

    def end_streams(self) -> None:
        """End the streams of open pages, which nothing else ends."""
        self._jobs.close()

    async def close(self) -> None:
        """End what pages started, and their streams."""
        self.end_streams()
        await self._runs.close()

    def _page(self, path: str, handler: Handler, *methods: str) -> list[Route]:
        """Return the routes of a page and of its JSON twin."""
        shown, allowed = self._shown(handler), list(methods) or ["GET"]
        return [Route(f"{path}.json", shown, methods=allowed), Route(path, shown, methods=allowed)]

    def _shown(self, handler: Handler) -> Handler:
        """Return the handler with errors that can be told shown as a page."""

        async def shown(request: Request) -> Response:
            try:
                return await handler(request)
            except Exception as error:
                told = as_agent_tools_error(error)
                if told is None:
                    raise
                return error_answer(request, told, frame_of(request, self._studio.links))

        return shown

    def _answer(
        self, request: Request, template: str, view: dict[str, Any], section: str = "gallery"
    ) -> Response:
        return answer(request, template, view, frame_of(request, self._studio.links, section))

    async def _start(self, request: Request) -> Response:
        return redirect(request, "gallery")

    async def _grid(self, request: Request) -> Response:
        asked = request.query_params
        wanted = _filter(asked)
        page = _page_number(asked.get("page", "1"))

        def work() -> dict[str, Any]:
            found = browse(
                self._studio.gallery,
                wanted,
                limit=PICTURES_PER_PAGE,
                offset=(page - 1) * PICTURES_PER_PAGE,
            )
            there = choices(self._studio.gallery)
            shown = [picture_view(self._studio, record) for record in found.records]
            return {
                "pictures": shown,
                "total": found.total,
                "page": page,
                "pages": max(1, -(-found.total // PICTURES_PER_PAGE)),
                "filter": {name: asked.get(name, "") for name in _FILTERS},
                "choices": {
                    "tool": list(there.tools),
                    "kind": [*there.kinds, ANY_KIND],
                    "model": list(there.models),
                    "product": list(there.products),
                    "persona": [{"id": key, "name": name} for key, name in there.personas],
                },
            }

        view = await to_thread.run_sync(work)
        if page > view["pages"]:
            raise NotFound("There is no such page.", hint="Go back to the first one.")
        kept = {name: value for name, value in view["filter"].items() if value}
        return self._answer(request, "gallery", view | {"query": urlencode(kept)})

    async def _picture(self, request: Request) -> Response:
        image_id = request.path_params["image_id"]
        run_id = request.query_params.get("run")
        run = None if run_id is None else run_view(self._runs.get(run_id))
        base = str(request.base_url).rstrip("/")

        def work() -> dict[str, Any]:
            studio = self._studio
            record = studio.gallery.get(image_id)
            newer, older = neighbors(studio.gallery, record)
            others = relatives(studio.gallery, record)
            made = [] if run is None else existing(studio, run["made"])
            return detail_view(studio, record, base) | {
                "newer": newer,
                "older": older,
                "relatives": [picture_view(studio, other) for other in others],
                "verified": self._verified(image_id),
                "in_knowledge_bases": self._kinds_of_kb(image_id),
                "run": run,
                "run_made": [picture_view(studio, other) for other in made],
            }

        return self._answer(request, "picture", await to_thread.run_sync(work))

    def _verified(self, image_id: str) -> bool:
        try:
            return self._studio.knowledge.is_approved(image_id)
        except BadRecord:
            return False

    def _kinds_of_kb(self, image_id: str) -> list[str]:
        """Return the kinds of knowledge bases that have a picture; their addresses stay here."""
        names = self._studio.knowledge.holders(image_id)
        return sorted({name.partition(":")[0] for name in names})

    async def _compare(self, request: Request) -> Response:
        ids = list(dict.fromkeys(request.query_params.getlist("id")))
        if not 2 <= len(ids) <= MOST_COMPARED:
            raise InvalidArguments(
                f"Two to {MOST_COMPARED} pictures can be compared; {len(ids)} were chosen.",
                hint="Tick them in the gallery, then press Compare.",
            )

        def work() -> dict[str, Any]:
            records = [self._studio.gallery.get(image_id) for image_id in ids]
            # What the others were made from is what they are measured against.
            parents = {record.parent_id for record in records}
            records.sort(key=lambda record: record.image_id not in parents)
            return comparison_view(self._studio, records)

        return self._answer(request, "compare", await to_thread.run_sync(work))

    async def _ask(self, request: Request) -> Response:
        question = request.query_params.get("q", "").strip()[:500]

        def work() -> dict[str, Any]:
            knowledge = self._studio.knowledge
            status, threshold = knowledge.status(), knowledge.threshold
            hits = knowledge.search(question, _HITS_SHOWN, 0.0) if question else ()
            shown = [hit_view(self._studio, hit, threshold) for hit in hits]
            return {
                "question": question,
                "threshold": threshold,
                "method": status.method,
                "indexed": status.indexed,
                "silent": not any(hit["shown"] for hit in shown),
                "hits": shown,
            }

        return self._answer(request, "ask", await to_thread.run_sync(work), "ask")

    async def _difference(self, request: Request) -> Response:
        def work() -> bytes:
            gallery = self._studio.gallery
            names = (request.path_params["first"], request.path_params["second"])
            return heat_map(gallery, *(gallery.get(name) for name in names))

        return _webp(await to_thread.run_sync(work))

    async def _mask(self, request: Request) -> Response:
        def work() -> bytes:
            gallery = self._studio.gallery
            return mask_picture(gallery, gallery.get(request.path_params["image_id"]))

        return _webp(await to_thread.run_sync(work))


class _Static(StaticFiles):
    """Our own script and style sheet."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "private, max-age=0, must-revalidate"
        return response


_FILTERS = ("q", "tool", "kind", "product", "persona", "model", "group", "since", "until")


def _filter(asked: Any) -> Filter:
    return Filter(
        words=asked.get("q", "")[:300],
        tool=asked.get("tool", ""),
        kind=asked.get("kind", ""),
        product=asked.get("product", ""),
        persona=asked.get("persona", ""),
        model=asked.get("model", ""),
        group=asked.get("group", ""),
        since=_date(asked.get("since", ""), "since"),
        until=_date(asked.get("until", ""), "until"),
    )


def _date(text: str, name: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidArguments(
            f"'{name}' is no date: {text[:40]!r}.", hint="Write it as 2026-11-24."
        ) from None


def _page_number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text) or int(text) > _MAX_PAGE:
        raise NotFound("There is no such page.", hint="Go back to the first one.")
    return int(text)


def _webp(data: bytes) -> Response:
    headers = {**HEADERS, "Cache-Control": "private, max-age=86400"}
    return Response(data, headers=headers, media_type="image/webp")
