"""Errors of tools in the words of the command that was run: its options, and other commands.

Tools speak to agents of arguments and tools; somebody at a terminal has neither.
"""

from __future__ import annotations

import re
from typing import Any

from agent_tools.errors import AgentToolsError, BadSettings

# Options and arguments of commands, and the tool's argument where that has another name.
_RENAMED = (
    ("color", "colors"),
    ("mask", "mask_id"),
    ("all_prints", "keep_prints"),
    ("negative", "negative_prompt"),
    ("size", "width"),
    ("size", "height"),
    ("attribute", "attributes"),
    *(("extend", f"extend_{side}") for side in ("left", "top", "right", "bottom")),
    ("face", "from_image_id"),
    ("from_image", "from_image_id"),
)
_COMMANDS = {
    "create_avatar_pack": "agent-tools persona pack",
    "create_persona_avatar": "agent-tools persona create",
    "create_product_variants": "agent-tools variants",
    "draw_diagram": "agent-tools diagram",
    "edit_image": "agent-tools edit",
    "export_to_kb": "agent-tools kb export",
    "find_images": "agent-tools find",
    "generate_image": "agent-tools generate",
    "get_image": "agent-tools gallery show ID",
    "list_personas": "agent-tools persona list",
    "search_kb": "agent-tools kb search",
}
_PHRASES = {
    "point ([x, y] on it)": "--point X Y (on it)",
    "box ([left, top, right, bottom] around it)": "--box LEFT TOP RIGHT BOTTOM (around it)",
    "from_color (its": "--from-color COLOR (its",
    "mask_id (a picture": "--mask FILE (a picture",
    "send it as mask_id": "give that id as --mask",
    "needs image_id: a": "needs a photo: a",
    "give image_id instead of product": "give a photo as PRODUCT",
    "set mode to 'generate'": "give --mode generate",
}
_LISTED = re.compile(r"^(?:\w+ and )*\w+(?= needs | cannot be | do not go )")
_NAME = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
_PROBLEM = re.compile(r"'(\w+)[\w.]*'(?=: | is missing| is not an argument)")


def in_command_words(error: AgentToolsError, command: Any, path: str) -> None:
    """Rewrite an error's message and hint for the command that ended with it.

    Args:
        error: what is shown next.
        command: the command as typer built it; its `params` name options and arguments.
        path: what was typed to run it, such as "agent-tools persona draw".
    """
    if isinstance(error, BadSettings):
        return
    spelled = _spelled(command)
    if "problems" in error.data:  # of the arguments: the hint lists those of the tool
        error.message = _PROBLEM.sub(lambda m: spelled.get(m[1], m[0]), error.message)
        error.data["problems"] = [
            _PROBLEM.sub(lambda m: spelled.get(m[1], m[0]), said) for said in error.data["problems"]
        ]
        error.hint = f"See {path} --help for what it takes."
        return
    error.message = _LISTED.sub(
        lambda listed: re.sub(r"\w+", lambda m: spelled.get(m[0], m[0]), listed[0]),
        _with_phrases(error.message),
    )
    # In hints, whose words are ours: names in quotes, or with an underscore as no word has one.
    names = _COMMANDS | {name: option for name, option in spelled.items() if "_" in name}
    hint = re.sub(r"\bcall (?=\w+_)", "run ", _with_phrases(error.hint))
    hint = re.sub(r"'(\w+)'", lambda m: spelled.get(m[1], m[0]), hint)
    error.hint = _NAME.sub(lambda m: names.get(m[0], m[0]), hint)


def _spelled(command: Any) -> dict[str, str]:
    """Return how each argument of a tool is written behind the command."""
    # Ids are called the same everywhere: image_id is no option's name, though some take one.
    found: dict[str, str] = {
        param.name: max(param.opts, key=len)
        if param.param_type_name == "option"
        else param.name.upper()
        for param in getattr(command, "params", ())
        if param.name not in ("image_id", "persona_id")
    }
    return found | {name: found[own] for own, name in _RENAMED if own in found}


def _with_phrases(text: str) -> str:
    for phrase, said in _PHRASES.items():
        text = text.replace(phrase, said)
    return text
