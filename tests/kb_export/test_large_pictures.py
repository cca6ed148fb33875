"""Pictures too large for knowledge bases, in a bucket."""

from __future__ import annotations

import hashlib
import io
import random
from typing import Any

from PIL import Image

from kb_export.bundle import document_key
from kb_export.record import KBRecord
from kb_export.targets import open_target


def test_the_link_of_a_large_picture_leads_to_its_copy_under_two_megabytes(
    s3_client: Any, s3_endpoint: str, bucket: str
) -> None:
    buffer = io.BytesIO()
    Image.frombytes("RGB", (900, 900), random.Random(1).randbytes(900 * 900 * 3)).save(
        buffer, "PNG"
    )
    image = buffer.getvalue()
    record = KBRecord.make(
        image_id="img_large",
        sha256=hashlib.sha256(image).hexdigest(),
        media_type="image/png",
        width=900,
        height=900,
        image_bytes=len(image),
        title="Noise",
        caption="Noise.",
        alt="Noise.",
    )
    target = open_target(f"s3://{bucket}/large", {"endpoint": s3_endpoint})
    target.put(record, image)

    def read(key: str) -> bytes:
        body = s3_client.get_object(Bucket=bucket, Key=f"large/{key}")["Body"].read()
        assert isinstance(body, bytes)
        return body

    page = read(document_key(record.record_id)).decode()
    link = page.partition("](../../")[2].partition(")")[0]
    assert len(read(link)) < 2_000_000 < len(image)
    assert read(f"images/{record.sha256[:2]}/{record.sha256}.png") == image
    target.delete(record.sha256)
    left = s3_client.list_objects_v2(Bucket=bucket, Prefix="large/").get("Contents", [])
    assert left == []
