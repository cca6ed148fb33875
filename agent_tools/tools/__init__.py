"""The tools, one per file; this list is what every door serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent_tools.errors import BadSettings
from agent_tools.tools.base import Tool

CORE: Final = (
    "generate_image",
    "edit_image",
    "create_product_variants",
    "create_persona_avatar",
    "draw_diagram",
    "get_image",
    "find_images",
    "export_to_kb",
    "search_kb",
)


def chosen_names(asked: Sequence[str], tools: Sequence[Tool]) -> frozenset[str]:
    """Return the names of the tools that a server offers.

    Args:
        asked: names, and "core" for `CORE`; empty means all.
        tools: all there are. Those about jobs come along: any call may take long.

    Raises:
        BadSettings: if a name is unknown.
    """
    known = {tool.name for tool in tools}
    names = {name for word in asked for name in (CORE if word == "core" else (word,))}
    if unknown := sorted(names - known):
        raise BadSettings(
            f"Setting 'tools' names no tool: {', '.join(unknown)}.",
            hint=f"Tools: core, {', '.join(sorted(known))}.",
            data={"setting": "tools"},
        )
    return frozenset(names or known) | {tool.name for tool in tools if tool.about_jobs}


def all_tools() -> tuple[Tool, ...]:
    """Return one instance of each tool, in the order that doors list them."""
    from agent_tools.tools.cancel_job import CancelJob
    from agent_tools.tools.create_avatar_pack import CreateAvatarPack
    from agent_tools.tools.create_persona_avatar import CreatePersonaAvatar
    from agent_tools.tools.create_product_variants import CreateProductVariants
    from agent_tools.tools.draw_diagram import DrawDiagram
    from agent_tools.tools.edit_diagram import EditDiagram
    from agent_tools.tools.edit_image import EditImage
    from agent_tools.tools.export_to_kb import ExportToKb
    from agent_tools.tools.find_images import FindImages
    from agent_tools.tools.generate_image import GenerateImage
    from agent_tools.tools.get_image import GetImage
    from agent_tools.tools.get_job import GetJob
    from agent_tools.tools.list_personas import ListPersonas
    from agent_tools.tools.search_kb import SearchKb
    from agent_tools.tools.upscale_image import UpscaleImage

    return (
        GenerateImage(),
        EditImage(),
        UpscaleImage(),
        CreateProductVariants(),
        CreatePersonaAvatar(),
        CreateAvatarPack(),
        ListPersonas(),
        DrawDiagram(),
        EditDiagram(),
        GetImage(),
        FindImages(),
        ExportToKb(),
        SearchKb(),
        GetJob(),
        CancelJob(),
    )
