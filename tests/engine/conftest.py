"""Engines on tiny random-weight models, engines on a stub server, and ways to watch them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from images_api_stub import KEY, ImagesApi, serving
from remote_helpers import Remote
from tiny_models import BUILDERS

from engine import LocalEngine
from engine.remote import RemoteEngine

OpenEngine = Callable[..., Awaitable[LocalEngine]]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny model by family name, built once."""
    built: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in built:
            built[name] = BUILDERS[name](tmp_path_factory.mktemp("family") / f"tiny-{name}")
        return built[name]

    return folder


@pytest.fixture(scope="session")
def cost_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where engines keep measured costs: each model is measured once in a session, not per test."""
    return tmp_path_factory.mktemp("costs") / "costs.json"


@pytest.fixture
async def open_engine(anyio_backend: str, cost_file: Path) -> AsyncIterator[OpenEngine]:
    """Open engines that are closed after the test, and check that no thread of theirs is left."""
    engines: list[LocalEngine] = []

    async def open_one(model: str | Path, **settings: Any) -> LocalEngine:
        settings = {"cost_file": cost_file} | settings
        engine = LocalEngine(str(model), threads=1, device="cpu", **settings)
        engines.append(engine)
        return engine

    yield open_one
    for engine in engines:
        await engine.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("engine-")]


@pytest.fixture
def small_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show references at 64x64 pixels; the two pipelines would take a megapixel, and minutes."""
    from diffusers.pipelines.flux import pipeline_flux_kontext as kontext
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as edit_plus

    monkeypatch.setattr(edit_plus, "VAE_IMAGE_SIZE", 64 * 64)
    monkeypatch.setattr(edit_plus, "CONDITION_IMAGE_SIZE", 64 * 64)
    monkeypatch.setattr(kontext, "PREFERRED_KONTEXT_RESOLUTIONS", [(64, 64), (96, 64)])


@pytest.fixture
async def remote(anyio_backend: str) -> AsyncIterator[Remote]:
    """Start a stub server and an engine on it; both are closed after the test."""
    async with AsyncExitStack() as stack:

        async def start(
            dialect: str = "vllm-omni",
            *,
            server: dict[str, Any] | None = None,
            key: str | None = KEY,
            **settings: Any,
        ) -> tuple[ImagesApi, RemoteEngine]:
            api = await stack.enter_async_context(serving(ImagesApi(dialect, **(server or {}))))
            engine = RemoteEngine(api.url, key, **{"backoff_s": 0.001, **settings})
            stack.push_async_callback(engine.close)
            return api, engine

        yield start
