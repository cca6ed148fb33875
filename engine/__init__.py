"""How pixels are made: requests in, events and pictures out. Importing it loads no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.engine import Engine, LocalEngine
    from engine.errors import Busy, EngineError
    from engine.options import ModelOptions
    from engine.pool import ModelPool
    from engine.remote import RemoteEngine
    from engine.request import (
        Done,
        ImageEvent,
        ImageRequest,
        ImageResult,
        Margins,
        Queued,
        SamplingParams,
        StepEvent,
    )

_HOMES = {
    "Busy": "engine.errors",
    "Done": "engine.request",
    "Engine": "engine.engine",
    "EngineError": "engine.errors",
    "ImageEvent": "engine.request",
    "ImageRequest": "engine.request",
    "ImageResult": "engine.request",
    "LocalEngine": "engine.engine",
    "Margins": "engine.request",
    "ModelOptions": "engine.options",
    "ModelPool": "engine.pool",
    "Queued": "engine.request",
    "RemoteEngine": "engine.remote",
    "SamplingParams": "engine.request",
    "StepEvent": "engine.request",
}
__all__ = [
    "Busy",
    "Done",
    "Engine",
    "EngineError",
    "ImageEvent",
    "ImageRequest",
    "ImageResult",
    "LocalEngine",
    "Margins",
    "ModelOptions",
    "ModelPool",
    "Queued",
    "RemoteEngine",
    "SamplingParams",
    "StepEvent",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
