"""Multipart bodies: fields as text, pictures into the gallery, OpenAI's masks into ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from agent_tools.image_record import ImageRecord
from agent_tools.pictures import decode_picture, encode_png
from agent_tools.studio import Studio
from server.bodies import BodyTooLarge, bounded_body, once
from server.images_api.errors import ApiError

# What the tool edit_image takes: one picture to edit and four to look at.
MAX_PICTURES = 5
_MAX_FIELDS = 40
_MAX_FIELD = 64 * 1024
_OVERHEAD = 256 * 1024


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body.

    Attributes:
        fields: text by name.
        pictures: the files of `image` or `image[]`, in order.
        mask: the file of `mask`, or None.
    """

    fields: dict[str, str]
    pictures: tuple[bytes, ...]
    mask: bytes | None


@dataclass(frozen=True, slots=True)
class Inputs:
    """The pictures of one edit, in the gallery.

    Attributes:
        source: what is edited.
        mask_id: what of it, or None for the whole.
        reference_ids: further pictures.
    """

    source: ImageRecord
    mask_id: str | None
    reference_ids: tuple[str, ...]


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    """Read a body of at most `max_bytes`.

    Raises:
        ApiError: if it is longer or takes too long.
        ClientDisconnect: if it breaks off.
    """
    try:
        return await bounded_body(request, max_bytes)
    except BodyTooLarge:
        raise ApiError(
            "The body is too large. Send smaller pictures.", status=413, code="body_too_large"
        ) from None
    except TimeoutError:
        raise ApiError(
            "The body took too long. Send it again.", status=408, code="timeout"
        ) from None


async def read_form(request: Request, max_picture: int) -> Form:
    """Read a multipart body of bounded size.

    Args:
        request: the request.
        max_picture: bytes that one picture may have; all together may have twice as many.

    Raises:
        ApiError: if it is no such form, or its files are too many or too large.
        ClientDisconnect: if it breaks off.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "multipart/form-data":
        raise ApiError("Send multipart/form-data with a file in 'image'.", code="invalid_body")
    body = await read_bytes(request, 2 * max_picture + _OVERHEAD)
    # Parsed from the bounded bytes, so the parser never waits for the network nor sees more.
    replay = Request(request.scope, once(body))
    fields: dict[str, str] = {}
    files: dict[str, list[bytes]] = {"image": [], "mask": []}
    try:
        async with replay.form(
            max_files=MAX_PICTURES + 12, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD
        ) as form:
            for name, value in form.multi_items():
                if not isinstance(value, UploadFile):
                    if name in fields:
                        raise ApiError(
                            f"Field '{_shown(name)}' is there twice.", param=_shown(name)
                        )
                    fields[name] = value
                    continue
                bare = name.removesuffix("[]")
                if bare == "markup":
                    fields[bare] = ""
                    continue
                if bare not in files:
                    raise ApiError(
                        f"Unknown parameter: '{_shown(name)}'.",
                        param=_shown(name),
                        code="unknown_parameter",
                    )
                data = await value.read()
                if len(data) > max_picture:
                    raise ApiError(
                        f"A picture has more than {max_picture / 1e6:g} MB. Send a smaller copy.",
                        param=bare,
                        code="image_too_large",
                    )
                files[bare].append(data)
    except HTTPException as error:
        raise ApiError(f"The form cannot be read: {error.detail}", code="invalid_body") from None
    for name in ("image", "image[]", "mask"):
        if name in fields:
            raise ApiError(f"'{name}' is no file.", param=name.removesuffix("[]"))
    return Form(fields, tuple(files["image"]), _single_mask(files["mask"]))


def _single_mask(masks: list[bytes]) -> bytes | None:
    if len(masks) > 1:
        raise ApiError("There are several masks; one is taken.", param="mask")
    return masks[0] if masks else None


def keep_inputs(studio: Studio, form: Form, max_picture: int) -> Inputs:
    """Bring a form's pictures into the gallery. Takes time; nothing of it touches the network.

    A file that is byte for byte one of the gallery's is that picture, with all that is known
    about it, so "make it red" is understood for a picture that was made here.

    Raises:
        ApiError: if pictures are missing, too many, or the mask does not fit.
        AgentToolsError: if a file is no picture within the limits.
    """
    if not form.pictures:
        raise ApiError(
            "Missing required parameter: 'image'.", param="image", code="missing_required_parameter"
        )
    if len(form.pictures) > MAX_PICTURES:
        raise ApiError(f"At most {MAX_PICTURES} pictures are taken.", param="image")
    mask = None
    if form.mask is not None:
        mask = _our_mask(decode_picture(form.mask, max_bytes=max_picture))
        width, height = decode_picture(form.pictures[0], max_bytes=max_picture).size
        if mask.size != (width, height):
            raise ApiError(
                f"The mask has {mask.width}x{mask.height} pixels, the picture {width}x{height}. "
                "They must be equal.",
                param="mask",
            )
    records = [_kept(studio, data, max_picture) for data in form.pictures]
    mask_id = None
    if mask is not None:
        mask_id = studio.gallery.add_upload(encode_png(mask), kind="mask").image_id
    return Inputs(records[0], mask_id, tuple(_unique(records[1:])))


def _kept(studio: Studio, data: bytes, max_bytes: int) -> ImageRecord:
    found = studio.gallery.find(data)
    if found is not None and found.kind != "mask":
        return found
    return studio.gallery.add_upload(data, max_bytes=max_bytes)


def _unique(records: Iterable[ImageRecord]) -> dict[str, None]:
    return dict.fromkeys(record.image_id for record in records)


def _our_mask(mask: Image.Image) -> Image.Image:
    """Turn OpenAI's mask (fully transparent = edit) into ours (white = edit).

    Returns:
        Mode "L", 0 and 255 only.
    """
    if mask.mode != "RGBA":
        raise ApiError(
            "The mask has no transparency. Make the part to edit fully transparent "
            "(a PNG with alpha 0 there).",
            param="mask",
        )
    alpha = mask.getchannel("A")
    if not alpha.histogram()[0]:
        raise ApiError(
            "No pixel of the mask is fully transparent, so nothing would be edited.", param="mask"
        )
    return alpha.point([255] + [0] * 255)


def _shown(name: str) -> str:
    return name[:80].encode("utf-8", "replace").decode()
