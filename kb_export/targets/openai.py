"""OpenAI vector stores, and servers of the same API, as a knowledge base: name and settings.

Loads the `openai` package only when it is opened.
"""

from __future__ import annotations

import re

from kb_export.errors import BadTarget
from kb_export.targets.base import KBTarget
from kb_export.targets.kind import TargetKind
from kb_export.targets.settings import TargetSettings, variable_name

DEFAULT_URL = "https://api.openai.com/v1"


def parse(rest: str) -> str:
    """Return the one spelling of a vector store's name behind its scheme.

    Raises:
        BadTarget: if it is no id.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", rest):
        raise BadTarget(
            f"{rest[:80]!r} is no id of a vector store.", hint="Write openai:vs_... with its id."
        )
    return f"openai:{rest}"


def open_target(name: str, settings: TargetSettings) -> KBTarget:
    """Return the vector store that `name` names; nothing is sent yet.

    Raises:
        BadTarget: if the key is not set, the address is malformed or `openai` is not installed.
    """
    key = settings.require("api_key")
    url = settings.get("url", DEFAULT_URL)
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", url):
        raise BadTarget(
            f"{variable_name('openai', 'url')} is no plain http(s) address.",
            hint=f"Write it like {DEFAULT_URL}.",
        )
    try:
        from openai import DefaultHttpxClient, OpenAI

        from kb_export.targets.openai_target import OpenAITarget
    except ImportError as error:
        raise BadTarget(
            "The package 'openai' is not installed.", hint="Install it: pip install 'openai>=3,<4'."
        ) from error
    client = OpenAI(
        api_key=key,
        base_url=url,
        timeout=30.0,
        max_retries=2,
        # A key follows no redirect.
        http_client=DefaultHttpxClient(follow_redirects=False),
    )
    return OpenAITarget(name, name.removeprefix("openai:"), client)


KIND = TargetKind("openai", "openai:VECTOR_STORE_ID", parse, open_target, ("api_key", "url"))
