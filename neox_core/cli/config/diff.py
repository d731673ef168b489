"""`neox config diff A B`: how two configurations, runs or checkpoints differ, by whether the difference matters."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from neox_core.cli.config.side import Side, read_side
from neox_core.cli.config.values import inner, shortened
from neox_core.cli.report import print_notes
from neox_core.cli.tables import table
from neox_core.config.settings import Changes
from neox_core.plugins import CommandContext

SECTIONS: dict[Changes, str] = {
    "numerics": "CHANGES NUMERICS",
    "speed": "CHANGES SPEED OR MEMORY",
    "nothing": "CHANGES NEITHER",
}
NOT_SET = "-"

NAMES = {"norm", "pos_emb", "activation", "launcher", "lr_decay_style", "moe_type", "train_impl", "optimizer.type"}
"""Keys with the name of a component, of which case does not matter."""


def main(argv: list[str], context: CommandContext) -> int:
    """Print the differences of all values, defaults included; exit code 1 for a difference only with --exit-code."""
    options = parse(argv)
    left, right = (read_side(word, context) for word in (options.left, options.right))
    print_notes([*left.notes, *right.notes])
    found = differences(left, right)
    print(listing(left, right, found) if found else "same")
    return 1 if found and options.exit_code else 0


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="neox config diff",
        description="How two sides differ. A side is a file or preset, several joined by commas, or the directory of a run "
        "or a checkpoint.",
    )
    command.add_argument("left", metavar="A")
    command.add_argument("right", metavar="B")
    command.add_argument("--exit-code", action="store_true", help="exit with 1 when they differ")
    return command.parse_args(argv)


def differences(left: Side, right: Side) -> dict[Changes, list[list[str]]]:
    """For each kind of change the dotted key and both values."""
    found: dict[Changes, list[list[str]]] = {}
    for key, known in (left.keys | right.keys).items():
        changes: Changes = "nothing" if known.unused else known.changes
        found.setdefault(changes, []).extend(_rows(key, left, right))
    return {changes: found[changes] for changes in SECTIONS if found.get(changes)}


def _rows(key: str, left: Side, right: Side) -> Iterator[list[str]]:
    """The key, or the keys within a mapping, whose values differ."""
    sides = [side.values.get(key) for side in (left, right)]
    if any(isinstance(value, dict) and value for value in sides):
        first, second = (dict(inner(value, key)) if value else {} for value in sides)
    else:
        first, second = ({key: side.values[key]} if key in side.values else {} for side in (left, right))
    for path in dict.fromkeys([*first, *second]):
        if path not in first or path not in second or not _same(path, first[path], second[path]):
            yield [path, *(shortened(side[path]) if path in side else NOT_SET for side in (first, second))]


def _same(path: str, first: object, second: object) -> bool:
    if path in NAMES and isinstance(first, str) and isinstance(second, str):
        return first.casefold() == second.casefold()
    return first == second


def listing(left: Side, right: Side, found: dict[Changes, list[list[str]]]) -> str:
    """A table with a section for each kind of change."""
    rows = [["", left.name, right.name]]
    for changes, body in found.items():
        rows += [["", "", ""], [SECTIONS[changes], "", ""], *([f"  {path}", *values] for path, *values in body)]
    return table(rows)
