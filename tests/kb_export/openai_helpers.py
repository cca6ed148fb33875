"""Ways to the OpenAI target on the strict server."""

from __future__ import annotations

from typing import Any

import pytest
from stubs.openai_server import STORE

from kb_export.record import KBRecord
from kb_export.targets import open_target

OpenAITarget = pytest.importorskip("kb_export.targets.openai_target").OpenAITarget
TARGET = f"openai:{STORE}"
PUBLIC = "https://shop.example"


def opened() -> OpenAITarget:
    target = open_target(TARGET)
    assert isinstance(target, OpenAITarget)
    target._sleep = lambda seconds: None
    return target


def a_record(caption: str = "A teapot.", **values: Any) -> KBRecord:
    return KBRecord.make(
        **{
            "image_id": "img_1",
            "sha256": "ab" * 32,
            "media_type": "image/png",
            "width": 1,
            "height": 1,
            "title": "Teapot",
            "caption": caption,
            "alt": "A teapot.",
            "image_url": f"{PUBLIC}/images/img_1",
            **values,
        }
    )
