"""Our packages load from one place, and an intruder is named."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from engine.errors import WrongPlace
from engine.places import check_places


def test_our_packages_load_from_one_place() -> None:
    check_places()


def test_a_foreign_workflows_is_named_with_its_place(tmp_path: Path) -> None:
    foreign = tmp_path / "workflows"

    def find(name: str) -> ModuleSpec | None:
        if name != "workflows":
            return importlib.util.find_spec(name)
        return ModuleSpec("workflows", None, origin=str(foreign / "__init__.py"))

    with pytest.raises(WrongPlace, match="workflows: loads from") as intrusion:
        check_places(find)
    assert str(foreign) in str(intrusion.value)
    assert "engine:" not in str(intrusion.value)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(WrongPlace, match="smppsim: there is none beside"):
        check_places(lambda name: None if name == "smppsim" else importlib.util.find_spec(name))


@pytest.mark.real
def test_the_command_stops_before_anything_else_when_a_foreign_package_shadows_ours(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from engine.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code, "config", "show"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 2
    assert f"workflows: loads from {tmp_path / 'workflows'}" in ran.stderr
    assert "Traceback" not in ran.stderr
