"""Every claim names a test or a command that exists."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROOF = re.compile(r"`((?:tests/|make |python -m )[^`]+)`")


def claims() -> list[tuple[str, list[str]]]:
    rows = []
    for line in (ROOT / "docs" / "claims.md").read_text(encoding="utf-8").splitlines():
        cells = line.split(" | ")
        if len(cells) == 2 and not line.startswith(("| claim", "| ---")):
            rows.append((cells[0].strip("| "), PROOF.findall(cells[1])))
    return rows


def exists(proof: str) -> bool:
    if proof.startswith("make "):
        target = proof.removeprefix("make ")
        return re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None
    if proof.startswith("python -m "):
        return importlib.util.find_spec(proof.removeprefix("python -m ")) is not None
    file, _, name = proof.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    # hypothesis makes a test case of a state machine: TestX = X.TestCase
    targets = [target for n in tree.body if isinstance(n, ast.Assign) for target in n.targets]
    names |= {t.id for t in targets if isinstance(t, ast.Name) and t.id.startswith("Test")}
    return name in names


@pytest.mark.parametrize(("claim", "proofs"), claims())
def test_a_claim_is_bound_to_something_that_can_fail(claim: str, proofs: list[str]) -> None:
    assert proofs, claim
    assert [proof for proof in proofs if not exists(proof)] == []


def test_a_proof_that_is_not_there_is_noticed() -> None:
    assert not exists("tests/test_claims.py::test_that_nobody_wrote")
    assert not exists("tests/no_such_file.py::test_x")
    assert not exists("make nothing-of-that-kind")
    assert not exists("python -m benchmarks.nothing")


def test_the_readme_claims_only_what_stands_in_the_list() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## What is claimed", 1)[1].split("\n## ")[0]
    shown = [row.split(" | ")[0].strip("| ") for row in section.splitlines() if " | " in row]
    known = {claim for claim, _ in claims()}
    assert len(shown) > 5
    assert [row for row in shown if row not in known | {"claim", "---"}] == []


@pytest.mark.parametrize(
    "document", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("engine/starter/*.md")]
)
def test_links_to_files_in_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), (document.name, target)
