"""The name of an Amazon Bedrock knowledge base. Loads no boto3.

bedrock:KB_ID/DATA_SOURCE_ID                        a custom data source: documents go straight
bedrock:KB_ID/DATA_SOURCE_ID@s3://bucket/prefix     an S3 data source: objects, then a sync
"""

from __future__ import annotations

import re

from kb_export.errors import BadTarget
from kb_export.targets import s3_place
from kb_export.targets.base import KBTarget
from kb_export.targets.kind import TargetKind
from kb_export.targets.settings import TargetSettings

SYNTAX = "bedrock:KB_ID/DATA_SOURCE_ID[@s3://bucket/prefix]"
INGESTIONS = ("job", "direct")
# "bucket/prefix" in front of a document's key: Bedrock takes 128 characters behind "s3://".
_LONGEST_PLACE = 70


def parse(rest: str) -> str:
    """Return the one spelling of a knowledge base's name behind its scheme.

    Raises:
        BadTarget: for anything else, and for a bucket and prefix too long for Bedrock.
    """
    ids, at, place = rest.partition("@")
    # The form of both ids: https://docs.aws.amazon.com/bedrock/latest/APIReference/
    # API_agent_IngestKnowledgeBaseDocuments.html
    if not re.fullmatch(r"[0-9a-zA-Z]{10}/[0-9a-zA-Z]{10}", ids) or (
        at and not place.startswith("s3:")
    ):
        raise BadTarget(
            f"{f'bedrock:{rest}'[:200]!r} names no Bedrock knowledge base.",
            hint=f"Write {SYNTAX}; each id has 10 letters and digits.",
        )
    if not at:
        return f"bedrock:{ids}"
    place = s3_place.parse(place.removeprefix("s3:"))
    if len(place) > len("s3://") + _LONGEST_PLACE:
        raise BadTarget(
            f"{place} is too long: Bedrock takes keys of 128 characters with the bucket's name.",
            hint=f"Choose bucket and prefix of at most {_LONGEST_PLACE} characters together.",
        )
    return f"bedrock:{ids}@{place}"


def open_target(name: str, settings: TargetSettings) -> KBTarget:
    """Return the knowledge base that `name` names.

    Settings: `region` (else boto3's usual chain); `ingestion` for S3 data sources: "job" (a sync,
    the default) or "direct" (ten documents a call).

    Raises:
        BadTarget: for a malformed setting, or `ingestion` where it means nothing.
    """
    from kb_export.targets import bedrock, bedrock_s3
    from kb_export.targets.bedrock_source import DataSource
    from kb_export.targets.s3 import S3Target

    region = settings.get("region")
    if region is not None and not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
        raise BadTarget("AGENT_TOOLS_KB_BEDROCK_REGION is no AWS region.", hint="As: eu-central-1.")
    ingestion = settings.get("ingestion", "job")
    if ingestion not in INGESTIONS:
        raise BadTarget(
            "AGENT_TOOLS_KB_BEDROCK_INGESTION is malformed.", hint="Write 'job' or 'direct'."
        )
    ids, _, place = name.removeprefix("bedrock:").partition("@")
    source = DataSource(*ids.split("/"), region=region)
    if not place:
        return bedrock.BedrockTarget(source)
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    return bedrock_s3.BedrockBucketTarget(
        source, S3Target(bucket, prefix, region=region), direct=ingestion == "direct"
    )


KIND = TargetKind("bedrock", SYNTAX, parse, open_target, settings=("region", "ingestion"))
