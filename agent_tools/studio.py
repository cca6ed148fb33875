"""The studio: engine, gallery, personas and knowledge base in one object.

Every door builds one `Studio` and calls tools through `Studio.call`; nothing else is needed to
serve them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agent_tools.activity import Activity
from agent_tools.budget import Budget
from agent_tools.call_counts import CallCounts
from agent_tools.callers import require_scope
from agent_tools.errors import (
    AgentToolsError,
    BadSettings,
    InvalidArguments,
    NotFound,
    as_agent_tools_error,
)
from agent_tools.links import ImageLinks
from agent_tools.policy import check_arguments, enforcing, open_policy
from agent_tools.repeats import Repeats
from agent_tools.results import ToolImage, ToolResult, tool_image
from agent_tools.tools.base import Progress, Tool, no_progress

if TYPE_CHECKING:
    from sqlite3 import Connection

    from agent_tools.checker import Checker
    from agent_tools.content_credentials import Seal
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord, NewImage
    from agent_tools.knowledge import Knowledge
    from agent_tools.personas import PersonaStore
    from agent_tools.segmenters import Segmenter
    from agent_tools.settings import Settings
    from engine.engine import Engine, LocalEngine

_SHOWN_PROBLEMS = 10
_begun: ContextVar[float | None] = ContextVar("agent_tools_call_begun", default=None)


class Studio:
    """Hold what the tools work with, and call them: the plain Python door.

    >>> import asyncio
    >>> from agent_tools import Settings, Studio
    >>> async def draw() -> None:
    ...     studio = Studio.open(Settings(data=folder))
    ...     result = await studio.call("draw_diagram", {"source": "flowchart LR; a[Cart]-->b[Pay]"})
    ...     picture = result.images[0]
    ...     print(picture.info.caption)
    ...     print(picture.path.suffix, studio.gallery.get(picture.info.image_id).kind)
    ...     await studio.close()
    >>> asyncio.run(draw())
    Flowchart: Cart, Pay.
    .png diagram

    What goes wrong is an `AgentToolsError` with a stable code and the next step:

    >>> from agent_tools.errors import AgentToolsError
    >>> async def refuse() -> None:
    ...     studio = Studio.open(Settings(data=folder))
    ...     try:
    ...         await studio.call("generate_image", {"prompt": "portrait of Taylor Swift"})
    ...     except AgentToolsError as error:
    ...         print(error.code, error.data)
    ...         print(error.hint)
    ...     await studio.close()
    >>> asyncio.run(refuse())
    refused {'rule': 'real-person'}
    Describe a fictional person instead: age, hair, clothing, mood.

    Attributes:
        settings: the frozen settings.
        engine: paints pictures; loads its model on first use or by `warm_up`.
        gallery: keeps pictures with their recipes.
        personas: keeps personas by id.
        knowledge: exports to knowledge bases and searches the local index.
        policy: the rules of what is never painted.
        jobs: calls that go on after they were answered.
        idempotency: what calls with a key of the caller's gave.
        activity: the calls that run now.
        links: web addresses of pictures.
        finder: searches the whole gallery.
        calls: how many calls there were, and how they ended.
        budget: what painting costs each caller.
        tools: every tool by name.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        gallery: Gallery,
        personas: PersonaStore,
        knowledge: Knowledge,
    ) -> None:
        from agent_tools.finding import Finder
        from agent_tools.idempotency import Idempotency
        from agent_tools.jobs import Jobs
        from agent_tools.process_mark import ProcessMark
        from agent_tools.tools import all_tools, chosen_names

        self.settings = settings
        self.engine = engine
        self.gallery = gallery
        self.personas = personas
        self.knowledge = knowledge
        self.policy = open_policy(settings.policy)
        self.finder = Finder(gallery, knowledge.encoder)
        self.repeats = Repeats(gallery)
        self._mark = ProcessMark(gallery.data_dir / "processes")
        self.jobs = Jobs(gallery, self._mark)
        self.idempotency = Idempotency(gallery, self._mark)
        self.activity = Activity()
        self.links = ImageLinks(gallery, settings.public_url, signed=settings.signed_links)
        self._segmenter: Segmenter | None = None
        self.checker = _checker(settings)
        self.calls = CallCounts()
        self.budget = Budget(settings.budget_s_per_hour)
        self.tools: dict[str, Tool] = {tool.name: tool for tool in all_tools()}
        kept_back = self.tools.keys() - chosen_names(settings.tools, all_tools())
        self._kept_back = frozenset(kept_back)

    @classmethod
    def open(cls, settings: Settings) -> Studio:
        """Open the data directory and prepare, without loading, the engine."""
        from agent_tools.gallery import Gallery
        from agent_tools.knowledge import Knowledge
        from agent_tools.personas import PersonaStore

        gallery = Gallery(settings.data, shared=settings.shared_gallery)
        if settings.c2pa_certificate is not None or settings.c2pa_key is not None:
            gallery.seal = _open_seal(gallery, settings)
        engine = open_engine(settings)
        return cls(settings, engine, gallery, PersonaStore(gallery), Knowledge(gallery, settings))

    @property
    def offered(self) -> dict[str, Tool]:
        """The tools that agents are offered: all, but for those that the settings leave out."""
        return {name: tool for name, tool in self.tools.items() if name not in self._kept_back}

    @property
    def segmenter(self) -> Segmenter | None:
        """The segmentation model of the settings, not loaded yet; None if none is set.

        Raises:
            AgentToolsError: if there is no such model, or its license was not accepted.
        """
        settings = self.settings
        if self._segmenter is None and settings.segmenter is not None:
            from agent_tools.segmenters import open_segmenter

            self._segmenter = open_segmenter(
                settings.segmenter,
                device=settings.device,
                accept_license=settings.accept_license,
            )
        return self._segmenter

    async def warm_up(self) -> None:
        """Load the engine's model, and the checker's, so that the first call does not wait."""
        if self.checker is not None:
            await asyncio.to_thread(self.checker.load)
        await self.engine.load()

    async def call(
        self, name: str, arguments: Mapping[str, Any], progress: Progress = no_progress
    ) -> ToolResult:
        """Check `arguments`, run the tool and return its result.

        The same call with the same seed returns the stored pictures, unless it says `fresh`.

        Raises:
            AgentToolsError: a missing scope, bad arguments, an unknown id, a full queue, a spent
                budget, a refusal; cancellation passes through as asyncio.CancelledError.
        """
        started = time.monotonic()
        token = _begun.set(started)
        outcome = "ok"
        try:
            with enforcing(self.policy, name):
                return await self._call(name, arguments, progress)
        except AgentToolsError as error:
            outcome = error.code
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except BaseException:
            outcome = "internal"
            raise
        finally:
            _begun.reset(token)
            known = name if name in self.tools else "(unknown)"
            self.calls.add(known, outcome, time.monotonic() - started)

    async def _call(
        self, name: str, arguments: Mapping[str, Any], progress: Progress
    ) -> ToolResult:
        tool = self.tools.get(name)
        if tool is None:
            raise unknown_tool(name, self.tools)
        if not tool.about_jobs:  # a job is its caller's own, whose call was allowed
            require_scope(tool.scope)
        try:
            checked = tool.Arguments.model_validate(dict(arguments))
        except ValidationError as error:
            raise explain_arguments(tool, error) from None
        if tool.scope == "generate":
            check_arguments(checked)
        try:
            key = None
            if self.repeats.may_know(checked):  # no thread for calls that read
                key = await asyncio.to_thread(self.repeats.key, self, tool, checked)
            if key is not None and not getattr(checked, "fresh", False):
                found = await asyncio.to_thread(self.repeats.find, self, tool, key)
                if found is not None:
                    return found
            if tool.read_only:
                return await tool.run(self, checked, progress)
            result = await self.activity.run(
                name, arguments, progress, lambda report: tool.run(self, checked, report)
            )
            if key is not None:
                await asyncio.to_thread(self.repeats.remember, key, result)
            return result
        except AgentToolsError:
            raise
        except Exception as error:
            ours = as_agent_tools_error(error)
            if ours is None:
                raise
            raise ours from error

    def keep(
        self, images: list[NewImage], check: Callable[[], None] | None = None
    ) -> list[ImageRecord]:
        """Store pictures; with `auto_export` what they owe the knowledge base commits with them.

        Args:
            images: all of them are stored, or none.
            check: called inside the transaction; if it raises, nothing is stored.

        Raises:
            NotFound: if a picture that one was made from was deleted meanwhile, with all that was
                made from it.
        """
        begun = _begun.get()
        if begun is not None:
            images = [_timed(image, time.monotonic() - begun) for image in images]

        def in_transaction(connection: Connection, records: list[ImageRecord]) -> None:
            if check is not None:
                check()
            _check_parents(connection, records)
            if self.settings.auto_export:
                # A candidate's turn comes when it is chosen as its persona's face.
                results = [one for one in records if "candidate" not in one.metadata]
                self.knowledge.enqueue(connection, results)

        return self.gallery.add(images, in_transaction)

    def show(self, record: ImageRecord) -> ToolImage:
        """Return a record as a picture to show."""
        return tool_image(record, self.gallery, self.links)

    async def close(self) -> None:
        """Stop running jobs and the engine and close the files."""
        await self.jobs.close()
        await self.engine.close()
        self._mark.close()
        self.knowledge.close()
        self.gallery.close()


