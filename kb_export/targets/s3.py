"""A knowledge base in a bucket: the folder's layout, ready for an Amazon Bedrock data source.

Point the data source at `<prefix>/docs/`. Objects are content-addressed and written once; links
in documents are stable names, never presigned URLs, which expire within days.
boto3 is loaded with this module only.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from kb_export.bundle import (
    DOCUMENT_KEY,
    delivery_key,
    document,
    document_key,
    document_prefix,
    image_files,
    image_prefix,
    sidecar,
    sidecar_key,
)
from kb_export.errors import RecordRefused, TargetUnavailable
from kb_export.record import KBRecord
from kb_export.targets.base import Capabilities

_REFUSED_CONDITION = {"NotImplemented", "InvalidArgument", "InvalidRequest", "501"}
_CONFIGURATION = {
    "NoSuchBucket": "Create the bucket or correct the target's name.",
    "AccessDenied": "Give the credentials s3:GetObject, PutObject, DeleteObject and ListBucket.",
    "403": "Give the credentials s3:GetObject, PutObject, DeleteObject and ListBucket.",
    "InvalidAccessKeyId": "Check the AWS credentials of this process.",
    "SignatureDoesNotMatch": "Check the AWS credentials of this process.",
    "ExpiredToken": "Renew the AWS credentials of this process.",
    "PermanentRedirect": "Set the bucket's own region (AWS_REGION).",
}


class S3Target:
    """Write records below `s3://bucket/prefix`.

    Credentials come from boto3's usual chain. `endpoint` is for other stores that speak S3.
    """

    def __init__(self, bucket: str, prefix: str = "", *, endpoint: str | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._conditional: bool | None = None
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "max_attempts": 2},
                s3={"addressing_style": "path"} if endpoint else None,
                # We send SHA-256 ourselves; older stores do not know the SDK's trailing CRC.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    @property
    def name(self) -> str:
        """The full name, as `open_target` takes it."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def label(self) -> str:
        """The same as the name: it holds no secret."""
        return self.name

    @property
    def capabilities(self) -> Capabilities:
        """`conditional_put` is known after the first write, which probes for it."""
        return Capabilities(conditional_put=self._conditional, checksums=True, pages=False)

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture (see `KBTarget.put`).

        The document comes last: a record is there exactly when its document is.
        """
        with self._errors(record):
            self._remove_documents(record.sha256, keep=record.record_id)
            for key, (data, media_type) in image_files(record, image).items():
                self._write(key, data, media_type)
            self._write(
                sidecar_key(record.record_id),
                sidecar(record, f"{self.name}/{delivery_key(record)}"),
                "application/json",
            )
            self._write(
                document_key(record.record_id), document(record), "text/markdown; charset=utf-8"
            )

    def delete(self, sha256: str) -> None:
        """Remove the picture and every record of it (see `KBTarget.delete`)."""
        with self._errors():
            self._remove_documents(sha256)
            self._remove(self._keys(image_prefix(sha256)))

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all records there."""
        with self._errors():
            return frozenset(
                found[1] for key in self._keys("docs/") if (found := DOCUMENT_KEY.fullmatch(key))
            )

    def flush(self) -> None:
        """Do nothing: a bucket has no derived pages."""

    def wait(self, timeout_s: float) -> None:
        """Return at once: what is written can be read."""

    def _write(self, key: str, data: bytes, media_type: str) -> None:
        """Write an object unless it is there; keys are content-addressed, so what is there is it.

        Where the store ignores or refuses `If-None-Match`, a look before the write saves the
        transfer, and a race of two writers ends with the same bytes.
        """
        if self._conditional is None:
            self._conditional = self._honors_conditions()
        if not self._conditional:
            if not self._same(key, data):
                self._put_object(key, data, media_type)
            return
        try:
            self._put_object(key, data, media_type, IfNoneMatch="*")
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
                raise
            if not self._same(key, data):
                # Documents may differ when the package's layout changed; damaged objects, too.
                self._put_object(key, data, media_type)

    def _put_object(self, key: str, data: bytes, media_type: str, **condition: str) -> None:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        self._client.put_object(
            Bucket=self._bucket,
            Key=self._prefix + key,
            Body=data,
            ContentType=media_type,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=digest,
            **condition,
        )

    def _same(self, key: str, data: bytes) -> bool:
        """Tell whether the object is there with these bytes, by SHA-256 or else by ETag.

        A wrong "no" (an encrypted object's ETag is no MD5) costs one more write.
        """
        try:
            found = self._client.head_object(
                Bucket=self._bucket, Key=self._prefix + key, ChecksumMode="ENABLED"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
                return False
            raise
        known = found.get("ChecksumSHA256")
        if known is not None:
            return bool(known == base64.b64encode(hashlib.sha256(data).digest()).decode())
        etag = found.get("ETag", "").strip('"')
        return bool(etag == hashlib.md5(data, usedforsecurity=False).hexdigest())

    def _honors_conditions(self) -> bool:
        """Write a scratch object twice with `If-None-Match: *`; the second must be refused."""
        key = f"{self._prefix}.agent-tools-probe-{uuid.uuid4().hex}"
        try:
            for _ in range(2):
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=b"probe", IfNoneMatch="*"
                )
            honored = False
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("PreconditionFailed", "412"):
                honored = True
            elif code in _REFUSED_CONDITION:
                honored = False
            else:
                raise
        self._client.delete_object(Bucket=self._bucket, Key=key)
        return honored

    def _remove_documents(self, sha256: str, keep: str | None = None) -> None:
        keys = [
            key
            for key in self._keys(document_prefix(sha256))
            if keep is None or f"/{keep}.md" not in key
        ]
        # Documents before sidecars: a document without its facts must never be ingested.
        self._remove(sorted(keys, key=len))

    def _remove(self, keys: list[str]) -> None:
        for key in keys:
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def _keys(self, start: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + start
        )
        return [
            item["Key"].removeprefix(self._prefix)
            for page in pages
            for item in page.get("Contents", [])
        ]

    @contextmanager
    def _errors(self, record: KBRecord | None = None) -> Iterator[None]:
        try:
            yield
        except NoCredentialsError as error:
            raise TargetUnavailable(
                f"There are no credentials for {self.name}.",
                hint="Set AWS credentials for this process (environment, profile or role).",
                retryable=False,
            ) from error
        except ClientError as error:
            code = str(error.response["Error"]["Code"])
            if code == "EntityTooLarge" and record is not None:
                raise RecordRefused(
                    f"{record.image_id} is too large for {self.name}.",
                    hint="Export a smaller copy.",
                ) from error
            raise TargetUnavailable(
                f"{self.name} answered {code}.",
                hint=_CONFIGURATION.get(code, "Export again later; nothing is lost."),
                retryable=code not in _CONFIGURATION,
            ) from error
        except BotoCoreError as error:
            raise TargetUnavailable(
                f"{self.name} cannot be reached ({type(error).__name__}).",
                hint="Check the network and the endpoint, then export again; nothing is lost.",
            ) from error
