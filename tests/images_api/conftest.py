"""One server for each file of tests: requests do not disturb others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served, serving


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, tiny_stable_diffusion: Path) -> Iterator[Served]:
    """A server without a token."""
    with serving(
        tmp_path_factory.mktemp("images-api") / "data",
        tiny_stable_diffusion,
        model_aliases="dall-e-3=tiny-stable-diffusion",
        max_upload_mb=2,
    ) as served:
        yield served
