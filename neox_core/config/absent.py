"""Which plugin that is switched off has a key: read from its source, since it is not to be imported."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neox_core.plugins import Plugin


def declares(plugin: Plugin, key: str) -> bool:
    """Whether a settings group (a class that says `group=...`) in the plugin's package has this key."""
    return any(key in _keys(file) for file in _sources(plugin))


@cache
def _keys(file: Path) -> frozenset[str]:
    """The keys of the settings groups in a file; none where it is not Python."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return frozenset()
    groups = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(keyword.arg == "group" for keyword in node.keywords)
    )
    return frozenset(
        statement.target.id
        for group in groups
        for statement in group.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    )


def _sources(plugin: Plugin) -> Iterator[Path]:
    """The files of the plugin's package, which finding does not import."""
    module = plugin.source.module
    if module.endswith(".py"):
        yield from (path for path in [Path(module)] if path.is_file())
        return
    try:
        spec = importlib.util.find_spec(module.partition(":")[0].partition(".")[0])
    except (ImportError, ValueError):
        return
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield from Path(place).rglob("*.py")
    if spec and spec.origin and not spec.submodule_search_locations and spec.origin.endswith(".py"):
        yield Path(spec.origin)
