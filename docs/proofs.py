"""Which tests prove what, as their docstrings say: for the pages that list rows with their tests.

It reads the tests as text and runs none of them; `catalogue` and `users_ask` decide which labels are theirs.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent


class Proof(NamedTuple):
    """One test that names a row; `at_length` if `make soak` runs it, too, with all that the row asks for."""

    file: str
    test: str
    at_length: bool


def proofs_by(rows_of: Callable[[str], Iterable[str]], folder: Path = ROOT / "tests") -> dict[str, list[Proof]]:
    """Return the tests of each row; `rows_of` reads the rows in the first line of a docstring."""
    found: dict[str, list[Proof]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        file = str(path.relative_to(folder.parent))
        for test, first_line in _first_lines(ast.parse(path.read_text(encoding="utf-8"))):
            for row in dict.fromkeys(rows_of(first_line)):
                found.setdefault(row, []).append(Proof(file, test.name, _at_length(test)))
    return found


def _first_lines(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            said = ast.get_docstring(node)
            if said:
                yield node, said.splitlines()[0]


def _at_length(test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    named = {
        getattr(node, "attr", getattr(node, "id", ""))
        for decorator in test.decorator_list
        for node in ast.walk(decorator)
    }
    return not named.isdisjoint({"soak", "amounts"})


def cell(proofs: Iterable[Proof]) -> str:
    """Return the tests as a cell of a table."""
    return "<br>".join(f"`{proof.file}::{proof.test}`" for proof in proofs)
