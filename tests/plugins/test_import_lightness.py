"""What looking at plugins may cost: no numeric or validation library, and no plugin in the core."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from plugin_distributions import NEOX, environment, neox, run

import neox_core

CORE = Path(neox_core.__file__).parent
HEAVY = ("torch", "numpy", "triton", "pydantic", "yaml", "deepspeed")
TELL = """
import runpy, sys
sys.argv = ["neox", *sys.argv[1:]]
try:
    runpy.run_path({neox!r}, run_name="__main__")
except SystemExit as end:
    code = end.code
print("LOADED", *sorted(name for name in sys.modules if "." not in name))
sys.exit(code)
"""
FIRST_PARTY = sorted((CORE.parent / "plugins").glob("*/neox_*"))


def loaded(path, cwd, *words, **changes) -> tuple[str, set[str]]:
    command = [sys.executable, "-c", TELL.format(neox=str(NEOX)), *words]
    done = run(command, cwd=cwd, environment=environment(path, **changes))
    assert done.returncode == 0, done.stderr
    text, _, names = done.stdout.rpartition("LOADED")
    return text, set(names.split())


@pytest.mark.parametrize("verb", ["--help", "--version", "plugins"])
def test_looking_costs_no_heavy_import(installed, tmp_path, verb):
    _, names = loaded([installed.acme, installed.faulty], tmp_path, verb)
    assert not names & set(HEAVY)


def test_help_and_listing_load_the_plugins_but_not_their_parts(installed, tmp_path):
    text, names = loaded([installed.acme], tmp_path, "--help")
    assert "count the components" in text
    assert {"acme_neox", "neox_attention"} <= names


def test_off_leaves_a_command_line_that_says_so(installed, tmp_path):
    text, names = loaded([installed.acme], tmp_path, "plugins", NEOX_PLUGINS="off")
    assert "NEOX_PLUGINS" in text
    assert "global" not in text
    assert not {"acme_neox", "neox_attention", "neox_commands"} & names
    assert neox("--help", cwd=tmp_path, NEOX_PLUGINS="off").returncode == 0


def imports(file: Path) -> set[str]:
    """Every module that a file imports anywhere, by its first name; those for type checking alone are left out."""
    found = set()
    nodes = [ast.parse(file.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        nodes += ast.iter_child_nodes(node)
    return found


def test_the_core_imports_no_plugin():
    packages = {path.name for path in FIRST_PARTY} | {"acme_neox"}
    assert len(packages) > 5
    for file in CORE.rglob("*.py"):
        assert not {name.partition(".")[0] for name in imports(file)} & packages, file


def test_a_plugins_own_module_imports_only_the_plugin_package():
    for package in FIRST_PARTY:
        beyond = imports(package / "plugin.py") - {"neox_core.plugins"}
        assert {name.partition(".")[0] for name in beyond} <= sys.stdlib_module_names, package


def test_plugins_never_import_each_other():
    packages = {path.name for path in FIRST_PARTY}
    for package in FIRST_PARTY:
        for file in package.rglob("*.py"):
            assert not {name.partition(".")[0] for name in imports(file)} & packages - {package.name}, file
