"""Ways to the LangChain target behind a knowledge base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.record import KBRecord
from kb_export.targets.langchain_target import LangChainTarget

Configure = Callable[..., None]


def knowledge_of(gallery: Gallery, target: str = "langchain:shop", **settings: Any) -> Knowledge:
    return Knowledge(gallery, Settings(data=gallery.data_dir, kb=target, **settings))


def opened(knowledge: Knowledge) -> LangChainTarget:
    """Return the target that the knowledge base exports to."""
    target = knowledge._targets[knowledge.default_target]
    assert isinstance(target, LangChainTarget)
    return target


def found(knowledge: Knowledge, question: str, k: int = 10) -> list[Any]:
    return opened(knowledge).vector_store.similarity_search(question, k=k)


def contents(documents: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(
        ((each.page_content, dict(each.metadata)) for each in documents), key=lambda pair: pair[0]
    )


def a_record(**values: Any) -> KBRecord:
    return KBRecord.make(
        **{
            "image_id": "img_1",
            "sha256": "ab" * 32,
            "media_type": "image/png",
            "width": 1,
            "height": 1,
            "title": "Teapot",
            "caption": "A teapot.",
            "alt": "A teapot.",
            **values,
        }
    )
