"""What clients see changes only on purpose, and every host can read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from surface import SNAPSHOT, as_text, surface

pytestmark = pytest.mark.anyio

GOLDEN: dict[str, Any] = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
TOOLS = {tool["name"]: tool for tool in GOLDEN["tools"]}
# Cursor cuts the list at 40 tools, OpenAI a description at 1,024 characters.
MOST_TOOLS = 16
LONGEST_DESCRIPTION = 1024


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_what_clients_see_is_what_was_agreed_on(mode: str) -> None:
    """If the change was meant: python tests/server/surface.py"""
    assert as_text(await surface(mode)) == SNAPSHOT.read_text(encoding="utf-8")


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema inside a schema."""
    yield schema
    for key in ("properties", "$defs"):
        for child in schema.get(key, {}).values():
            yield from nodes(child)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key])
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for child in schema.get(key, []):
            yield from nodes(child)


def test_the_list_is_short() -> None:
    assert len(TOOLS) == len(GOLDEN["tools"]) <= MOST_TOOLS


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_arguments_have_one_plain_type_each(tool: dict[str, Any]) -> None:
    for node in nodes(tool["inputSchema"]):
        assert isinstance(node.get("type"), str), node
        assert not {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not"} & node.keys(), node
        if node["type"] == "array":
            assert "items" in node
        if "default" in node:
            assert node["default"] is not None


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_results_refer_to_nothing_outside(tool: dict[str, Any]) -> None:
    schema = tool["outputSchema"]
    assert schema["type"] == "object"
    for node in nodes(schema):
        assert not isinstance(node.get("type"), list)
        name = node.get("$ref", "").removeprefix("#/$defs/")
        assert not name or name in schema["$defs"]


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_descriptions_give_an_example_that_the_schema_takes(tool: dict[str, Any]) -> None:
    description = tool["description"]
    assert len(description) <= LONGEST_DESCRIPTION
    start = description.index("Example")
    example, _ = json.JSONDecoder().raw_decode(description[description.index("{", start) :])
    schema = tool["inputSchema"]
    assert example.keys() <= schema["properties"].keys()
    assert set(schema.get("required", [])) <= example.keys()


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_every_annotation_is_set(tool: dict[str, Any]) -> None:
    annotations = tool["annotations"]
    assert annotations["title"] == tool["title"]
    for hint in ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"):
        assert isinstance(annotations[hint], bool)
    if annotations["readOnlyHint"]:
        assert annotations["idempotentHint"] and not annotations["destructiveHint"]
    if tool["inputSchema"]["properties"].get("seed", {"default": 0}).get("default") is None:
        assert not annotations["idempotentHint"]  # without a seed every call paints anew
