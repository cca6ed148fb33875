"""The gallery: every picture with its recipe, in files by content hash and one SQLite table.

A picture's file is written first (temp, fsync, rename), then its row and what it owes to knowledge
bases go into ONE transaction: after a crash there is either a whole record or an orphan file,
which the next start removes.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Literal

from PIL import Image

from agent_tools.callers import current_caller, sees_all
from agent_tools.errors import AgentToolsError, InvalidArguments, NotFound
from agent_tools.gallery_schema import create_schema
from agent_tools.image_record import ImageRecord, NewImage
from agent_tools.recent import RecentBytes
from kb_export.files import write_atomically

REWRITTEN = ("title", "caption", "alt", "use_when")
_JSON_FIELDS = ("tags", "recipe", "metadata", "notes")
_SUFFIX = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
UNTITLED_UPLOAD = "An uploaded picture"  # nobody said what it shows
_RECENT_THUMBNAILS = 8_000_000  # bytes, about 400 of them
_ORPHAN_AGE_S = 600  # another process may be between rename and commit

InTransaction = Callable[[sqlite3.Connection, list[ImageRecord]], None]


class Gallery:
    """Keep pictures under `data_dir`. One instance per process; safe to call from any thread.

    Where a caller is known (`agent_tools.callers`), a picture belongs to them: nobody else finds
    it, not even by its id, which is a hash under a key that never leaves this directory. Callers
    who make or send the same picture have a record each and share the file. What was exported is
    published: everybody gets it by its id, without its recipe. The local user and admins see all.

    Args:
        data_dir: the folder.
        shared: one gallery for the whole team: nothing is bound to anybody.
    """

    def __init__(self, data_dir: Path, *, shared: bool = False) -> None:
        self.data_dir = data_dir
        self.seal: Callable[[NewImage], NewImage] | None = None  # signs what enters
        self._shared = shared
        self.files = data_dir / "images"
        self.thumbnails = data_dir / "thumbnails"
        try:
            self.files.mkdir(parents=True, exist_ok=True)
            self.thumbnails.mkdir(exist_ok=True)
            self.connection = sqlite3.connect(
                data_dir / "gallery.sqlite3",
                timeout=30,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.OperationalError) as error:
            raise AgentToolsError(
                f"The data directory {data_dir} cannot be used: {error}.",
                code="data_directory",
                hint="Choose another one with --data or AGENT_TOOLS_DATA.",
            ) from error
        self._recent = RecentBytes(_RECENT_THUMBNAILS)
        self.lock = threading.RLock()
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA journal_mode=WAL")
        # FULL: an acknowledged picture survives power loss, not only a crash of the process.
        self.connection.execute("PRAGMA synchronous=FULL")
        with self.transaction() as connection:
            create_schema(connection, data_dir)
        self._key = bytes.fromhex(
            self.connection.execute("SELECT value FROM secrets WHERE name = 'ids'").fetchone()[0]
        )
        self._remove_orphans()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the one writer's lock and commit at the end, or roll back on any error."""
        with self.lock:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def add(
        self, images: list[NewImage], in_transaction: InTransaction | None = None
    ) -> list[ImageRecord]:
        """Store pictures, all or none, and return their records.

        Args:
            images: encoded files with what is known about them.
            in_transaction: called with the open transaction and the records, so that what the
                pictures owe to knowledge bases is committed with them.
        """
        if self.seal is not None:
            images = [self.seal(image) for image in images]
        records = [self._write_file(image) for image in images]
        with self.transaction() as connection:
            for record in records:
                self._insert(connection, record)
            if in_transaction is not None:
                in_transaction(connection, records)
        return [self.get(record.image_id) for record in records]

    def add_upload(
        self,
        data: bytes,
        *,
        kind: Literal["upload", "mask"] = "upload",
        title: str = "",
        max_bytes: int = 20_000_000,
    ) -> ImageRecord:
        """Take in a picture from outside: decoded behind limits, stripped of all metadata.

        Raises:
            AgentToolsError: if the bytes are no PNG, JPEG or WebP within the limits.
        """
        from agent_tools.pictures import decode_picture, encode_png
        from kb_export.captions import clean

        picture = decode_picture(data, max_bytes=max_bytes)
        name = clean(title, 120) or ("A mask" if kind == "mask" else UNTITLED_UPLOAD)
        uploaded = NewImage(
            data=encode_png(picture),
            media_type="image/png",
            width=picture.width,
            height=picture.height,
            model="upload",
            tool="upload",
            kind=kind,
            title=name,
            caption=f"{name}.",
            alt=f"{name}.",
            recipe={"tool": "upload", "sha256": hashlib.sha256(data).hexdigest()},
        )
        record = self.add([uploaded])[0]
        if not title or record.title == name:
            return record
        # It was there under another name, or none: what is said now holds.
        return self.rewrite(record.image_id, title=name, caption=f"{name}.", alt=f"{name}.")

    def rewrite(self, image_id: str, **words: str) -> ImageRecord:
        """Change the words of a picture as a person edits them, cleaned; the file stays.

        Args:
            words: of title, caption, alt and use_when, those to change.

        Raises:
            NotFound: if there is no such id, or the picture belongs to somebody else.
            InvalidArguments: if nothing readable is left of a caption, title or alternative text.
        """
        from kb_export.captions import CAPTION_LIMIT, alt_text, clean
        from kb_export.record import USE_WHEN_LIMIT

        if not self.owns(self.get(image_id)):
            raise NotFound(
                f"The image '{image_id[:80]}' is somebody else's.", hint="Change one of your own."
            )
        cleaned = {
            name: alt_text(text)
            if name == "alt"
            else clean(text, USE_WHEN_LIMIT if name == "use_when" else CAPTION_LIMIT)
            for name, text in words.items()
            if name in REWRITTEN
        }
        empty = [name for name, text in cleaned.items() if not text and name != "use_when"]
        if empty or len(cleaned) != len(words):
            raise InvalidArguments(
                f"Nothing readable is left of {', '.join(empty) or 'the words'}.",
                hint="Write a plain sentence; links, tags and invisible characters are removed.",
            )
        with self.transaction() as connection:
            for name, text in cleaned.items():
                connection.execute(
                    f"UPDATE images SET {name} = ? WHERE image_id = ?", (text, image_id)
                )
        return self.get(image_id)

    def get(self, image_id: str) -> ImageRecord:
        """Return one record.

        Raises:
            NotFound: if there is no such id, or it is another caller's.
        """
        with self.lock:
            row = self.connection.execute(
                "SELECT * FROM images WHERE image_id = ?", (image_id,)
            ).fetchone()
        visible = row is not None and (
            row["published"] or self.sees_all() or row["caller"] == current_caller()
        )
        if not visible:
            raise NotFound(
                f"There is no image '{image_id[:80]}'.",
                hint="Use an image_id from an earlier result, or call find_images.",
            )
        return self._record(row)

    def find(self, data: bytes) -> ImageRecord | None:
        """Return the record whose file is exactly `data`, or None."""
        with self.lock:
            rows = self.connection.execute(
                "SELECT image_id FROM images WHERE sha256 = ? ORDER BY caller IS ? DESC, rowid",
                (hashlib.sha256(data).hexdigest(), current_caller()),
            ).fetchall()
        for row in rows:
            with suppress(NotFound):
                return self.get(row["image_id"])
        return None

    def list(
        self,
        limit: int = 50,
        *,
        tool: str | None = None,
        kind: str | None = None,
        before: float | None = None,
        group: str | None = None,
        parent: str | None = None,
    ) -> list[ImageRecord]:
        """Return the caller's newest records first, filtered by what is given."""
        clauses = ["1"]
        values: list[str | float | None] = []
        if not self.sees_all():
            clauses.append("caller = ?")
            values.append(current_caller())
        filters = (("tool", tool), ("kind", kind), ("group_id", group), ("parent_id", parent))
        for column, value in filters:
            if value is not None:
                clauses.append(f"{column} = ?")
                values.append(value)
        if before is not None:
            clauses.append("created_at < ?")
            values.append(before)
        with self.lock:
            rows = self.connection.execute(
                f"SELECT * FROM images WHERE {' AND '.join(clauses)} "
                "ORDER BY created_at DESC, rowid DESC LIMIT ?",
                (*values, limit),
            ).fetchall()
        return [self._record(row) for row in rows]

    def sees_all(self) -> bool:
        """Return whether the running call may see everybody's pictures and personas."""
        return self._shared or sees_all()

    def owns(self, record: ImageRecord) -> bool:
        """Return whether the running call may change a picture, not only see it."""
        return self.sees_all() or record.caller == current_caller()

    def owner(self) -> str | None:
        """Return whom new pictures and personas of the running call belong to."""
        return None if self._shared else current_caller()

    def publish(
        self, connection: sqlite3.Connection, image_ids: Sequence[str], *, published: bool = True
    ) -> None:
        """Let everybody see these pictures by their ids, without recipes; or only their callers."""
        connection.executemany(
            "UPDATE images SET published = ? WHERE image_id = ?",
            [(int(published), image_id) for image_id in image_ids],
        )

    def read_bytes(self, image_id: str) -> bytes:
        """Return the picture's file."""
        return self.get(image_id).path.read_bytes()

    def open_image(self, image_id: str) -> Image.Image:
        """Return the decoded picture. Files here were written by us, so no limits apply."""
        image = Image.open(io.BytesIO(self.read_bytes(image_id)), formats=("PNG", "JPEG", "WEBP"))
        image.load()
        return image

    def thumbnail(self, image_id: str, side: int = 384) -> bytes:
        """Return a WebP copy whose longest side is at most `side` pixels, made once."""
        record = self.get(image_id)
        name = _thumbnail_name(record, side)
        data = self._recent.get(name)
        if data is None:
            data = self._read_thumbnail(record, side, self.thumbnails / name)
            self._recent.keep(name, data)
        return data

    def recent_thumbnail(self, record: ImageRecord, side: int) -> bytes | None:
        """Return a thumbnail if it is still in memory; never waits for a disk."""
        return self._recent.get(_thumbnail_name(record, side))

    def _read_thumbnail(self, record: ImageRecord, side: int, path: Path) -> bytes:
        if path.exists():
            return path.read_bytes()
        from agent_tools.pictures import thumbnail_webp
        from agent_tools.provenance import read_xmp

        mark = read_xmp(self.read_bytes(record.image_id))
        data = thumbnail_webp(self.open_image(record.image_id), side, mark)
        write_atomically(path, data, sync=False)
        return data

    def close(self) -> None:
        """Close the database."""
        with self.lock:
            self.connection.close()

    def _remove_orphans(self) -> None:
        known = {row[0] for row in self.connection.execute("SELECT file FROM images")}
        too_young = time.time() - _ORPHAN_AGE_S
        for path in self.files.glob("*/*"):
            if str(path.relative_to(self.files)) in known:
                continue
            with suppress(FileNotFoundError):  # another process that starts now removes it too
                if path.stat().st_mtime < too_young:
                    path.unlink()

    def _write_file(self, image: NewImage) -> ImageRecord:
        digest = hashlib.sha256(image.data).hexdigest()
        path = self.files / digest[:2] / f"{digest}{_SUFFIX[image.media_type]}"
        try:
            os.utime(path)  # an orphan of an earlier crash is young again: nobody may remove it now
        except FileNotFoundError:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, image.data)
        known = {f.name: getattr(image, f.name) for f in fields(image) if f.name != "data"}
        caller = self.owner()
        return ImageRecord(
            image_id=self._image_id(digest, caller),
            sha256=digest,
            path=path,
            created_at=time.time(),
            caller=caller,
            **known,
        )

    def id_of(self, data: bytes) -> str:
        """Return the id that a file gets when the running call stores it."""
        return self._image_id(hashlib.sha256(data).hexdigest(), self.owner())

    def _image_id(self, digest: str, caller: str | None) -> str:
        if caller is None:
            return f"img_{digest[:24]}"
        said = f"{caller}\n{digest}".encode()
        return f"img_{hmac.new(self._key, said, hashlib.sha256).hexdigest()[:32]}"

    def _insert(self, connection: sqlite3.Connection, record: ImageRecord) -> None:
        row = {f.name: getattr(record, f.name) for f in fields(record)}
        row["file"] = str(row.pop("path").relative_to(self.files))
        row["group_id"] = row.pop("group")
        for name in _JSON_FIELDS:
            # One row that is no JSON would break every query that looks into the column.
            row[name] = json.dumps(row[name], ensure_ascii=False, allow_nan=False)
        columns = ", ".join(row)
        marks = ", ".join("?" * len(row))
        # The same picture painted again keeps its first row: ids are stable, links stay valid.
        connection.execute(
            f"INSERT OR IGNORE INTO images ({columns}) VALUES ({marks})", tuple(row.values())
        )
        kept = connection.execute(
            "SELECT sha256 FROM images WHERE image_id = ?", (record.image_id,)
        ).fetchone()[0]
        if kept != record.sha256:  # whoever made two such files meant to
            raise AgentToolsError(
                "This file has the id of another picture.",
                code="bad_picture",
                hint="Change something in it.",
            )

    def _record(self, row: sqlite3.Row) -> ImageRecord:
        values = dict(row)
        values["path"] = self.files / values.pop("file")
        del values["published"]
        values["group"] = values.pop("group_id")
        for name in _JSON_FIELDS:
            values[name] = json.loads(values[name])
        values["tags"] = tuple(values["tags"])
        values["notes"] = tuple(values["notes"])
        if not self.sees_all() and values["caller"] != current_caller():
            values["recipe"], values["parent_id"] = {}, None  # prompts stay at home
        return ImageRecord(**values)


def _thumbnail_name(record: ImageRecord, side: int) -> str:
    return f"{record.sha256[:32]}-{side}.webp"
