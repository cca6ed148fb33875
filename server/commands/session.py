"""What every command shares: global flags, one studio for one command, pictures in and out."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent_tools.errors import AgentToolsError, BadSettings, NotFound, as_agent_tools_error
from agent_tools.image_record import IMAGE_ID
from agent_tools.settings import Settings, load_settings
from server.console import Bars, Output

if TYPE_CHECKING:
    from PIL import Image

    from agent_tools.image_record import ImageRecord
    from agent_tools.results import ToolImage, ToolResult
    from agent_tools.studio import Studio

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
OutDir = Annotated[
    Path | None, typer.Option("--out", help="Also copy the pictures into this folder.")
]
Model = Annotated[
    str | None, typer.Option("--model", help="'starter', a diffusers folder, or a hub id.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Same seed, same picture.")]
Steps = Annotated[int | None, typer.Option("--steps", help="Denoising steps.")]

FILE_OR_ID = "Check the path, or give an image_id (agent-tools gallery list)."
_PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True, slots=True)
class GlobalFlags:
    """The flags before the command's name; None means not given."""

    data: Path | None = None
    config: Path | None = None
    model: str | None = None
    device: str | None = None
    threads: int | None = None
    log_level: str | None = None

    def settings(self, **overrides: Any) -> Settings:
        """Build the settings; `overrides` are flags of the command and win when not None.

        Raises:
            BadSettings: naming the setting and where it came from.
        """
        flags: dict[str, Any] = {
            "data": self.data,
            "model": self.model,
            "device": self.device,
            "threads": self.threads,
            "log_level": self.log_level,
        }
        flags |= {name: value for name, value in overrides.items() if value is not None}
        return load_settings(flags, config=self.config)


def flags_of(context: typer.Context) -> GlobalFlags:
    """Return the global flags that the root command stored."""
    found = context.find_object(GlobalFlags)
    return found if found is not None else GlobalFlags()


Work = Callable[["Studio", Bars], Awaitable[None]]


def run_in_studio(settings: Settings, output: Output, work: Work) -> None:
    """Open the studio, run `work` and close everything again, also after Ctrl-C.

    Ctrl-C cancels the running call within one denoising step; nothing of it is kept.

    Raises:
        AgentToolsError: of whatever went wrong; code "cancelled" after Ctrl-C.
    """
    from agent_tools.studio import Studio
    from server.logs import configure_logging

    # People read stderr here, where notes and errors say what happened: nothing is logged below
    # an error unless a level was asked for.
    asked = "log_level" in settings.model_fields_set
    configure_logging(settings.log_level if asked else "error")
    if settings.log_level != "debug":
        logging.getLogger("py.warnings").setLevel(logging.ERROR)

    async def session() -> None:
        studio = Studio.open(settings)
        try:
            with output.bars() as bars:
                await work(studio, bars)
        finally:
            await studio.close()

    try:
        asyncio.run(session())
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise AgentToolsError("Cancelled; nothing was kept.", code="cancelled") from None
    except AgentToolsError:
        raise
    except Exception as error:
        ours = as_agent_tools_error(error)
        if ours is None:
            raise
        raise ours from error


def call_tool(
    settings: Settings,
    output: Output,
    tool: str,
    arguments: Callable[[Studio], Mapping[str, Any]] | Mapping[str, Any],
    *,
    label: str,
    out: Path | None = None,
    shape: Callable[[ToolResult, list[dict[str, Any]]], Mapping[str, Any]] | None = None,
    show: Callable[[ToolResult], None] | None = None,
    proof: Callable[[ToolResult], Mapping[str, str]] | None = None,
) -> None:
    """Run one tool and show its result.

    Args:
        settings: the settings of this command.
        output: where to write.
        tool: the tool's name.
        arguments: its arguments, or what builds them once the studio is open (to take files in).
        label: what the progress bar says first.
        out: folder for copies of the pictures.
        shape: adds fields to the JSON object; gets the result and the image objects, which it
            may extend.
        show: prints the result for people instead of the list of pictures.
        proof: what was measured of a picture, by image_id, for people.
    """

    async def work(studio: Studio, bars: Bars) -> None:
        started = time.monotonic()
        built = arguments(studio) if callable(arguments) else arguments
        given = {name: value for name, value in built.items() if value is not None}
        result = await studio.call(tool, given, bars.reporter(label))
        seconds = round(time.monotonic() - started, 3)
        bars.finish()
        images = [image_object(image, out) for image in result.images]
        extra = shape(result, images) if shape else {}
        output.emit({"images": images, **extra, "seconds": seconds})
        if show is not None:
            show(result)
        else:
            show_images(output, images, result, proof(result) if proof else {})

    run_in_studio(settings, output, work)


