"""No module but the guarded one opens addresses that a caller names."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


# Modules that open addresses of their own: all of them named in the settings, never by a caller.
KNOWN_CLIENTS = {
    "server/fetch.py": "the guarded function",
    "agent_tools/langchain_server.py": "the agent-tools server that the caller of the toolkit set",
    "engine/remote_client.py": "the engine that the operator set",
    "kb_export/targets/http.py": "knowledge bases that the operator set",
    "kb_export/targets/webhook.py": "the webhook that the operator set",
    "kb_export/targets/s3.py": "the store that the operator set",
    "kb_export/targets/bedrock_source.py": "the knowledge base that the operator set",
}
CLIENTS = {
    "urllib.request", "http.client", "httpx", "httpx2", "requests", "aiohttp", "urllib3", "boto3",
    "botocore", "ftplib", "smtplib", "telnetlib", "socket", "websockets", "pycurl", "paramiko",
}  # fmt: skip
OPENERS = {"open_connection", "create_connection", "urlopen", "urlretrieve", "load_image"}


def network_uses(source: str) -> set[str]:
    """Return what a module could open an address with."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or "", *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Attribute) and node.attr in OPENERS:
            found.add(node.attr)
        elif isinstance(node, ast.Name) and node.id in OPENERS:
            found.add(node.id)
        found |= {n for n in names if n in CLIENTS or n.partition(".")[0] in CLIENTS - {"socket"}}
        found |= {n for n in names if n == "socket"}
    return found


@cache
def modules_that_open_addresses() -> dict[str, set[str]]:
    """Return what each module could open an address with, of those that could."""
    found = {
        path.relative_to(ROOT).as_posix(): network_uses(path.read_text(encoding="utf-8"))
        for room in ("server", "agent_tools", "kb_export", "engine")
        for path in (ROOT / room).rglob("*.py")
    }
    return {name: uses for name, uses in found.items() if uses}


def test_no_other_module_opens_addresses() -> None:
    seen = modules_that_open_addresses()
    # One accepts connections, one asks for this machine's name: neither opens any.
    listens = {"server/app.py": {"socket"}, "kb_export/leases.py": {"socket"}}
    unknown = {name: uses for name, uses in seen.items() if name not in KNOWN_CLIENTS | listens}
    assert unknown == {}
    assert all(seen[name] == uses for name, uses in listens.items())


def test_the_check_would_notice() -> None:
    assert network_uses("import httpx2") and network_uses("from urllib.request import urlopen")
    assert network_uses("def f(u):\n    import requests\n    requests.get(u)")
    assert network_uses("x = asyncio.open_connection(h, 1)")
    assert not network_uses("from urllib.parse import urlsplit\nimport asyncio")
