"""Which weights a folder holds, as one hash. Loads no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.errors import ModelNotLoaded

_MAX_JSON = 64 * 1024 * 1024
_MAX_HEADER = 100 * 1024 * 1024


def folder_revision(folder: Path) -> str:
    """Return "sha256:" and a hash over the folder's file names, sizes, JSON and tensor tables.

    Of tensor data only samples are read, so gigabytes cost nothing; safetensors puts the table of
    names, shapes and offsets in front (https://huggingface.co/docs/safetensors).

    Raises:
        ModelNotLoaded: if a .safetensors file is none.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".safetensors", ".json", ".txt", ".model") or not path.is_file():
            continue
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            if path.suffix != ".safetensors":
                digest.update(file.read(_MAX_JSON))
                continue
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _MAX_HEADER):
                raise ModelNotLoaded(
                    f"{path.name} in '{path.parent.name}' is not a safetensors file.",
                    hint="Copy or download the whole folder again.",
                )
            digest.update(file.read(length))
            # Weights that differ in values alone have equal tables: sample the data too, its end
            # included.
            for offset in (
                *range(8 + length, size, max(1, (size - 8 - length) // 16)),
                size - 4096,
            ):
                file.seek(max(8 + length, offset))
                digest.update(file.read(4096))
    return "sha256:" + digest.hexdigest()
