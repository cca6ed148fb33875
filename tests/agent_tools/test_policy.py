"""The gate before painting: rules from a file, behind every door, and what is said and logged."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from agent_tools.callers import acting_as
from agent_tools.errors import BadSettings, Refused
from agent_tools.langchain import ImageToolkit
from agent_tools.painting import paint
from agent_tools.policy import Policy, check_prompt, default_policy, enforcing, open_policy
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import no_progress
from engine import ImageRequest
from server.cli import run
from server.mcp import build_server

SHOP_RULES = """
turn_off = ["undressing"]
[categories.competitors]
terms = ["acme", "globex*"]
[categories.brands]
terms = ["initech"]
[[rules]]
id = "no-other-brands"
any = ["brands", "competitors"]
unless = ["lego bricks"]
message = "This shop shows no other brands."
instead = "Describe the product without a brand name."
[[rules]]
id = "weapons-and-children"
categories = ["weapons", "minors"]
message = "No weapons with children."
instead = "Leave out one of them."
[[rules]]
id = "count-santa"
terms = ["santa claus"]
action = "log"
message = "Not now."
instead = "Ask for a neutral decoration."
"""
REFUSED = {"prompt": "a Globexian lamp in the canary room"}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(SHOP_RULES, encoding="utf-8")
    return file


@pytest.fixture
def policy(rules: Path) -> Policy:
    return open_policy(rules)


@pytest.fixture
def studio(rules: Path, tmp_path: Path) -> Studio:
    """A studio whose engine is never loaded: what is refused costs no model."""
    return Studio.open(Settings(data=tmp_path / "data", policy=rules))


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("a cup with the Acme logo", "no-other-brands"),
        ("globexian lamps", "no-other-brands"),
        ("an Initech mug", "no-other-brands"),
        ("a Coca-Cola can", "no-other-brands"),
        ("a coca cola can", "no-other-brands"),
        ("a s t a r b u c k s cup", "no-other-brands"),
        ("an аcme cup", "no-other-brands"),  # noqa: RUF001 - a Cyrillic letter
        ("a kid with a rifle", "weapons-and-children"),
        ("portrait of BEYONCÉ", "real-person"),
    ],
)
def test_a_rule_of_the_file_or_of_ours_refuses(words: str, rule: str, policy: Policy) -> None:
    with pytest.raises(Refused) as refused:
        policy.check(words)
    assert refused.value.data == {"rule": rule}
    assert refused.value.hint


@pytest.mark.parametrize(
    "words",
    [
        "an acmeist poem",  # no * after acme
        "a wall of LEGO bricks",
        "a rifle on a white background",
        "a kid with a kite",
        "without her clothes",  # that rule is turned off in this file
        "Santa Claus with a sack",  # only counted
    ],
)
def test_what_no_rule_means_passes(words: str, policy: Policy) -> None:
    policy.check(words)


def test_without_a_file_only_our_rules_hold() -> None:
    check_prompt("a cup with the Acme logo")
    with pytest.raises(Refused):
        check_prompt("without her clothes")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules = 3", "is wrong at rules"),
        ("[[rules]]\nid = 'a'\nmessage = 'm'\ninstead = 'i'", "has no words in the rule 'a'"),
        ("[[rules]]\nid = 'a'\nterms = ['xy']\nmessage = 'm'", "rules.0.instead"),
        ("[[rules]]\nid='a'\nany=['brandz']\nmessage='m'\ninstead='i'", "'brandz'"),
        ("turn_off = ['sexual-minors']", "always holds"),
        ("turn_off = ['nonsense']", "no rule of ours"),
        ("[categories.x]\npatterns = ['(']\n[[rules]]\nid='a'\nany=['x']\nmessage='m'\ninstead='i'",
         "bad pattern"),
        ("[[rules]]\nid='real-person'\nterms=['xy']\nmessage='m'\ninstead='i'", "twice"),
        ("this is no TOML", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_file_that_says_something_unknown_is_an_error_at_start(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "policy.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BadSettings, match=said):
        Studio.open(Settings(data=tmp_path / "data", policy=tmp_path / "policy.toml"))
    with pytest.raises(BadSettings, match="cannot be read"):
        open_policy(tmp_path / "missing.toml")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("generate_image", REFUSED),
        ("create_product_variants", {"product": "a Globex teapot", "colors": ["red"]}),
        ("create_persona_avatar", {"name": "Mina", "description": "a woman in an Acme shirt"}),
        ("draw_diagram", {"source": "flowchart LR\n a[Acme] --> b[Shop]"}),
        ("draw_diagram", {"graph": {"nodes": [{"id": "a", "label": "Acme"}], "edges": []}}),
    ],
)
async def test_every_tool_that_makes_pictures_asks_the_gate(
    tool: str, arguments: dict[str, Any], studio: Studio
) -> None:
    with pytest.raises(Refused) as refused:
        await studio.call(tool, arguments)
    assert refused.value.data == {"rule": "no-other-brands"}
    assert studio.gallery.list() == []


@pytest.mark.anyio
async def test_an_entity_called_child_may_have_a_sex(studio: Studio) -> None:
    drawn = await studio.call(
        "draw_diagram", {"source": "erDiagram\n CHILD {\n string sex\n }\n CHILD ||--o{ TOY : has"}
    )
    assert drawn.images
    with pytest.raises(Refused):
        await studio.call("generate_image", {"prompt": "a child having sex"})


@pytest.mark.anyio
async def test_what_a_tool_makes_of_the_words_is_judged_before_the_engine(studio: Studio) -> None:
    with enforcing(studio.policy, "any_tool"), pytest.raises(Refused):
        await paint(studio, ImageRequest(prompt="an Acme cup"), no_progress, label="Painting")


@pytest.mark.anyio
async def test_the_caller_makes_no_difference(studio: Studio) -> None:
    with acting_as("root", ["admin"]), pytest.raises(Refused):
        await studio.call("generate_image", REFUSED)


@pytest.mark.anyio
async def test_mcp_tells_the_model_what_would_be_acceptable(studio: Studio) -> None:
    async with Client(build_server(studio)) as client:
        answer = await client.call_tool("generate_image", REFUSED)
    assert answer.is_error
    assert "This shop shows no other brands. Describe the product" in answer.content[0].text
    assert answer.meta["agent-tools/error"]["data"] == {"rule": "no-other-brands"}


def test_langchain_tells_the_model_what_would_be_acceptable(studio: Studio) -> None:
    with ImageToolkit(studio) as toolkit:
        (tool,) = (tool for tool in toolkit.get_tools() if tool.name == "generate_image")
        message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": REFUSED})
    assert message.status == "error"
    assert "Describe the product without a brand name" in str(message.content)


def test_the_command_line_has_the_gate_too(
    rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("AGENT_TOOLS_POLICY", str(rules))
    code = run(["--data", str(tmp_path / "data"), "generate", REFUSED["prompt"], "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code != 0
    assert said["error"]["code"] == "refused"


@pytest.mark.anyio
async def test_decisions_are_logged_with_the_rule_and_without_the_prompt(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(Refused):
            await studio.call("generate_image", REFUSED)
        studio.policy.check("Santa Claus", tool="generate_image")
    decisions = [record for record in caplog.records if record.levelno == logging.INFO]
    fields = [getattr(record, "fields", {}) for record in decisions]
    assert {"rule": "no-other-brands", "decision": "refuse", "tool": "generate_image"} in fields
    assert {"rule": "count-santa", "decision": "log", "tool": "generate_image"} in fields
    assert "canary" not in caplog.text.lower() and "globex" not in caplog.text.lower()


def test_other_rules_have_another_fingerprint(rules: Path) -> None:
    """So that a stored picture is not shown again once a rule forbids it."""
    before = open_policy(rules).fingerprint
    assert before == open_policy(rules).fingerprint != default_policy().fingerprint
    rules.write_text(SHOP_RULES.replace('"acme"', '"acne"'), encoding="utf-8")
    assert open_policy(rules).fingerprint != before
