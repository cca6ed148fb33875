"""Picture tools for LLM agents: the studio, the toolkit, and the guard of the house's names."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_tools.langchain import ImageToolkit
    from agent_tools.settings import Settings, load_settings
    from agent_tools.studio import Studio

__version__ = "0.1.0"
__all__ = ["ImageToolkit", "Settings", "Studio", "load_settings"]

_HOMES = {
    "ImageToolkit": "agent_tools.langchain",
    "Settings": "agent_tools.settings",
    "Studio": "agent_tools.studio",
    "load_settings": "agent_tools.settings",
}


def _check_siblings() -> None:
    """Raise if `engine` or `kb_export` would be somebody else's package of that name."""
    home = Path(__file__).resolve().parent.parent
    for name in ("engine", "kb_export"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parent.parent != home:
            raise ImportError(
                f"agent-tools needs its own package '{name}', but Python finds "
                f"{origin or 'nothing'} first. Give agent-tools its own environment "
                "(pipx, a container) and reach it over MCP or HTTP, or run from another folder."
            )


def __getattr__(name: str) -> Any:
    """Load a public name on first use; importing the package loads nothing heavy."""
    if name in _HOMES:
        module = importlib.import_module(_HOMES[name])
        return getattr(module, name)
    raise AttributeError(f"module 'agent_tools' has no attribute {name!r}")


_check_siblings()
