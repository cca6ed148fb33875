"""Knowledge bases, one file each; `open_target` turns a name into one."""

from __future__ import annotations

import re
from pathlib import Path

from kb_export.errors import BadTarget
from kb_export.targets.base import Capabilities, KBTarget

__all__ = ["Capabilities", "KBTarget", "open_target", "target_name"]

_SCHEMES = "folder:PATH or s3://bucket/prefix"


def target_name(spec: str) -> str:
    """Return the one spelling of a target's name, which names it in the outbox.

    Raises:
        BadTarget: if `spec` names no kind of knowledge base that exists.
    """
    scheme, colon, rest = spec.strip().partition(":")
    if scheme == "folder" and colon:
        if not rest or "\0" in rest:
            raise BadTarget("The folder's path is missing.", hint="Write folder:PATH.")
        return f"folder:{Path(rest).expanduser().absolute()}"
    if scheme == "s3" and colon:
        found = re.fullmatch(r"//([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([\w!.*'()/-]*))?", rest)
        if found is None or ".." in rest:
            raise BadTarget(
                f"{spec[:200]!r} is not the name of an S3 place.",
                hint="Write s3://bucket/prefix with a plain prefix.",
            )
        prefix = "/".join(part for part in (found[2] or "").split("/") if part)
        if prefix.startswith("aws/") or prefix == "aws":
            raise BadTarget("A prefix must not begin with 'aws/': Bedrock reserves it.")
        return f"s3://{found[1]}/{prefix}" if prefix else f"s3://{found[1]}"
    raise BadTarget(f"{spec[:200]!r} names no kind of knowledge base.", hint=f"Write {_SCHEMES}.")


def open_target(spec: str, *, s3_endpoint: str | None = None) -> KBTarget:
    """Return the knowledge base that `spec` names; nothing is sent yet.

    Args:
        spec: "folder:PATH" or "s3://bucket/prefix".
        s3_endpoint: address of another store that speaks S3; comes from settings only, never
            from a caller.

    Raises:
        BadTarget: for an unknown scheme or a malformed name.
        TargetUnavailable: if the folder cannot be made.
    """
    name = target_name(spec)
    if name.startswith("folder:"):
        from kb_export.targets.folder import FolderTarget

        return FolderTarget(Path(name.removeprefix("folder:")))
    from kb_export.targets.s3 import S3Target

    bucket, _, prefix = name.removeprefix("s3://").partition("/")
    return S3Target(bucket, prefix, endpoint=s3_endpoint)
