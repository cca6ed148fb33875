"""The name of a place in S3. Loads no boto3."""

from __future__ import annotations

import re

from kb_export.errors import BadTarget
from kb_export.targets.base import KBTarget
from kb_export.targets.kind import TargetKind
from kb_export.targets.settings import TargetSettings


def parse(rest: str) -> str:
    """Return the one spelling of "//bucket/prefix" behind its scheme.

    Raises:
        BadTarget: for anything else, and for prefixes that Bedrock reserves.
    """
    found = re.fullmatch(r"//([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([\w!.*'()/-]*))?", rest)
    if found is None or ".." in rest:
        raise BadTarget(
            f"{f's3:{rest}'[:200]!r} is not the name of an S3 place.",
            hint="Write s3://bucket/prefix with a plain prefix.",
        )
    prefix = "/".join(part for part in (found[2] or "").split("/") if part)
    if prefix.startswith("aws/") or prefix == "aws":
        raise BadTarget("A prefix must not begin with 'aws/': Bedrock reserves it.")
    return f"s3://{found[1]}/{prefix}" if prefix else f"s3://{found[1]}"


def open_target(name: str, settings: TargetSettings) -> KBTarget:
    """Return the bucket that `name` names; the setting `endpoint` is for other stores than AWS."""
    from kb_export.targets.s3 import S3Target

    bucket, _, prefix = name.removeprefix("s3://").partition("/")
    return S3Target(bucket, prefix, endpoint=settings.get("endpoint"))


KIND = TargetKind("s3", "s3://bucket/prefix", parse, open_target, settings=("endpoint",))