def unknown_tool(name: str, offered: Mapping[str, Tool]) -> NotFound:
    """Return the error for a tool that is not there, naming those that are."""
    return NotFound(
        f"There is no tool '{name[:80]}'.", hint=f"Tools: {', '.join(sorted(offered))}."
    )


def _checker(settings: Settings) -> Checker | None:
    if settings.checker is None:
        return None
    from agent_tools.checker import Checker

    return Checker(
        settings.checker,
        settings.checker_refuses,
        settings.checker_threshold,
        settings.device,
    )


def _open_seal(gallery: Gallery, settings: Settings) -> Seal:
    from agent_tools.content_credentials import Seal

    if settings.c2pa_certificate is None or settings.c2pa_key is None:
        raise BadSettings(
            "c2pa_certificate and c2pa_key go together.",
            hint="Make a pair with: agent-tools certificate create FOLDER.",
            data={"setting": "c2pa_key"},
        )
    return Seal(gallery, settings.c2pa_certificate, settings.c2pa_key)


def open_engine(settings: Settings) -> Engine:
    """Return the engine that the settings name; it loads and connects to nothing yet."""
    if settings.engine is not None:
        from engine.remote import RemoteEngine

        key = settings.engine_api_key
        return RemoteEngine(
            settings.engine,
            None if key is None else key.get_secret_value(),
            model=settings.engine_model,
            extras=settings.engine_extras,
        )
    if not settings.models:
        return _local_engine(settings, settings.model, None)
    from engine.pool import ModelPool

    return ModelPool(
        (settings.model, *settings.models),
        int(settings.memory_gb * 1e9),
        lambda model, turn: _local_engine(settings, model, turn),
    )


