"""How pictures with captions reach knowledge bases and are found again. Loads no boto3."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kb_export.errors import KBError
    from kb_export.exporter import Exporter, ExportReport
    from kb_export.outbox import Outbox
    from kb_export.record import KBRecord
    from kb_export.search import SearchIndex
    from kb_export.targets import KBTarget, open_target

_HOMES = {
    "Exporter": "kb_export.exporter",
    "ExportReport": "kb_export.exporter",
    "KBError": "kb_export.errors",
    "KBRecord": "kb_export.record",
    "KBTarget": "kb_export.targets",
    "Outbox": "kb_export.outbox",
    "SearchIndex": "kb_export.search",
    "open_target": "kb_export.targets",
}
__all__ = [
    "ExportReport",
    "Exporter",
    "KBError",
    "KBRecord",
    "KBTarget",
    "Outbox",
    "SearchIndex",
    "open_target",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'kb_export' has no attribute {name!r}")
