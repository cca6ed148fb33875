"""A real S3 server, Ceph's RADOS Gateway, started by `scripts/radosgw`.

Only a run that asks for it starts one: `make test-s3`, or `pytest -m radosgw`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_tools.gallery import Gallery

SCRIPT = Path(__file__).parents[2] / "scripts" / "radosgw"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "radosgw" in config.getoption("-m"):
        return
    skip = pytest.mark.skip(reason="starts a Ceph cluster; run `make test-s3`")
    for item in items:
        if "radosgw" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def store() -> Iterator[dict[str, str]]:
    """Give endpoint, access_key, secret_key and version of a running gateway."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout and process.stderr
    line = process.stdout.readline()
    if not line:
        said = process.stderr.read().strip()
        process.wait()
        if "not installed" in said:
            pytest.skip(said)
        pytest.fail(said)
    yield json.loads(line)
    process.stdin.close()  # its way to end: nothing of it is left
    assert process.wait(60) == 0


@pytest.fixture(autouse=True)
def credentials(store: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": store["access_key"],
        "AWS_SECRET_ACCESS_KEY": store["secret_key"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("agent_tools.knowledge.find_encoder", lambda: None)


@pytest.fixture
def client(store: dict[str, str], credentials: None) -> Any:
    import boto3

    return boto3.client("s3", endpoint_url=store["endpoint"])


@pytest.fixture
def bucket(client: Any) -> str:
    name = f"kb-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path / "data")
    yield opened
    opened.close()
