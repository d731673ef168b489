"""Which plugin that is switched off has a key: read from its source, since it is not to be imported."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neox_core.plugins import Plugin


def declares(plugin: Plugin, key: str) -> bool:
    """Whether a class in the plugin's package has a field of this name with a default, as a settings group has."""
    declaration = re.compile(rf"^ +{re.escape(key)}\s*:[^=\n]+=", re.MULTILINE)
    return any(declaration.search(file.read_text(encoding="utf-8", errors="replace")) for file in _sources(plugin))


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