def image_object(image: ToolImage, out: Path | None = None) -> dict[str, Any]:
    """Describe a picture as `--json` does, copied into `out` if given."""
    info = image.info
    path = copy_picture(image.path, info.image_id, info.caption, out) if out else image.path
    return {
        "image_id": info.image_id,
        "path": str(path),
        "width": info.width,
        "height": info.height,
        "seed": info.seed,
        "model": info.model,
        "caption": info.caption,
        "alt": info.alt,
    }


def record_object(record: ImageRecord, out: Path | None = None) -> dict[str, Any]:
    """Describe a gallery record as `--json` does, copied into `out` if given."""
    path = copy_picture(record.path, record.image_id, record.caption, out) if out else record.path
    return {
        "image_id": record.image_id,
        "path": str(path),
        "width": record.width,
        "height": record.height,
        "seed": record.seed,
        "model": record.model,
        "caption": record.caption,
        "alt": record.alt,
    }


def show_images(
    output: Output,
    images: list[dict[str, Any]],
    result: ToolResult,
    proofs: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Print each picture's path, what it is and what was measured, and every warning once."""
    for image, tool_image in zip(images, result.images, strict=True):
        seed = "" if image["seed"] is None else f", seed {image['seed']}"
        output.say(image["path"])
        output.say(f"  {image['caption']}")
        size = f"{image['width']}x{image['height']}"
        output.say(f"  {image['image_id']} ({size}{seed}, {image['model']})")
        if said := proofs.get(image["image_id"]):
            output.say(f"  {said}")
        for note in tool_image.info.notes:
            output.note(f"  Note: {note}")
    told = tuple(note for tool_image in result.images for note in tool_image.info.notes)
    for warning in getattr(result.data, "warnings", ()):
        if not warning.endswith(told):  # a result repeats them, some behind the picture's name
            output.note(f"Note: {warning}")


def copy_picture(source: Path, image_id: str, caption: str, folder: Path) -> Path:
    """Copy a gallery file into `folder` under a readable name and return the copy's path.

    The name holds part of the content's hash, so an older file of that name is the same picture.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", caption.lower()).strip("-")[:48].strip("-") or "picture"
    target = folder / f"{slug}-{image_id.removeprefix('img_')[:8]}{source.suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise AgentToolsError(
            f"Cannot write to {folder}: {error.strerror or error}.",
            hint="The pictures are in the gallery; choose another --out.",
            code="unavailable",
        ) from error
    return target.absolute()


def is_picture_argument(text: str) -> bool:
    """Return whether an argument means a picture (an id or a file) and not words."""
    path = Path(text)
    names_picture = path.suffix.lower() in _PICTURE_SUFFIXES and " " not in text.strip()
    return bool(IMAGE_ID.fullmatch(text)) or names_picture or _is_file(path)


def take_in(
    studio: Studio, argument: str, *, kind: Literal["upload", "mask"] = "upload", title: str = ""
) -> str:
    """Return the image_id of an id or of a file, which enters the gallery.

    Raises:
        NotFound: if there is no such file or id.
        AgentToolsError: if the file is no picture within the limits.
    """
    if IMAGE_ID.fullmatch(argument):
        return studio.gallery.get(argument).image_id
    limit = int(studio.settings.max_upload_mb * 1e6)
    data = read_file(Path(argument), limit, hint=FILE_OR_ID)
    return studio.gallery.add_upload(data, kind=kind, title=title, max_bytes=limit).image_id


def open_picture(studio: Studio, argument: str) -> Image.Image:
    """Return the picture of an id or of a file, which stays outside the gallery.

    Raises:
        NotFound: if there is no such file or id.
        AgentToolsError: if the file is no picture within the limits.
    """
    from agent_tools.pictures import decode_picture

    if IMAGE_ID.fullmatch(argument):
        return studio.gallery.open_image(argument)
    limit = int(studio.settings.max_upload_mb * 1e6)
    data = read_file(Path(argument), limit, hint=FILE_OR_ID)
    return decode_picture(data, max_bytes=limit)


def read_file(path: Path, max_bytes: int, *, hint: str = "Check the path.") -> bytes:
    """Read a file that a person named, at most one byte more than `max_bytes`.

    Raises:
        NotFound: if it is not there or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise NotFound(
            f"Cannot read the file {path}: {getattr(error, 'strerror', None) or error}.",
            hint=hint,
        ) from error


def parse_address(address: str) -> tuple[str, int]:
    """Split HOST:PORT, :PORT or [IPv6]:PORT; the host is 127.0.0.1 if left out.

    Raises:
        BadSettings: if the port is missing or no number from 0 to 65535.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise BadSettings(
            f"'{address}' is not HOST:PORT.", hint="For example --http 127.0.0.1:8931."
        )
    return host.strip("[]") or "127.0.0.1", int(port)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a sentence may be too long for a file name
        return False
