"""The house: who may import whom, what every module must have, and what the project's files promise."""

from __future__ import annotations

import ast
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("engine", "workflows", "smppsim")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = ("help", "demo", "serve", "test", "lint", "check", "interop", "bench", "soak", "fmt", "lock", "clean")
SHADY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.real
def test_the_import_contracts_are_kept() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said, "no docstring"


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=name_of)
def test_a_module_stays_small_and_has_a_name_of_its_own(path: Path) -> None:
    if path in MODULES and path.parent.name != "versions":  # a revision is as long as the schema that it makes
        assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in SHADY_NAMES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_opens_the_door_to_unsafe_deserialisation(path: Path) -> None:
    """S32: JSON and struct only."""
    tree = ast.parse(path.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"pickle", "marshal", "shelve", "dill"}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"eval", "exec"}


def importers_of(module: str) -> set[str]:
    found = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name == module or name.startswith(f"{module}.") for name in names):
                found.add(name_of(path))
    return found


def test_phone_numbers_are_parsed_in_one_place() -> None:
    assert importers_of("phonenumbers") <= {"engine/phones.py"}


def test_smpplib_lends_its_tables_to_the_protocol_alone() -> None:
    assert all(name.startswith("engine/smpp/") for name in importers_of("smpplib"))


def test_nobody_reads_the_environment_but_the_settings() -> None:
    readers = {name_of(path) for path in MODULES if re.search(r"\bos\.(environ|getenv)\b", path.read_text())}
    assert readers <= {"engine/settings.py"}


@pytest.mark.parametrize("target", TARGETS)
def test_the_makefile_explains_every_target(target: str) -> None:
    assert re.search(rf"^{target}:[^#\n]*## \S", MAKEFILE, re.MULTILINE)


def test_the_readme_names_the_two_commands_and_every_top_level_folder() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    for folder in ("engine/", "workflows/", "templates/", "smppsim/", "tests/", "bench/", "docs/", ".ci/"):
        assert folder in readme


def test_the_lock_pins_everything_by_hash_and_names_no_host() -> None:
    """S34: hashes for all, and no index of whoever made the lock."""
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"^\s*(--(extra-)?index-url|--find-links|--trusted-host|-i |-f )", lock, re.MULTILINE)
    assert "://" not in lock
    requirements = re.findall(r"^([a-z0-9][a-z0-9._-]*)==\S+( \\)?$", lock, re.MULTILINE | re.IGNORECASE)
    assert len(requirements) > 50
    assert all(continued for _, continued in requirements)
    assert lock.count("--hash=sha256:") >= len(requirements)


def test_no_file_of_the_project_names_a_package_index() -> None:
    files = [ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / ".ci" / "run", ROOT / "README.md"]
    assert not any(re.search(r"pypi|index-url *=|devpi|artifactory", file.read_text(), re.IGNORECASE) for file in files)


def test_continuous_integration_can_be_run_and_stops_at_the_first_fault() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    assert "set -euo pipefail" in script.read_text()
    assert [line for line in script.read_text().splitlines() if line.startswith("make ")] == [
        "make lint",
        "make test",
        "make interop",
    ]
