"""Writing TOML: tables for mappings, lists of tables for lists of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neox_core.config.nodes.markers import CALL, ID, SAME, VALUES

_IN_LINE = {*VALUES, CALL, SAME}
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dump_toml(values: Mapping[str, Any]) -> str:
    """TOML that is read back to the same values: text, numbers, true, false, lists, and mappings with text keys."""
    return "\n".join(_table(values, ())).strip("\n") + "\n"


def _table(values: Mapping[str, Any], path: Sequence[str]) -> Iterator[str]:
    """The lines of a table below its header: first what has a line of its own, since headers end a table."""
    for key, value in values.items():
        if not (_is_table(value) or _is_list_of_tables(value)):
            yield f"{_key(key)} = {_inline(value)}"
    for key, value in values.items():
        inner = (*path, _key(key))
        if _is_table(value):
            yield from ("", f"[{'.'.join(inner)}]", *_table(value, inner))
        elif _is_list_of_tables(value):
            for item in value:
                yield from ("", f"[[{'.'.join(inner)}]]", *_table(item, inner))


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_table, value))


def _is_table(value: Any) -> bool:
    """Whether a mapping deserves lines of its own: it is not just a value with a marker."""
    return isinstance(value, dict) and not (_IN_LINE & value.keys() and ID not in value)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)} = {_inline(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
