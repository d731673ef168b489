"""Environment variables in values: two names that stand for directories; nothing else in a text is ever looked at."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from neox_core.config.entry import Entry
from neox_core.errors import Problem

VARIABLES = ("NEOX_DATA_PATH", "NEOX_CHECKPOINT_PATH")
"""The environment variables that a value may name, as `${NAME}` or `$NAME`."""

_VARIABLE = re.compile(r"\$\{(" + "|".join(VARIABLES) + r")\}|\$(" + "|".join(VARIABLES) + r")(?![A-Za-z0-9_])")


def expanded(entries: Iterable[Entry]) -> tuple[list[Entry], list[Problem]]:
    """The entries with the variables in their values replaced, and a problem for each variable that is needed and not set."""
    found: list[Entry] = []
    needed: dict[str, list[tuple[Entry, str]]] = {}
    for entry in entries:
        missing: dict[str, str] = {}
        found.append(replace(entry, value=_replaced(entry.value, missing)))
        for name, text in missing.items():
            needed.setdefault(name, []).append((entry, text))
    return found, [_unset(name, uses) for name, uses in needed.items()]


def _unset(name: str, uses: Sequence[tuple[Entry, str]]) -> Problem:
    """The problem of a variable that these entries need, each with a text that has it."""
    entries = [entry for entry, _ in uses]
    return Problem(
        keys=tuple(entry.key for entry in entries),
        message=f"{uses[0][1]!r} needs the environment variable {name}",
        remedy=f"export {name}=/path",
        origin=entries[0].origin,
        others=tuple(dict.fromkeys(entry.origin for entry in entries[1:])),
    )


def _replaced(value: Any, missing: dict[str, str]) -> Any:
    """`value` with its variables replaced; the name of each that is not set, with the text it is in, is added to `missing`."""
    if isinstance(value, list):
        return [_replaced(item, missing) for item in value]
    if isinstance(value, dict):
        return {name: _replaced(item, missing) for name, item in value.items()}
    if not isinstance(value, str) or "$" not in value:
        return value

    def replacement(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            missing.setdefault(name, value)
        return os.environ.get(name, "")

    return _VARIABLE.sub(replacement, value)
