"""What a request means for a remote server: what is uploaded, and how the answer is put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.checks import check_request
from engine.errors import GenerationFailed, InvalidRequest, UnsupportedMode
from engine.families import Family
from engine.registry import ModelSpec
from engine.request import ImageRequest

if TYPE_CHECKING:
    from PIL import Image

    from engine.edit import EditArea

# Both sides a multiple of 16: what the API asks for and what every latent model can paint.
_GRID = 16
# Sources are shown at a size that models of today paint well, and come back at their own.
_LEAST_PIXELS = 512 * 512
_MOST_PIXELS = 1024 * 1024
_REMOTE = ModelSpec(
    "remote",
    "remote",
    Family("remote", {}, steps=1, guidance=1.0, size=1024, multiple=_GRID, max_pixels=_MOST_PIXELS),
    "unknown",
    None,
    steps=1,
    guidance=1.0,
    size=1024,
)
# A painted picture of other proportions would not fit back into its source.
_SAME_SHAPE = 0.02


@dataclass(frozen=True, slots=True)
class RemotePlan:
    """One request, ready to be sent.

    Attributes:
        size: width and height to ask for, pixels; None: the server chooses.
        uploads: RGB pictures to send, the source first; none means text-to-image.
        upload_mask: mode "L", the first upload's size, or None.
        asked: the size that the caller wants to get, or None.
        source: RGB source of the result's size, or None.
        mask: mode "L", the source's size; where it is 0 the source comes back byte for byte.
        area: the part of the source that is sent, or None.
        warnings: what was changed.
    """

    size: tuple[int, int] | None
    uploads: tuple[Image.Image, ...] = ()
    upload_mask: Image.Image | None = None
    asked: tuple[int, int] | None = None
    source: Image.Image | None = None
    mask: Image.Image | None = None
    area: EditArea | None = None
    warnings: tuple[str, ...] = ()

    def finish(self, painted: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
        """Return the result made of what the server painted, and what to warn about.

        Raises:
            GenerationFailed: if it cannot be put back into the source.
        """
        if self.source is None or self.area is None:
            return painted, _size_warning(painted.size, self.asked)
        fitted, warnings = _fit(painted, self.area.work, exact=self.mask is not None)
        return self.area.leave(fitted, self.source, self.mask), warnings


def check_remote_request(request: ImageRequest) -> None:
    """Refuse what the Images API has no words for.

    Raises:
        InvalidRequest: if no engine could serve it.
        UnsupportedMode: naming the way out.
    """
    check_request(request)
    for asked, what in (
        (request.sketch is not None, "take a sketch"),
        (request.upscale is not None or request.refine, "run the second stage (upscale, refine)"),
        (request.deterministic, "promise the same bytes on every run (deterministic)"),
    ):
        if asked:
            raise UnsupportedMode(
                f"A remote engine cannot {what}: the Images API has no field for it.",
                hint="Leave it out, or unset AGENT_TOOLS_ENGINE to paint in this process.",
            )


def make_remote_plan(request: ImageRequest) -> RemotePlan:
    """Decide sizes and cut out what the server is shown. Takes time for large pictures.

    Raises:
        InvalidRequest: if the request contradicts itself.
    """
    from engine.edit import extended, flatten, resized

    references = tuple(flatten(picture)[0] for picture in request.references)
    if request.image is None:
        asked = _asked_size(request)
        size = None if asked is None else (_on_grid(asked[0]), _on_grid(asked[1]))
        return RemotePlan(size, references, asked=asked)
    source, warnings = flatten(request.image)
    mask = _checked_mask(request, source)
    if request.extend is not None:
        source, mask = extended(source, request.extend, mask)
    elif mask is None:
        source, more = resized(source, request.width, request.height)
        warnings += more
    area = _area(source.size, mask)
    if area.scaled[0] < area.box[2] - area.box[0]:
        warnings += (
            f"The edited part was worked on at {area.scaled[0]}x{area.scaled[1]} pixels "
            "and scaled back up.",
        )
    return RemotePlan(
        area.work,
        (area.enter(source), *references),
        None if mask is None else area.enter_mask(mask),
        source=source,
        mask=mask,
        area=area,
        warnings=warnings,
    )


def _asked_size(request: ImageRequest) -> tuple[int, int] | None:
    width, height = request.width or request.height, request.height or request.width
    return None if width is None or height is None else (width, height)


def _on_grid(side: int) -> int:
    return max(_GRID, round(side / _GRID) * _GRID)


def _checked_mask(request: ImageRequest, source: Image.Image) -> Image.Image | None:
    from engine.edit import check_mask

    if request.mask is None and request.extend is None:
        return None
    if (request.width or source.width, request.height or source.height) != source.size:
        raise InvalidRequest(
            f"This edit keeps the source's pixels, {source.width}x{source.height} of them.",
            hint="Leave width and height unset.",
        )
    return None if request.mask is None else check_mask(request.mask, source.size)


def _area(size: tuple[int, int], mask: Image.Image | None) -> EditArea:
    """Choose what the server sees; small pictures are shown larger than they are."""
    from engine.edit import EditArea, edit_area

    area = edit_area(size, mask, _REMOTE)
    width, height = area.scaled
    if width * height >= _LEAST_PIXELS:
        return area
    scale = (_LEAST_PIXELS / (width * height)) ** 0.5
    scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
    work = (-(-scaled[0] // _GRID) * _GRID, -(-scaled[1] // _GRID) * _GRID)
    return EditArea(area.box, scaled, work)


def _fit(
    painted: Image.Image, size: tuple[int, int], *, exact: bool
) -> tuple[Image.Image, tuple[str, ...]]:
    """Bring a painted picture to the size that was asked for."""
    from PIL import Image, ImageOps

    if painted.size == size:
        return painted, ()
    if not _differ(painted.size, size):
        return painted.resize(size, Image.Resampling.LANCZOS), ()
    shapes = f"{painted.width}x{painted.height} instead of {size[0]}x{size[1]}"
    if exact:
        raise GenerationFailed(
            f"The remote server painted {shapes}: that does not fit back into the picture.",
            hint="Use a source with proportions that the server paints, such as a square.",
        )
    fitted = ImageOps.fit(painted, size, Image.Resampling.LANCZOS)
    return fitted, (f"The remote server painted {shapes}; the picture was cropped.",)


def _differ(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) > _SAME_SHAPE


def _size_warning(painted: tuple[int, int], asked: tuple[int, int] | None) -> tuple[str, ...]:
    if asked is None or painted == asked:
        return ()
    return (
        f"Painted at {painted[0]}x{painted[1]} instead of {asked[0]}x{asked[1]}: "
        "the remote server chose the size.",
    )
