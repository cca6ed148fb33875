"""What can be done with a picture from its page: replay, remix, edit its words, export it."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from agent_tools.errors import NotFound
from agent_tools.gallery import REWRITTEN
from agent_tools.remix import can_replay, recipe_call, remix
from agent_tools.replay import replay
from agent_tools.studio import Studio
from server.pages.forms import read_form
from server.pages.render import redirect
from server.pages.runs import Outcome, Runs


class Actions:
    """The forms of a picture's page."""

    def __init__(self, studio: Studio, runs: Runs) -> None:
        self._studio = studio
        self._runs = runs

    async def answer(self, request: Request) -> Response:
        """Do one thing with one picture, then show the picture again.

        Raises:
            NotFound: for an unknown picture or action.
            ForeignForm: if the form is not from our own page.
        """
        form = await read_form(request, self._studio.links, self._studio.settings)
        record = self._studio.gallery.get(request.path_params["image_id"])
        image_id = record.image_id
        action = request.path_params["action"]
        if action == "words":
            await self._rewrite(image_id, form)
            return redirect(request, f"gallery/{image_id}#words")
        if action == "replay":
            recipe_call(record)
            if not can_replay(self._studio, record):
                raise NotFound("This server has no such tool any more.", hint="Remix another one.")
            run = self._runs.start("replay", image_id, lambda: self._replay(image_id))
        elif action == "remix":
            recipe_call(record)
            words = form.get("words", "")
            run = self._runs.start("remix", image_id, lambda: self._remix(image_id, words))
        elif action == "export":
            run = self._runs.start("export", image_id, lambda: self._export(image_id))
        else:
            raise NotFound("Nothing like that can be done.", hint="Use the page's own buttons.")
        return redirect(request, f"gallery/{image_id}?run={run.run_id}#run")

    async def _rewrite(self, image_id: str, form: dict[str, str]) -> None:
        words = {name: form[name] for name in REWRITTEN if name in form}

        def work() -> None:
            self._studio.gallery.rewrite(image_id, **words)
            self._studio.knowledge.approve([image_id])

        await to_thread.run_sync(work)

    async def _replay(self, image_id: str) -> Outcome:
        found = await replay(self._studio, image_id)
        if found.same_bytes:
            said = "The recipe gave exactly the same file again, byte for byte."
        elif found.same_pixels:
            said = "The recipe gave the same pixels, but not the same file."
        elif found.max_change is not None:
            said = f"Not the same: values differ by up to {found.max_change} of 255."
        else:
            said = "Not the same: the size differs."
        made = () if found.same_bytes else (found.made.image_id,)
        return Outcome(said, found.same_bytes, found.reasons, made)

    async def _remix(self, image_id: str, words: str) -> Outcome:
        # Words as they were are no change; a browser sends line ends its own way.
        old = self._studio.gallery.get(image_id).recipe.get("arguments", {})
        same = any(" ".join(words.split()) == " ".join(str(v).split()) for v in old.values())
        result = await remix(self._studio, image_id, "" if same else words)
        made = tuple(image.info.image_id for image in result.images)
        return Outcome("A new picture with another seed.", made=made)

    async def _export(self, image_id: str) -> Outcome:
        result = await self._studio.call("export_to_kb", {"image_ids": [image_id]})
        data: dict[str, Any] = result.data.model_dump()
        doubts = tuple(item["reason"] for item in (*data["failed"], *data["doubtful"]))
        if data["failed"]:
            return Outcome("The knowledge base did not take it.", reasons=doubts)
        if data["exported_count"]:
            return Outcome("Exported to the knowledge base.", reasons=doubts)
        return Outcome("The knowledge base had it already, unchanged.", reasons=doubts)
