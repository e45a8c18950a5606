"""Makes the program that verifies bundles without Sceau: the modules `verify_*`, one after the other, as one file.

Bundles and docs/signing.md name the SHA-256 of what `program` returns; `sceau evidence verifier` prints it.
"""

import ast
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from engine.evidence import verify_bundle, verify_chain, verify_stamp

_FUTURE: Final = "from __future__ import annotations"


@lru_cache(maxsize=1)
def program() -> str:
    """Return the text of verify_bundle.py as it is given to whoever verifies."""
    parts = [Path(str(module.__file__)).read_text("utf-8") for module in (verify_chain, verify_stamp, verify_bundle)]
    imports: set[str] = set()
    bodies: list[str] = []
    for text in parts:
        wanted, body = _apart(text)
        imports |= wanted
        bodies.append(body)
    opening = f'"""{ast.get_docstring(ast.parse(parts[-1]), clean=False)}"""'
    return "\n\n".join([opening, _FUTURE, "\n".join(sorted(imports)), *bodies]) + "\n"


@lru_cache(maxsize=1)
def program_sha256() -> str:
    """Return the SHA-256 of the program, in hex."""
    return sha256(program().encode()).hexdigest()


def _apart(text: str) -> tuple[set[str], str]:
    """Return the imports of a module from outside the project, and what follows its imports."""
    tree, last, wanted = ast.parse(text), 0, set[str]()
    for node in tree.body[1:]:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            break
        last = node.end_lineno or last
        inside = isinstance(node, ast.ImportFrom) and str(node.module).startswith(("engine.", "__future__"))
        if not inside:
            wanted.add(ast.unparse(node))
    return wanted, "\n".join(text.splitlines()[last:]).strip()
