"""Which optional keys a remote server takes: learned from its refusals. Loads nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal

from engine.remote_failures import KeysRefused
from engine.remote_wire import EXTRA_KEYS

logger = logging.getLogger(__name__)
Extras = Literal["auto", "on", "off"]

_LEFT_OUT = {
    "seed": "The remote server takes no seed: asking again gives other pictures.",
    "negative_prompt": "The remote server takes no negative prompt; it was left out.",
    "num_inference_steps": "The remote server chooses the number of steps.",
    "guidance_scale": "The remote server chooses the guidance scale.",
    "strength": "The remote server takes no strength; it was left out.",
}


class RemoteKeys:
    """What to send to one server.

    A server that refuses a key has painted nothing, so the call is sent again without it, and
    later calls leave it out from the start.
    """

    def __init__(self, extras: Extras) -> None:
        """Start with everything, or with `extras="off"` without the keys that are not OpenAI's."""
        self._insist = frozenset(EXTRA_KEYS if extras == "on" else ())
        self._refused = frozenset(EXTRA_KEYS if extras == "off" else ())

    def takes(self, key: str) -> bool:
        """Whether a key may be sent, as far as is known."""
        return key not in self._refused

    def refuse(self, refusal: KeysRefused) -> None:
        """Leave keys out from now on.

        Raises:
            EngineError: the server's own, if they must be sent.
        """
        if refusal.keys & self._insist:
            raise refusal.error
        if not refusal.keys <= self._refused:
            logger.info("the remote server takes no %s", ", ".join(sorted(refusal.keys)))
        self._refused |= refusal.keys


def left_out_warnings(keys: Iterable[str]) -> tuple[str, ...]:
    """Return what to tell the caller about keys that were wanted and not sent."""
    return tuple(_LEFT_OUT[key] for key in keys if key in _LEFT_OUT)
