"""What the source itself says: its modules and their calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node
