"""What is in the wheel, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the wheel's files."""
    directory = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", directory, ROOT], check=True, timeout=120)
    (wheel,) = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_top_level_names_are_our_packages(contents: set[str], pyproject: dict[str, Any]) -> None:
    packages = {Path(path).name for path in pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    metadata = f"neox_toolkit-{pyproject['project']['version']}.dist-info"
    assert {name.partition("/")[0] for name in contents} == packages | {metadata}


def test_every_module_is_there(contents: set[str], pyproject: dict[str, Any]) -> None:
    for package in pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        directory = ROOT / package
        modules = {path.relative_to(directory.parent).as_posix() for path in directory.rglob("*.py")}
        assert modules
        assert modules <= contents


def test_presets_type_marker_and_licence_are_there(contents: set[str], pyproject: dict[str, Any]) -> None:
    presets = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yml")}
    assert {f"neox_core/{preset}" for preset in presets} <= contents
    assert "neox_core/py.typed" in contents
    assert f"neox_toolkit-{pyproject['project']['version']}.dist-info/licenses/LICENSE" in contents


def test_catalogue_of_corpora_is_there(contents: set[str]) -> None:
    names = {"catalogue.toml", "c4.sums", "c4_openwebtext.sums"}
    assert {f"neox_core/data/corpora/{name}" for name in names} <= contents
