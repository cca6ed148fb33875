"""Galleries full of small pictures and a local S3 server, for benchmarks of the export."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from agent_tools.gallery import Gallery
from agent_tools.image_record import NewImage
from agent_tools.pictures import encode_png
from kb_export.outbox import Outbox
from kb_export.record import KBRecord

BUCKET = "kb-bench"
_BATCH = 500
_AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def fill(data: Path, count: int) -> list[KBRecord]:
    """Make a gallery of `count` distinct pictures and return their records."""
    gallery = Gallery(data)
    records = []
    for start in range(0, count, _BATCH):
        images = [_picture(number) for number in range(start, min(start + _BATCH, count))]
        for stored in gallery.add(images):
            records.append(
                KBRecord.make(
                    image_id=stored.image_id,
                    sha256=stored.sha256,
                    media_type=stored.media_type,
                    width=stored.width,
                    height=stored.height,
                    image_bytes=stored.path.stat().st_size,
                    title=stored.title,
                    caption=stored.caption,
                    alt=stored.alt,
                    use_when=stored.use_when,
                    facts={"sku": stored.title.replace(" ", "-")},
                    provenance={"kind": "product", "ai_generated": True},
                )
            )
    gallery.close()
    return records


def owe(data: Path, target: str, records: list[KBRecord]) -> None:
    """Queue the records for a target."""
    gallery = Gallery(data)
    outbox = Outbox(gallery)
    for start in range(0, len(records), _BATCH):
        with gallery.transaction() as connection:
            outbox.enqueue(connection, target, records[start : start + _BATCH])
    gallery.close()


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's S3 server in a process of its own, with one bucket; yield its address."""
    os.environ.update(_AWS)
    code = (
        "from moto.server import ThreadedMotoServer as S;"
        "s=S(ip_address='127.0.0.1',port=0,verbose=False);s.start();"
        "print(*s.get_host_and_port(),flush=True);input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"(\S+) (\d+)\s*$", process.stdout.readline())
        if found is None:
            raise SystemExit("moto's server did not start: pip install 'moto[server]'")
        address = f"http://{found[1]}:{found[2]}"
        import boto3

        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        yield address
    finally:
        process.terminate()
        process.wait()


def _picture(number: int) -> NewImage:
    image = Image.new("RGB", (16, 12), (number % 256, number // 256 % 256, 128))
    return NewImage(
        data=encode_png(image),
        media_type="image/png",
        width=16,
        height=12,
        model="drawn",
        tool="generate_image",
        kind="product",
        title=f"Teapot {number}",
        caption=f"Teapot number {number} with a wide handle.",
        alt=f"Teapot {number}.",
        use_when=f"Someone asks for teapot {number}.",
        seed=number,
        recipe={"tool": "generate_image", "prompt": f"teapot {number}"},
    )
