"""The platforms behind stubs, so that one test asks the same of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from kb_pictures import new_picture
from stubs.dify_stub import DifyStub
from stubs.open_webui_stub import OpenWebUIStub
from stubs.ragflow_stub import RAGFlowStub
from stubs.strict_platform import KEY, StrictPlatform, serving

from kb_export.record import KBRecord
from kb_export.targets import KBTarget
from kb_export.targets.connection import Connection
from kb_export.targets.dify import DifyTarget
from kb_export.targets.http import PlatformClient
from kb_export.targets.open_webui import OpenWebUITarget
from kb_export.targets.platform import record_id_of
from kb_export.targets.ragflow import RAGFlowTarget

SCHEMES = ("open-webui", "dify", "ragflow")


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Stub(Protocol):
    """What the three stubs have in common."""

    def documents(self) -> dict[str, Any]: ...

    def place(self, name: str) -> Any: ...


@dataclass
class Case:
    """One platform: its stub, how a target for it is named and opened."""

    scheme: str
    stub: Any
    clock: Clock = field(default_factory=Clock)

    @property
    def spec(self) -> str:
        base = self.stub.knowledge_id if self.scheme == "open-webui" else self.stub.dataset_id
        return f"{self.scheme}:{base}"

    @property
    def url(self) -> str:
        return str(self.stub.url) + ("/v1" if self.scheme == "dify" else "")

    @property
    def prefix(self) -> str:
        return f"AGENT_TOOLS_KB_{self.scheme.upper().replace('-', '_')}_"

    @property
    def environment(self) -> dict[str, str]:
        return {f"{self.prefix}URL": self.url, f"{self.prefix}API_KEY": KEY}

    def client(self, key: str = KEY, **options: Any) -> PlatformClient:
        connection = Connection(
            self.scheme, self.url, key, f"{self.prefix}URL", f"{self.prefix}API_KEY"
        )
        return PlatformClient(connection, sleep=self.clock.sleep, **options)

    def open(self, key: str = KEY, spec: str = "", **options: Any) -> KBTarget:
        """Return a target whose waiting takes no time."""
        made: Any = {
            "open-webui": OpenWebUITarget,
            "dify": DifyTarget,
            "ragflow": RAGFlowTarget,
        }[self.scheme]
        name = (spec or self.spec).partition(":")[2]
        target: KBTarget = made(
            name, self.client(key, **options), sleep=self.clock.sleep, clock=self.clock
        )
        return target

    def texts(self) -> dict[str, str]:
        """Return the documents of ours by record id; two of one record are an error."""
        found: dict[str, str] = {}
        for name, value in self.stub.documents().items():
            record_id = record_id_of(name)
            if record_id is None:
                continue
            assert record_id not in found
            text = value if isinstance(value, bytes) else value.get("content") or value.get("text")
            found[record_id] = text.decode() if isinstance(text, bytes) else str(text)
        return found

    def metadata(self, record_id: str) -> dict[str, Any]:
        if self.scheme == "open-webui":
            files = [f for f in self.stub.files.values() if record_id in f["filename"]]
            return dict(files[0]["meta"]["data"])
        value = next(v for n, v in self.stub.documents().items() if record_id in n)
        return dict(value["metadata" if self.scheme == "dify" else "meta_fields"])


@contextmanager
def running(scheme: str) -> Iterator[Case]:
    """Serve one platform's stub; a request of another shape fails the test at the end."""
    stub: StrictPlatform = {
        "open-webui": OpenWebUIStub,
        "dify": DifyStub,
        "ragflow": RAGFlowStub,
    }[scheme]()
    with serving(stub):
        yield Case(scheme, stub)
    assert stub.violations == []


def picture(name: str, **words: Any) -> tuple[KBRecord, bytes]:
    """Return a picture's record, which has a public address, and its file."""
    image = new_picture(name)
    values: dict[str, Any] = {
        "title": name.capitalize(),
        "caption": f"A {name} on a white background.",
        "alt": f"A {name}.",
        "use_when": f"Someone asks to see a {name}.",
        "facts": {"sku": "TP-1", "price": 19.5, "source": "studio"},
        "tags": ("tea", "kitchen"),
        "group": "teapots",
        "image_url": f"https://pictures.example/images/{name.replace(' ', '-')}.png",
        "provenance": {"ai_generated": True, "model": "starter"},
        **words,
    }
    sha256 = hashlib.sha256(image.data).hexdigest()
    record = KBRecord.make(
        image_id=f"img_{sha256[:12]}",
        sha256=sha256,
        media_type="image/png",
        width=16,
        height=12,
        **values,
    )
    return record, image.data
