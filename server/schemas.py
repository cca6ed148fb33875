"""The JSON schemas of tools as every host can read them.

Arguments get one plain type each: model providers that know only a part of JSON Schema reject or
drop references and unions. Results keep both, for only programs read them.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

# Schema keywords whose values are data, not schemas.
_DATA_KEYWORDS = ("default", "examples", "enum", "const", "required")
_DEEPEST = 12


def arguments_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the flat schema of a tool's arguments: no titles, no references, no null.

    An argument that may be null is one that may be left out; `null` itself is still taken.
    """
    schema = model.model_json_schema(mode="validation")
    definitions = schema.pop("$defs", {})
    cleaned: dict[str, Any] = _plain(_inlined(schema, definitions, 0))
    return cleaned


def result_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a tool's structured content, without titles, which cost tokens."""
    cleaned: dict[str, Any] = _plain(model.model_json_schema(mode="serialization"))
    return cleaned


def _inlined(node: Any, definitions: dict[str, Any], depth: int) -> Any:
    """Put definitions where they are referred to, and drop the null of optional arguments."""
    if depth > _DEEPEST:
        raise ValueError("Arguments are nested too deeply to be written without references.")
    if isinstance(node, list):
        return [_inlined(item, definitions, depth) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        own = {key: value for key, value in node.items() if key != "$ref"}
        return _inlined({**definitions[name], **own}, definitions, depth + 1)
    branches = [branch for branch in node.get("anyOf", []) if branch != {"type": "null"}]
    if len(branches) == 1:
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        if rest.get("default", ...) is None:
            del rest["default"]
        return _inlined({**branches[0], **rest}, definitions, depth + 1)
    return {
        key: value if key in _DATA_KEYWORDS else _inlined(value, definitions, depth + 1)
        for key, value in node.items()
    }


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    cleaned: dict[str, Any] = {}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in _DATA_KEYWORDS:
            cleaned[key] = value
        elif key in ("properties", "$defs"):
            cleaned[key] = {name: _plain(schema) for name, schema in value.items()}
        else:
            cleaned[key] = _plain(value)
    return cleaned
