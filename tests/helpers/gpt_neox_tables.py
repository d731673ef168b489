"""GPT-NeoX's configuration files and documented examples as tables of keys and values, and settings made of them.

A table is `{"keys": {...}}`, or, where it resembles another one, `{"like": name, "without": [...], "keys": {...}}`: that one's
keys but for some, with these added or replaced. Keys are spelt as they were, with hyphens where they had them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from neox_core.config import Entry, NeoXArgs, read_text
from neox_core.config.entry import merge
from neox_core.plugins import PluginManager

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def read_golden(name: str) -> Any:
    """The content of `tests/golden/NAME.json`."""
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@cache
def configs() -> Mapping[str, Mapping[str, Any]]:
    """The files that GPT-NeoX ships: path -> its keys and values."""
    return _spelt_out(read_golden("gpt-neox-configs"))


@cache
def examples() -> Mapping[str, Mapping[str, Any]]:
    """The examples of GPT-NeoX's documentation, each completed by the pre-training example: name -> keys and values."""
    return _spelt_out(read_golden("gpt-neox-examples"))


def _spelt_out(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    def keys_of(name: str) -> dict[str, Any]:
        table = tables[name]
        base = keys_of(table["like"]) if "like" in table else {}
        kept = {key: value for key, value in base.items() if key not in table.get("without", ())}
        return {**kept, **table["keys"]}

    return {name: keys_of(name) for name in tables}


def as_text(table: Mapping[str, Any]) -> str:
    """The table as a configuration file with one key a line, the first one on line 2."""
    lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in table.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def line_of(table: Mapping[str, Any], key: str) -> int:
    """The line of a key in `as_text`."""
    return 2 + list(table).index(key)


def entries_of(name: str, table: Mapping[str, Any]) -> list[Entry]:
    """What is read from a file of this name with this table."""
    return read_text(as_text(table), name)


def args_of(files: Iterable[str], plugins: PluginManager, *, without: Iterable[str] = (), **more: Any) -> NeoXArgs:
    """The settings that shipped files make together: without some of their keys, and with more."""
    merged = merge([*(_entries_of_shipped(file) for file in files), entries_of("more.yml", more)])
    return NeoXArgs([entry for key, entry in merged.items() if key not in set(without)], plugins)


@cache
def _entries_of_shipped(file: str) -> list[Entry]:
    return entries_of(file, configs()[file])
