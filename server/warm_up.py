"""Loading the model behind a server that already answers."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from agent_tools.errors import as_agent_tools_error
from agent_tools.studio import Studio

logger = logging.getLogger(__name__)

State = Literal["waiting", "loading", "ready", "failed", "stopping"]


class WarmUp:
    """Load the studio's model once in a background task and remember how that went.

    Attributes:
        state: "waiting" before `start`, then "loading", then "ready" or "failed".
        error_code: the stable word of the error that stopped the loading.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._task: asyncio.Task[None] | None = None
        self.state: State = "waiting"
        self.error_code: str | None = None

    def start(self, delay_s: float = 0.0) -> None:
        """Begin in the running event loop, unless begun before.

        Args:
            delay_s: time for an answer to leave first. Importing the libraries holds Python's
                lock for long moments in which this process cannot answer.
        """
        if self._task is None and self.state == "waiting":
            self.state = "loading"
            self._task = asyncio.get_running_loop().create_task(self._run(delay_s))

    async def stop(self) -> None:
        """Say "stopping" from now on and give up loading."""
        self.state = "stopping"
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        try:
            await self._studio.warm_up()
        except Exception as error:
            known = as_agent_tools_error(error)
            self.error_code = known.code if known else "internal"
            self.state = "failed"
            # The server stays up: drawing, searching and reading need no model.
            logger.error("The model was not loaded: %s", error, exc_info=None if known else error)
        else:
            self.state = "ready"
            logger.info(
                "The model is loaded", extra={"fields": {"model": self._studio.engine.model}}
            )
