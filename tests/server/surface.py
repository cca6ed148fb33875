"""Everything a client can list: what the golden snapshot guards.

After a change that was meant: `python tests/server/surface.py` writes the snapshot anew; the diff
of tests/data/mcp_surface.json belongs into the same commit.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

SNAPSHOT = Path(__file__).parents[1] / "data" / "mcp_surface.json"


async def surface(mode: str) -> dict[str, Any]:
    """Return names, descriptions, schemas and annotations of a server with default settings."""
    from mcp import Client

    from agent_tools.settings import Settings
    from agent_tools.studio import Studio
    from server.mcp import build_server

    with tempfile.TemporaryDirectory() as folder:
        studio = Studio.open(Settings(data=Path(folder)))
        async with Client(build_server(studio), mode=mode) as client:
            listed = {
                "instructions": client.instructions,
                "tools": (await client.list_tools()).tools,
                "prompts": (await client.list_prompts()).prompts,
                "resource_templates": (await client.list_resource_templates()).resource_templates,
            }
        await studio.close()
    return {
        name: value
        if isinstance(value, str)
        else [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in value]
        for name, value in listed.items()
    }


def as_text(found: dict[str, Any]) -> str:
    """Return the snapshot's text."""
    return json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(as_text(asyncio.run(surface("auto"))), encoding="utf-8")
    print(f"Wrote {SNAPSHOT}")
