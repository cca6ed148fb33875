"""Avatar packs: made from a canonical picture, checked, zipped, kept beside the gallery."""

from __future__ import annotations

import hashlib
import html
import io
import json
import re
import shutil
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL.IcoImagePlugin import IcoFile

from agent_tools.avatar_checks import check_file
from agent_tools.avatar_pack import (
    ICO_PATH,
    ICO_SIDES,
    MASTER,
    Target,
    backdrop_for,
    favicon,
    make_files,
    master_of,
)
from agent_tools.errors import NotFound
from agent_tools.pack_check import PackCheck
from agent_tools.personas import Persona, PersonaStore
from agent_tools.pictures import encode_png
from agent_tools.provenance import recipe_sha256, xmp_packet
from kb_export.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from agent_tools.gallery import Gallery
    from agent_tools.portrait import Outline

_PACK_ID = re.compile(r"pack_[0-9a-f]{24}")
_FOLDER = "packs"
_EPOCH = (2026, 1, 1, 0, 0, 0)  # the same files, the same zip


@dataclass(frozen=True, slots=True)
class Pack:
    """One finished pack.

    Attributes:
        pack_id: "pack_" and 24 hex digits of the zip's sha256.
        path: the zip on this machine.
        checks: of every picture in it.
        preview: the master before the pack's backdrop, RGB.
        master: the transparent master, RGBA.
        backdrop: color of the full-bleed files.
        notes: how it was made.
    """

    pack_id: str
    path: Path
    checks: tuple[PackCheck, ...]
    master: Image.Image
    backdrop: str
    notes: tuple[str, ...]


def pack_path(data_dir: Path, persona_id: str, pack_id: str) -> Path:
    """Return where a persona's pack lies under a data directory."""
    return data_dir / _FOLDER / persona_id / f"{pack_id}.zip"


class Packs:
    """Keep packs under the gallery's data directory, one folder a persona."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._folder = gallery.data_dir / _FOLDER

    def make(self, persona: Persona, picture: Image.Image, figure: Outline) -> Pack:
        """Make, check and store a persona's pack; the same picture gives the same pack."""
        master = master_of(picture, figure.mask)
        backdrop = backdrop_for(master)
        files = make_files(master, backdrop, _mark(persona))
        ico = favicon(master)
        checks = [check_file(file.target, file.data, file.background) for file in files]
        checks += _ico_checks(ico)
        notes = _notes(picture, figure)
        contents = {file.target.path: file.data for file in files}
        contents[ICO_PATH] = ico
        contents |= _texts(persona, backdrop, checks, notes)
        data = zipped(contents)
        pack_id = f"pack_{hashlib.sha256(data).hexdigest()[:24]}"
        path = pack_path(self._gallery.data_dir, persona.persona_id, pack_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_atomically(path, data)
        return Pack(pack_id, path, tuple(checks), master, backdrop, tuple(notes))

    def read(self, pack_id: str) -> bytes:
        """Return the zip of a pack.

        Raises:
            NotFound: if there is no such pack, or its persona is another caller's.
        """
        found = (
            next(iter(self._folder.glob(f"*/{pack_id}.zip")), None)
            if _PACK_ID.fullmatch(pack_id)
            else None
        )
        if found is None or PersonaStore(self._gallery).find(found.parent.name) is None:
            raise NotFound(
                f"There is no pack '{pack_id[:80]}'.",
                hint="Make one with create_avatar_pack or `agent-tools persona pack`.",
            )
        return found.read_bytes()

    def remove(self, persona_id: str) -> int:
        """Delete a persona's packs; return how many there were."""
        folder = self._folder / persona_id
        count = len(list(folder.glob("*.zip")))
        shutil.rmtree(folder, ignore_errors=True)
        return count


def zipped(contents: dict[str, bytes]) -> bytes:
    """Return a zip of files by path; same contents, same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(contents):
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), contents[path])
    return buffer.getvalue()


def _ico_checks(data: bytes) -> list[PackCheck]:
    """Check each picture inside the .ico file like a file of its own."""
    checks = []
    for side in ICO_SIDES:
        image = IcoFile(io.BytesIO(data)).getimage((side, side)).convert("RGBA")
        checks.append(check_file(Target(f"{ICO_PATH}#{side}", side), encode_png(image)))
    return checks


def _mark(persona: Persona) -> str:
    alt = alt_text(persona)
    made_from = {"persona": persona.persona_id, "picture": persona.canonical_image_id}
    return xmp_packet(
        caption=alt,
        alt=alt,
        source_type="edited",
        creator_tool="agent-tools",
        recipe_hash=recipe_sha256(made_from),
    )


def alt_text(persona: Persona) -> str:
    """Return the alternative text of a persona's avatar; it says whether somebody real is shown."""
    kind = "fictional persona" if persona.fictional else "real person, shown with consent"
    return f"Avatar of {persona.name}, an AI-made picture of a {kind}."


def _notes(picture: Image.Image, figure: Outline) -> list[str]:
    notes = []
    if min(picture.size) < MASTER:
        notes.append(
            f"Enlarged from {picture.width}x{picture.height} by Lanczos, no detail added; sizes "
            f"above {min(picture.size)} px are softer than painted ones."
        )
    if figure.source == "silhouette":
        notes.append(
            "The outline comes from the same look painted before a background that contrasts; "
            "look at the edges."
        )
    return notes


def _texts(
    persona: Persona, backdrop: str, checks: list[PackCheck], notes: list[str]
) -> dict[str, bytes]:
    alt = alt_text(persona)
    name, spoken = html.escape(persona.name, quote=True), html.escape(alt, quote=True)
    snippet = (
        '<link rel="icon" href="favicon/favicon.ico" sizes="48x48">\n'
        '<link rel="icon" href="favicon/icon-192.png" type="image/png" sizes="192x192">\n'
        '<link rel="apple-touch-icon" href="favicon/apple-touch-icon-180.png">\n'
        '<link rel="manifest" href="favicon/site.webmanifest">\n'
        '<img src="web/avatar-128.png" srcset="web/avatar-64.png 64w, web/avatar-128.png 128w, '
        'web/avatar-256.png 256w, web/avatar-512.png 512w" sizes="64px" width="64" height="64" '
        f'style="border-radius:50%;background:{backdrop}" alt="{spoken}" title="{name}">\n'
    )
    plain = re.sub(r"([\\`*_\[\]()<>#!|])", r"\\\1", alt)
    manifest = {
        "name": persona.name,
        "icons": [
            {"src": "icon-192.png", "sizes": "192x192", "type": "image/png"},
            {"src": "icon-512.png", "sizes": "512x512", "type": "image/png"},
            {
                "src": "maskable-512.png",
                "sizes": "512x512",
                "type": "image/png",
                "purpose": "maskable",
            },
        ],
        "background_color": backdrop,
        "theme_color": backdrop,
    }
    report = {
        "persona_id": persona.persona_id,
        "name": persona.name,
        "fictional": persona.fictional,
        "ai_generated": True,
        "model": persona.model,
        "backdrop": backdrop,
        "notes": notes,
        "files": [check.model_dump() | {"ok": check.ok} for check in checks],
    }
    texts = {
        "snippet.html": snippet,
        "SNIPPET.md": f"![{plain}](web/avatar-128.png)\n",
        "favicon/site.webmanifest": json.dumps(manifest, indent=2, ensure_ascii=False) + "\n",
        "checks.json": json.dumps(report, indent=2, ensure_ascii=False) + "\n",
    }
    return {path: text.encode() for path, text in texts.items()}
