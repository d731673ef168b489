"""Environment variables in values: two names that stand for directories; nothing else in a text is ever looked at."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from neox_core.config.loading import Entry
from neox_core.errors import Problem

VARIABLES = ("NEOX_DATA_PATH", "NEOX_CHECKPOINT_PATH")
"""The environment variables that a value may name, as `${NAME}` or `$NAME`."""

_VARIABLE = re.compile(r"\$\{(" + "|".join(VARIABLES) + r")\}|\$(" + "|".join(VARIABLES) + r")(?![A-Za-z0-9_])")


def expanded(entries: Iterable[Entry]) -> tuple[list[Entry], list[Problem]]:
    """The entries with the variables in their values replaced, and a problem for each one that is not set."""
    found, problems = [], []
    for entry in entries:
        missing: dict[str, str] = {}
        found.append(replace(entry, value=_replaced(entry.value, missing)))
        problems += [
            Problem(
                keys=(entry.key,),
                message=f"{text!r} needs the environment variable {name}",
                remedy=f"export {name}=/path",
                origin=entry.origin,
            )
            for name, text in missing.items()
        ]
    return found, problems


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
            missing[name] = value
        return os.environ.get(name, "")

    return _VARIABLE.sub(replacement, value)
