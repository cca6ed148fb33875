"""Vector stores and embeddings that tests reach by dotted path, as an operator's own module."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from PIL import Image

SIZE = 64
COLORS = ("red", "green", "blue")  # words with a slot of their own
_lasting: dict[str, InMemoryVectorStore] = {}


def _slot(word: str) -> int:
    if word in COLORS:
        return COLORS.index(word)
    places = SIZE - len(COLORS)
    return len(COLORS) + int.from_bytes(hashlib.sha256(word.encode()).digest()[:2]) % places


class WordEmbeddings(Embeddings):
    """Counts words into 64 slots: texts that share words are near each other."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector = [0.0] * SIZE
        for word in text.lower().replace(".", " ").split():
            vector[_slot(word)] += 1.0
        length = sum(value * value for value in vector) ** 0.5 or 1.0
        return [value / length for value in vector]


class ColorEmbeddings(WordEmbeddings):
    """Takes pictures, too: a picture lies where the name of its strongest channel lies."""

    def embed_image(self, uris: list[str]) -> list[list[float]]:
        vectors = []
        for uri in uris:
            with Image.open(uri) as image:
                pixel = image.convert("RGB").getpixel((0, 0))
            assert isinstance(pixel, tuple)
            vectors.append(self.embed_query(COLORS[pixel.index(max(pixel))]))
        return vectors


def lasting_store(embedding: Embeddings, key: str) -> InMemoryVectorStore:
    """Return the one store of this key: it outlives targets, as a server does."""
    return _lasting.setdefault(key, InMemoryVectorStore(embedding))


class UnwillingStore(VectorStore):
    """A store without `get_by_ids`, which refuses ids that it has and the word "forbidden"."""

    def __init__(self, embedding: Embeddings, path: str) -> None:
        self.texts: dict[str, str] = {}
        self.down = not Path(path).exists()
        self.path = path

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        if not Path(self.path).exists():
            raise RuntimeError("no connection to db://user:hunter2@host")
        for key, document in zip(kwargs["ids"], documents, strict=True):
            if key in self.texts:
                raise ValueError("this id is there already")
            if "forbidden" in document.page_content:
                raise ValueError("refused: hunter2")
            self.texts[key] = document.page_content
        return list(kwargs["ids"])

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        for key in ids or ():
            self.texts.pop(key, None)
        return True

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        if not Path(self.path).exists():
            raise RuntimeError("no connection")
        return []

    @classmethod
    def from_texts(cls, *args: Any, **kwargs: Any) -> UnwillingStore:
        raise NotImplementedError


class StoreWithoutDelete(UnwillingStore):
    """A store that cannot delete."""

    delete = VectorStore.delete


not_callable = "just a text"
