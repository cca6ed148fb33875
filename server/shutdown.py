"""Ending a server: close what must be closed, within a bound, and leave."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import NoReturn

from agent_tools.studio import Studio
from server.warm_up import WarmUp

logger = logging.getLogger(__name__)

CLOSE_S = 5.0


async def close_within(studio: Studio, warm_up: WarmUp, seconds: float = CLOSE_S) -> bool:
    """Cancel running work and close the studio; return whether that was done in time.

    A model that is just being loaded cannot be interrupted; the gallery needs no closing to be
    whole, so a late close costs nothing but a clean thread list.
    """
    await warm_up.stop()
    closing = asyncio.ensure_future(studio.close())
    done, _ = await asyncio.wait({closing}, timeout=seconds)
    if not done:
        logger.warning("The engine is still busy; leaving without it")
        return False
    closing.result()
    return True


def leave_now(code: int = 0) -> NoReturn:
    """End the process without waiting for its threads, after the logs are out."""
    logging.shutdown()
    os._exit(code)
