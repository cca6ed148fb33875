"""Web addresses of pictures that work in an <img> without a token, and stay the same.

An address carries a signature of the picture's id, made with a key that stays in the gallery's
database. It shows that one picture to whoever has it and can neither be guessed nor be changed
into another picture's. Deleting the row "image_links" of the table `secrets` makes all void.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord

FOLDER = "i"
_NAME = "image_links"
# Longest sides, in pixels, of the copies that can be asked for beside the picture itself.
COPY_SIDES = (384, 1024)
_SIGNATURE_LENGTH = 32  # hex digits: 128 bits


class ImageLinks:
    """Sign and check addresses of the pictures of one gallery."""

    def __init__(
        self, gallery: Gallery, public_url: str | None = None, *, signed: bool = True
    ) -> None:
        """Prepare without reading the key.

        Args:
            gallery: holds the key; it is made with the first signature.
            public_url: the web address of the server; None = `url` knows none.
            signed: whether `url` signs; else its addresses need the server's token.
        """
        self._gallery = gallery
        self._base = public_url.rstrip("/") if public_url else None
        self._signed = signed
        self._key: bytes | None = None

    def url(self, record: ImageRecord) -> str | None:
        """Return the picture's whole address, or None if the server's own is not known."""
        if self._base is None:
            return None
        if not self._signed:
            return f"{self._base}/images/{record.image_id}"
        return f"{self._base}/{self.path(record)}"

    def path(self, record: ImageRecord, side: int | None = None) -> str:
        """Return the signed path, without a slash at its beginning.

        Args:
            side: of `COPY_SIDES`, for a WebP copy of that size; None for the file itself.
        """
        ending = f"-{side}.webp" if side else record.path.suffix
        return f"{FOLDER}/{record.image_id}/{self._signature(record.image_id)}{ending}"

    def accepts(self, image_id: str, signature: str) -> bool:
        """Return whether `signature` is this picture's; takes the same time for every wrong one."""
        return hmac.compare_digest(self._signature(image_id).encode(), signature.encode())

    def digest(self, purpose: str, text: str) -> str:
        """Return a keyed hash of `text` that nobody without the key can make: 32 hex digits."""
        if self._key is None:
            self._key = self._read_key()
        signed = hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256)
        return signed.hexdigest()[:_SIGNATURE_LENGTH]

    def _signature(self, image_id: str) -> str:
        return self.digest("image", image_id)

    def _read_key(self) -> bytes:
        with self._gallery.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO secrets VALUES (?, ?)", (_NAME, secrets.token_hex(32))
            )
            row = connection.execute("SELECT value FROM secrets WHERE name = ?", (_NAME,))
            return bytes.fromhex(row.fetchone()[0])
