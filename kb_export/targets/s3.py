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
from contextlib import contextmanager, suppress
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
from kb_export.targets.aws_errors import answered, unreachable
from kb_export.targets.base import Capabilities

# From here on a picture travels in parts, so that a broken connection costs one part.
MULTIPART_FROM = 16 * 1024 * 1024
PART_BYTES = 8 * 1024 * 1024  # S3 takes no part but the last below 5 MiB
_CONDITION_FAILED = {"PreconditionFailed", "412", "ConditionalRequestConflict"}
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

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._conditional: bool | None = None
        # A session of our own: boto3's shared one keeps the first credentials it saw.
        self._client: Any = boto3.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "max_attempts": 2},
                signature_version="s3v4",  # signed links are V2 in some regions without it
                # The hash of the body is part of the signature: stores that know no checksum
                # headers refuse damaged bytes, too.
                s3={
                    "payload_signing_enabled": True,
                    **({"addressing_style": "path"} if endpoint else {}),
                },
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

        The document comes after all that it needs: a record is there exactly when its document
        is. Older documents go last, so that a crash leaves the older words, the newer ones or
        both, never none.
        """
        with self._errors(record):
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
            self._remove_documents(record.sha256, keep=record.record_id)

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

    def read_url(self, record: KBRecord, seconds: int = 300) -> str:
        """Return an address that shows the picture to anybody for `seconds`, at most a week.

        Make one when a picture is about to be shown, and never store it: it expires, with the
        credentials that signed it or before.

        Raises:
            ValueError: if `seconds` is not within 1 and 604,800, SigV4's limit.
        """
        if not 1 <= seconds <= 604_800:
            raise ValueError(f"seconds must be within 1 and 604800, not {seconds}")
        with self._errors():
            address: str = self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._bucket, "Key": self._prefix + delivery_key(record)},
                ExpiresIn=seconds,
            )
        return address

    def _write(self, key: str, data: bytes, media_type: str) -> None:
        """Write an object unless it is there; keys are content-addressed, so what is there is it.

        Where the store ignores or refuses `If-None-Match`, and for large objects, a look before
        the write saves the transfer, and a race of two writers ends with the same bytes.
        """
        if self._conditional is None:
            self._conditional = self._honors_conditions()
        large = len(data) >= MULTIPART_FROM
        if large or not self._conditional:
            if not self._same(key, data):
                (self._put_parts if large else self._put_object)(key, data, media_type)
            return
        try:
            self._put_object(key, data, media_type, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CONDITION_FAILED:
                raise
            if not self._same(key, data):
                # Documents may differ when the package's layout changed; damaged objects, too.
                self._put_object(key, data, media_type)

    def _put_object(self, key: str, data: bytes, media_type: str, **condition: str) -> None:
        self._client.put_object(
            Bucket=self._bucket,
            Key=self._prefix + key,
            Body=data,
            ContentType=media_type,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=_sha256(data),
            **condition,
        )

    def _put_parts(self, key: str, data: bytes, media_type: str) -> None:
        """Write a large object in parts, each with its checksum; a failure leaves no part."""
        place = {"Bucket": self._bucket, "Key": self._prefix + key}
        upload = self._client.create_multipart_upload(
            **place, ContentType=media_type, ChecksumAlgorithm="SHA256"
        )["UploadId"]
        try:
            parts = []
            for number, part in enumerate(_parts(data), 1):
                checksum = _sha256(part)
                sent = self._client.upload_part(
                    **place,
                    UploadId=upload,
                    PartNumber=number,
                    Body=part,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=checksum,
                )
                parts.append(
                    {"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": checksum}
                )
            self._client.complete_multipart_upload(
                **place, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            # Parts of an upload that never ends are stored, and paid for, unseen.
            with suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(**place, UploadId=upload)
            raise

    def _same(self, key: str, data: bytes) -> bool:
        """Tell whether the object is there with these bytes, by SHA-256 or else by ETag.

        Both have another form for objects that came in parts. A wrong "no" (an encrypted
        object's ETag is no MD5) costs one more write.
        """
        try:
            found = self._client.head_object(
                Bucket=self._bucket, Key=self._prefix + key, ChecksumMode="ENABLED"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
                return False
            raise
        parts = list(_parts(data)) if len(data) >= MULTIPART_FROM else []
        checksums, tags = {_sha256(data)}, {_md5(data).hexdigest()}
        if parts:
            checksums.add(_sha256(b"".join(hashlib.sha256(part).digest() for part in parts)))
            digests = b"".join(_md5(part).digest() for part in parts)
            tags.add(f"{_md5(digests).hexdigest()}-{len(parts)}")
        known = found.get("ChecksumSHA256")
        if known is not None:
            return known.partition("-")[0] in checksums  # "-2" counts the parts; some leave it out
        return found.get("ETag", "").strip('"') in tags

    def _honors_conditions(self) -> bool:
        """Write a scratch object twice with `If-None-Match: *`; the second must be refused."""
        key = f"{self._prefix}.agent-tools-probe-{uuid.uuid4().hex}"
        try:
            for _ in range(2):
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=b"probe", IfNoneMatch="*"
                )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in _CONDITION_FAILED | _REFUSED_CONDITION:
                raise
            return code in _CONDITION_FAILED
        finally:
            with suppress(ClientError, BotoCoreError):
                self._client.delete_object(Bucket=self._bucket, Key=key)
        return False

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
            raise answered(self.name, code, _CONFIGURATION) from error
        except BotoCoreError as error:
            raise unreachable(self.name, error) from error


def _parts(data: bytes) -> Iterator[bytes]:
    return (data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES))


def _sha256(data: bytes) -> str:
    """Return the SHA-256 as S3's checksum headers write it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _md5(data: bytes) -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)
