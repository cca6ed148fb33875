"""create_avatar_pack: a persona's avatar in every size that platforms ask for, checked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from agent_tools.errors import InvalidArguments, NotFound
from agent_tools.pack_check import PackCheck
from agent_tools.painting import Input, keep_and_show, marked_image, picture_lines, warning_lines
from agent_tools.results import ImageInfo, ToolImage, ToolResult
from agent_tools.tools.base import Arguments, Progress, ProgressEvent, Tool
from agent_tools.wording import Wording

if TYPE_CHECKING:
    from agent_tools.image_record import NewImage
    from agent_tools.persona_outline import Source
    from agent_tools.persona_packs import Pack
    from agent_tools.personas import Persona
    from agent_tools.studio import Studio

_PREVIEW_SIDE = 512


class CreateAvatarPackArguments(Arguments):
    """Whose avatar."""

    persona_id: str = Field(description="From create_persona_avatar or list_personas.")


class CreateAvatarPackOutput(BaseModel):
    """The pack and what was measured of it."""

    persona_id: str
    pack_id: str = Field(description="Names the zip.")
    uri: str = Field(description="The zip as an MCP resource.")
    url: str | None = Field(description="Its web address, when the server has one.")
    images: list[ImageInfo] = Field(description="The avatar on transparency, 512 px.")
    backdrop: str = Field(description="Color of the full-bleed files, as #rrggbb.")
    files: list[PackCheck] = Field(description="Every picture in the zip with its checks.")
    failed: list[str] = Field(description="Files with a failed check; empty is good.")
    warnings: list[str]


class CreateAvatarPack(Tool):
    """Avatars for Slack, Teams, Discord and web pages from the canonical picture."""

    name = "create_avatar_pack"
    title = "Create avatar pack"
    description = (
        "Cut a persona's canonical picture out of its background and make its avatar in every "
        "size that Slack, Teams, Discord, web pages and favicons ask for: one zip with an HTML and "
        "a Markdown snippet. Each file is checked (square, face inside the safe circle, corners, "
        "weight, readable at 32 px); the checks are returned. Uses the canonical picture, so lock "
        "the right candidate first. Example: "
        '{"persona_id": "per_mina_0123456789"}.'
    )
    Arguments = CreateAvatarPackArguments
    Output = CreateAvatarPackOutput

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Outline, cut out, make, check, keep, and report."""
        # What works on pixels is imported when it is needed: tools are listed without it.
        from agent_tools.persona_outline import Source, outlined
        from agent_tools.persona_packs import Packs

        asked: CreateAvatarPackArguments = arguments
        persona = studio.personas.get(asked.persona_id)
        if persona.canonical_image_id is None:
            raise InvalidArguments(
                f"{persona.name} has no canonical picture.",
                hint="Draw it first with create_persona_avatar.",
            )
        record = studio.gallery.get(persona.canonical_image_id)
        source = await asyncio.to_thread(Source.stored, studio.gallery, record)
        await progress(ProgressEvent(0.1, 1, "Cutting the figure out"))
        figure = await outlined(studio, source)
        await progress(ProgressEvent(0.4, 1, "Making every size"))
        packs = Packs(studio.gallery)
        pack = await asyncio.to_thread(packs.make, persona, source.picture, figure)
        preview = _preview(persona, source, pack)

        def check() -> None:
            studio.personas.get(persona.persona_id)

        try:
            _, shown = await keep_and_show(studio, [preview], check)
        except NotFound:  # deleted meanwhile
            packs.remove(persona.persona_id)
            raise
        await progress(ProgressEvent(1, 1, "Packed"))
        base = studio.settings.public_url
        output = CreateAvatarPackOutput(
            persona_id=persona.persona_id,
            pack_id=pack.pack_id,
            uri=f"pack://{pack.pack_id}",
            url=f"{base.rstrip('/')}/packs/{pack.pack_id}.zip" if base else None,
            images=[item.info for item in shown],
            backdrop=pack.backdrop,
            files=list(pack.checks),
            failed=[check.path for check in pack.checks if not check.ok],
            warnings=[*pack.notes, *_hard_to_see(pack)],
        )
        return ToolResult(text=_text(output, persona, shown), data=output, images=shown)


def _preview(persona: Persona, source: Source, pack: Pack) -> NewImage:
    from PIL import Image

    from agent_tools.persona_packs import alt_text

    side = (_PREVIEW_SIDE, _PREVIEW_SIDE)
    alt = alt_text(persona)
    return marked_image(
        pack.master.resize(side, Image.Resampling.LANCZOS),
        {
            "tool": CreateAvatarPack.name,
            "arguments": {"persona_id": persona.persona_id},
            "model": source.model,
            "pack": pack.pack_id,
            "inputs": [{"role": "image", "image_id": source.image_id, "sha256": source.sha256}],
        },
        words=Wording(
            title=f"{persona.name}, avatar",
            caption=f"{persona.name}'s avatar without a background.",
            alt=alt,
            use_when=f"{persona.name} needs a small picture.",
            tags=("avatar", "persona", persona.name.lower()),
        ),
        kind="persona",
        source_type="edited",
        inputs=[Input("image", source.image_id, source.sha256)],
        group=persona.persona_id,
        metadata={
            "persona_id": persona.persona_id,
            "persona": persona.name,
            "fictional": persona.fictional,
            "pack_id": pack.pack_id,
        },
        notes=pack.notes,
    )


def _hard_to_see(pack: Pack) -> list[str]:
    avatar = next(check for check in pack.checks if check.path == "web/avatar-64.png")
    pages = {"light": avatar.edge_on_light, "dark": avatar.edge_on_dark}
    return [
        f"On {page} pages the transparent avatar is hard to see (edge contrast CIEDE2000 "
        f"{value:.0f}); use a full-bleed file there."
        for page, value in pages.items()
        if value < 10
    ]


def _text(output: CreateAvatarPackOutput, persona: Persona, shown: tuple[ToolImage, ...]) -> str:
    passed = len(output.files) - len(output.failed)
    state = f"Checks failed: {', '.join(output.failed)}." if output.failed else ""
    return (
        f"Packed {persona.name}'s avatar: {output.url or output.uri} ({len(output.files)} "
        f"pictures, {passed} pass every check). {state}\n{picture_lines(shown)}"
        f"{warning_lines(output.warnings)}"
    )
