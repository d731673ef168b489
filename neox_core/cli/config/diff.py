"""`neox config diff A B`: how two configurations, runs or checkpoints differ, by whether the difference matters."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from neox_core.cli.config.outcomes import ABSENT
from neox_core.cli.config.side import Side, read_side
from neox_core.cli.config.values import inner, shortened
from neox_core.cli.report import print_notes
from neox_core.cli.tables import table
from neox_core.cli.words import positive
from neox_core.config.parser import RaisingParser
from neox_core.plugins import CommandContext

Section = Literal["numerics", "speed", "nothing", "same"]

SECTIONS: dict[Section, str] = {
    "numerics": "CHANGES NUMERICS",
    "speed": "CHANGES SPEED OR MEMORY",
    "nothing": "CHANGES NEITHER",
    "same": "WRITTEN DIFFERENTLY, THE SAME IN EFFECT",
}
NOT_SET = "-"


def main(argv: list[str], context: CommandContext) -> int:
    """Print the differences of all values, defaults included; exit code 1 for a difference in effect only with --exit-code."""
    options = parse(argv)
    left, right = (
        read_side(word, context, options.conf_dir, options.world_size) for word in (options.left, options.right)
    )
    print_notes([*left.notes, *right.notes])
    found = differences(left, right)
    print(listing(left, right, found) if found else "same")
    return 1 if set(found) - {"same"} and options.exit_code else 0


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    command = RaisingParser(
        prog="neox config diff",
        allow_abbrev=False,
        description="How two sides differ. A side is a file or preset, the directory of a run or of a checkpoint, or several of "
        "these and KEY=VALUE, joined by commas; a comma within brackets or quotes of a value belongs to that.",
    )
    command.add_argument("left", metavar="A")
    command.add_argument("right", metavar="B")
    command.add_argument("-d", "--conf_dir", type=Path, metavar="DIR", help="directory of the configuration files")
    command.add_argument("--world-size", type=positive, metavar="N", help="how both come out on so many ranks")
    command.add_argument("--exit-code", action="store_true", help="exit with 1 when they differ in effect")
    return command.parse(argv)


def differences(left: Side, right: Side) -> dict[Section, list[list[str]]]:
    """For each kind of change the dotted key and both values."""
    found: dict[Section, list[list[str]]] = {}
    for key, known in (left.keys | right.keys).items():
        changes: Section = "nothing" if known.unused else known.changes
        for path, first, second in _pairs(key, left, right):
            same = (left.resolved and right.resolved) and left.outcome(path, first) == right.outcome(path, second)
            row = [path, *(NOT_SET if value is ABSENT else shortened(value) for value in (first, second))]
            found.setdefault("same" if same else changes, []).append(row)
    return {section: found[section] for section in SECTIONS if section in found}


def _pairs(key: str, left: Side, right: Side) -> Iterator[tuple[str, Any, Any]]:
    """The key, or the keys within a mapping, with both values where they differ."""
    sides = [side.values.get(key) for side in (left, right)]
    if any(isinstance(value, dict) and value for value in sides):
        first, second = (dict(inner(value, key)) if value else {} for value in sides)
    else:
        first, second = ({key: side.values[key]} if key in side.values else {} for side in (left, right))
    for path in dict.fromkeys([*first, *second]):
        values = first.get(path, ABSENT), second.get(path, ABSENT)
        if values[0] != values[1]:
            yield path, *values


def listing(left: Side, right: Side, found: dict[Section, list[list[str]]]) -> str:
    """A table with a section for each kind of change."""
    rows = [["", left.name, right.name]]
    for section, body in found.items():
        rows += [["", "", ""], [SECTIONS[section], "", ""], *([f"  {path}", *values] for path, *values in body)]
    return table(rows)
