"""The files that describe the project agree with the tree and with each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from neox_core.config.presets import SUFFIXES

ROOT = Path(__file__).resolve().parents[2]

IMPORT_THE_CORE = """
import importlib, pkgutil, sys
import neox_core
for module in pkgutil.walk_packages(neox_core.__path__, "neox_core."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
ours = {name.partition(".")[0] for name in sys.modules if name.startswith("neox_")}
assert ours == {"neox_core"}, ours
"""


def our_packages() -> set[str]:
    """Paths of all import packages in the tree."""
    found = [ROOT / "neox_core", *ROOT.glob("kernels/neox_*"), *ROOT.glob("plugins/*/neox_*")]
    return {path.relative_to(ROOT).as_posix() for path in found if path.is_dir()}


def test_every_package_is_built_checked_and_measured(pyproject: dict[str, Any]) -> None:
    tool, names = pyproject["tool"], {Path(path).name for path in our_packages()}
    wheel = tool["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) == our_packages()
    assert {Path(directory) for directory in wheel["dev-mode-dirs"]} == {Path(path).parent for path in our_packages()}
    assert set(tool["mypy"]["packages"]) == names
    assert set(tool["importlinter"]["root_packages"]) == names
    assert set(tool["coverage"]["run"]["source_pkgs"]) >= names - {"neox_kernels"}


def test_every_plugin_is_an_entry_point_and_kept_apart(pyproject: dict[str, Any]) -> None:
    plugins = {Path(path).name for path in our_packages() if path.startswith("plugins/")}
    assert set(pyproject["project"]["entry-points"]["neox.v1"].values()) == {f"{name}.plugin" for name in plugins}
    _, forbidden, independent = pyproject["tool"]["importlinter"]["contracts"]
    assert set(forbidden["forbidden_modules"]) == plugins
    assert set(independent["modules"]) == plugins


@pytest.mark.parametrize("pattern", ["plugins", "plugins/*", "kernels", "configs", "configs/**", "tests", "tests/*"])
def test_directories_that_must_not_be_packages_are_none(pattern: str) -> None:
    assert list(ROOT.glob(f"{pattern}/__init__.py")) == []


def test_importing_all_of_the_core_imports_no_plugin() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_THE_CORE], cwd=ROOT, timeout=120, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_constraints_pin_every_requirement_to_a_version_that_fits(pyproject: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in pins.items()}
    project = pyproject["project"]
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), text


@pytest.mark.parametrize(
    ("name", "too_old"), [("tokenizers", "0.20.0"), ("torch", "2.5.1")], ids=["encode_batch_fast", "torch"]
)
def test_versions_without_what_is_used_are_not_allowed(pyproject: dict[str, Any], name: str, too_old: str) -> None:
    requirements = {found.name: found for found in map(Requirement, pyproject["project"]["dependencies"])}
    assert not requirements[name].specifier.contains(too_old)


KERNELS = {"flash": "flash_attn"}
"""Extras that a component does without, since torch has kernels too."""


def test_every_extra_but_that_of_developers_belongs_to_a_component_or_is_asked_for(
    pyproject: dict[str, Any],
) -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("plugins/*/neox_*/plugin.py"))
    paths = [*ROOT.glob("neox_core/**/*.py"), *ROOT.glob("plugins/*/neox_*/**/*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in paths)
    for extra in set(pyproject["project"]["optional-dependencies"]) - {"dev"}:
        told = f"'neox-toolkit[{extra}]'" in code or f'require_package("{extra}"' in code
        assert told or f'extra="{extra}"' in sources or f'kernels=("{KERNELS.get(extra)}",)' in sources


def test_presets_are_all_that_ships_as_presets() -> None:
    assert {path.suffix for path in (ROOT / "configs").rglob("*") if path.is_file()} <= set(SUFFIXES)


def test_the_citation_is_of_this_version(pyproject: dict[str, Any]) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == pyproject["project"]["version"]
    assert citation["license"] == pyproject["project"]["license"]
    assert citation["repository-code"] == pyproject["project"]["urls"]["Source"]
