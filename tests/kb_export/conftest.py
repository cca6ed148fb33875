"""A gallery, a bucket on moto's S3 server, platforms behind strict stubs, vector stores."""

from __future__ import annotations

import gc
import importlib.util
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_helpers import Configure
from platform_cases import Case, running

from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings

if TYPE_CHECKING:
    from stubs.openai_server import OpenAIServer


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    patch = pytest.MonkeyPatch()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }.items():
        patch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        patch.delenv(name, raising=False)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    patch.undo()


@pytest.fixture
def s3_client(s3_endpoint: str) -> Any:
    import boto3

    return boto3.client("s3", endpoint_url=s3_endpoint)


@pytest.fixture
def bucket(s3_client: Any, request: pytest.FixtureRequest) -> str:
    import uuid

    name = f"kb-{uuid.uuid4().hex[:12]}"
    s3_client.create_bucket(Bucket=name)
    s3_client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def open_webui() -> Iterator[Case]:
    with running("open-webui") as made:
        yield made


@pytest.fixture
def dify() -> Iterator[Case]:
    with running("dify") as made:
        yield made


@pytest.fixture
def ragflow() -> Iterator[Case]:
    with running("ragflow") as made:
        yield made


STORES = ("memory", "chroma", "qdrant")


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
    monkeypatch.setenv("ANONYMIZED_TELEMETRY", "False")


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Return a function that sets the environment as an operator does."""

    def set_up(store: str, arguments: Any = None, **settings: str) -> None:
        values = {
            "store": store,
            "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments or {}),
            "embedding": "vector_stores.WordEmbeddings",
            "records": str(tmp_path / "records" / "langchain.sqlite3"),
            **settings,
        }
        for name, value in values.items():
            monkeypatch.setenv(f"AGENT_TOOLS_KB_LANGCHAIN_{name.upper()}", value)

    return set_up


@pytest.fixture(params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def vector_store(store_kind: str, tmp_path: Path, configure: Configure) -> Iterator[str]:
    """Set up one kind of store that lasts, and return its target's name."""
    if store_kind == "memory":
        configure("vector_stores:lasting_store", {"key": f"{{name}}-{uuid.uuid4().hex}"})
    elif store_kind == "chroma":
        if importlib.util.find_spec("langchain_chroma") is None:
            pytest.skip("langchain-chroma is not installed")
        configure(
            "langchain_chroma.Chroma",
            {"collection_name": "{name}", "persist_directory": str(tmp_path / "chroma")},
        )
    else:
        if importlib.util.find_spec("langchain_qdrant") is None:
            pytest.skip("langchain-qdrant is not installed")
        configure(
            "langchain_qdrant:QdrantVectorStore.construct_instance",
            {"collection_name": "{name}", "client_options": {"path": str(tmp_path / "qdrant")}},
        )
    yield "langchain:shop"
    gc.collect()  # Qdrant's client wants to be gone before the interpreter is


@pytest.fixture
def openai_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, openai_environment: None) -> Iterator[OpenAIServer]:
    from stubs.openai_server import KEY, OpenAIServer

    serving = OpenAIServer()
    monkeypatch.setenv("AGENT_TOOLS_KB_OPENAI_URL", serving.address)
    monkeypatch.setenv("AGENT_TOOLS_KB_OPENAI_API_KEY", KEY)
    yield serving
    serving.close()
    assert serving.violations == []


@pytest.fixture
def knowledge(gallery: Gallery, server: OpenAIServer) -> Knowledge:
    from openai_helpers import PUBLIC, TARGET

    return Knowledge(gallery, Settings(data=gallery.data_dir, kb=TARGET, public_url=PUBLIC))