def _local_engine(settings: Settings, model: str, turn: threading.Lock | None) -> LocalEngine:
    from agent_tools.settings import cost_file
    from engine.engine import LocalEngine
    from engine.options import ModelOptions

    return LocalEngine(
        model,
        max_queue_s=settings.max_queue_s,
        device=settings.device,
        threads=settings.threads,
        accept_license=settings.accept_license,
        cost_file=cost_file(),
        # They belong to the default model.
        controlnet=settings.controlnet if model == settings.model else None,
        upscaler=settings.upscaler if model == settings.model else None,
        options=ModelOptions(
            precision=settings.precision,
            quantization=settings.quantization,
            offload=settings.offload,
            attention=settings.attention,
            compile=settings.compile,
            backend=settings.backend,
        ),
        turn=turn,
    )


def _check_parents(connection: Connection, records: list[ImageRecord]) -> None:
    for record in records:
        found = connection.execute(
            "SELECT 1 FROM images WHERE image_id = ?", (record.parent_id,)
        ).fetchone()
        if record.parent_id is not None and found is None:
            raise NotFound(
                f"{record.parent_id} was deleted while a picture was made from it.",
                hint="Nothing was kept. Start from another picture.",
            )


def _timed(image: NewImage, seconds: float) -> NewImage:
    """Say in the recipe of a picture that no engine timed how long the call took until it."""
    if "timings_s" in image.recipe:
        return image
    return replace(image, recipe={**image.recipe, "timings_s": {"total": round(seconds, 3)}})


def explain_arguments(tool: Tool, error: ValidationError) -> InvalidArguments:
    """Turn pydantic's report into one sentence per wrong argument."""
    problems = []
    items = error.errors(include_url=False)
    # A hostile caller can send thousands of long names; the answer stays short and valid UTF-8.
    for item in items[:_SHOWN_PROBLEMS]:
        where = ".".join(str(part) for part in item["loc"])[:80] or "arguments"
        where = where.encode("utf-8", "replace").decode()
        if item["type"] == "extra_forbidden":
            problems.append(f"'{where}' is not an argument of {tool.name}")
        elif item["type"] == "missing":
            problems.append(f"'{where}' is missing")
        else:
            problems.append(f"'{where}': {item['msg']} (got {str(item['input'])[:80]!r})")
    if len(items) > _SHOWN_PROBLEMS:
        problems.append(f"and {len(items) - _SHOWN_PROBLEMS} more")
    allowed = ", ".join(tool.Arguments.model_fields)
    return InvalidArguments(
        "; ".join(problems) + ".",
        hint=f"{tool.name} takes: {allowed}.",
        data={"problems": problems},
    )
