"""The steps of a path within a tree of nodes: `model.layers[0].hidden`, `tables['k'].x`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from neox_core.config.nodes.problems import NodeError


class Step(NamedTuple):
    """One step down: `.key`, or `[key]` for an item."""

    key: Any
    item: bool = False

    def __str__(self) -> str:
        return f"[{self.key!r}]" if self.item or not str(self.key).isidentifier() else f".{self.key}"


_STEP = re.compile(
    r"""
    \[ \s* (?: (?P<index> -?\d+ ) | (?P<quoted> '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" ) | (?P<bare> [^]'"\s]+ ) ) \s* ]
    | (?P<dot> \.? ) (?P<name> [^.[\]\s]+ )
    """,
    re.VERBOSE,
)


def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path; none for "".

    Raises:
        NodeError: it is none.
    """
    steps: list[Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or (match["name"] is not None and bool(match["dot"]) is not bool(steps)):
            raise NodeError(f"{path!r} is no path, from {path[position:]!r} on: write it like a.b[0].c or m['k'].x")
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return Step(int(match["index"]), item=True)
    if match["quoted"] is not None:
        return Step(ast.literal_eval(match["quoted"]), item=True)
    return Step(match["bare"], item=True) if match["bare"] is not None else Step(match["name"])


def shown(steps: Iterable[Step]) -> str:
    """The path of some steps, which `parse` reads."""
    return "".join(map(str, steps)).removeprefix(".")
