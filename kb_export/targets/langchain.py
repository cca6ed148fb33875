"""Any LangChain vector store as a knowledge base: its name and its settings.

The store is made from a dotted path that only settings hold, because importing it runs code. Loads
no LangChain until it is opened.
"""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb_export.errors import BadTarget, TargetUnavailable
from kb_export.targets.base import KBTarget
from kb_export.targets.kind import TargetKind
from kb_export.targets.settings import TargetSettings, variable_name

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore


def parse(rest: str) -> str:
    """Return the one spelling of a vector store's name behind its scheme.

    Raises:
        BadTarget: if it is malformed.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", rest):
        raise BadTarget(
            f"{rest[:80]!r} is no name of a vector store.",
            hint="Write langchain:NAME with a name of yours: lower-case letters, digits, _ and -.",
        )
    return f"langchain:{rest}"


def open_target(name: str, settings: TargetSettings) -> KBTarget:
    """Return the vector store that the settings describe; connects on first use.

    Raises:
        BadTarget: if a setting is missing or malformed, or the store's package is not installed.
        TargetUnavailable: if the record file cannot be opened.
    """
    from kb_export.targets.langchain_records import SQLiteRecordManager
    from kb_export.targets.langchain_store import load_factory, make_embedding, make_store
    from kb_export.targets.langchain_target import LangChainTarget

    short = name.removeprefix("langchain:")
    store = load_factory(settings.require("store"), _variable("store"))
    arguments = _arguments(settings, "arguments", short)
    embedding_path = settings.get("embedding")
    embedding = load_factory(embedding_path, _variable("embedding")) if embedding_path else None
    embedding_arguments = _arguments(settings, "embedding_arguments", short)
    path = Path(settings.require("records")).expanduser()

    def make() -> VectorStore:
        return make_store(store, arguments, make_embedding(embedding, embedding_arguments))

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        records = SQLiteRecordManager(name, path)
    except (OSError, sqlite3.Error) as error:
        raise TargetUnavailable(
            f"The record file of {name} cannot be opened ({type(error).__name__}).",
            hint=f"Check {_variable('records')} and the permissions there.",
        ) from error
    return LangChainTarget(name, make, records)


def _arguments(settings: TargetSettings, name: str, short: str) -> dict[str, Any]:
    """Return a setting that is a JSON object; "{name}" in its texts becomes the target's name."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{name}", short)
        if isinstance(value, list):
            return [filled(each) for each in value]
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        return value

    try:
        arguments = json.loads(settings.get(name, "{}"))
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        # The text may hold a password: it is not repeated, nor chained.
        raise BadTarget(
            f"{_variable(name)} is no JSON object.",
            hint='Write it like {"collection_name": "{name}"}.',
        )
    return {key: filled(value) for key, value in arguments.items()}


def _variable(name: str) -> str:
    return variable_name("langchain", name)


KIND = TargetKind(
    "langchain",
    "langchain:NAME",
    parse,
    open_target,
    settings=("store", "arguments", "embedding", "embedding_arguments", "records"),
)
