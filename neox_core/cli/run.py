"""`neox run`: build a recipe and call it, or call a function, with the arguments that words say."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neox_core.cli.node_words import add_options, arguments_with_places, check, edited, show
from neox_core.cli.recipes import allowed, root_of
from neox_core.cli.tables import table
from neox_core.config.nodes import Node, Partial, build
from neox_core.config.parser import RaisingParser
from neox_core.config.type_words import type_in_words
from neox_core.plugins import CommandContext

DESCRIPTION = """\
Run a function of yours, a command, or what a recipe makes. Words after its name change its arguments, from left to right:
key=value, a.b[0].c=value, key+=value (also -= *= /= |=), ~key, key=@FILE.yml:section, key=RECIPE, key=RECIPE(argument=value);
FILE.yml has several."""


def main(argv: list[str], context: CommandContext) -> int:
    """Run what the first word names; its exit code is what that returns, if it is a whole number."""
    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: neox run FILE.py:NAME | MODULE:NAME | RECIPE [WORD]... [OPTION]...\n\n{DESCRIPTION}")
        print("\n`neox run FILE.py:NAME --help` lists its arguments and the options.")
        return 0 if argv else 2
    root = root_of(argv[0], context, runs=True)
    return run(root.name, root.node, argv[1:], root.recipes, context)


def run(
    name: str, node: Node[Any], argv: Sequence[str], recipes: Mapping[str, Callable[..., Any]], context: CommandContext
) -> int:
    """Change a node by words and options, build it, and call what that gives, if it is a `Partial`.

    Returns:
        What was returned, if that is a whole number; else 0.

    Raises:
        UserError: a word is wrong, or an argument missing.
    """
    parser = RaisingParser(
        prog=f"neox run {name}",
        description=_summary(node),
        epilog=_arguments(node, recipes),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE | FILE", help="arguments, or files of arguments")
    add_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="check the arguments, list them, and run nothing")
    options = parser.parse(argv)
    node = edited(node, options.words, recipes, allowed(options, context))
    check(node)
    if show(node, options):
        return 0
    if options.dry_run:
        print(table(arguments_with_places(node)))
        return 0
    made = build(node)
    returned = made() if isinstance(node, Partial) else made
    return returned if type(returned) is int else 0


def _summary(node: Node[Any]) -> str:
    return (getattr(node._target.object, "__doc__", None) or str(node._target)).strip().partition("\n")[0]


def _arguments(node: Node[Any], recipes: Mapping[str, Callable[..., Any]]) -> str:
    """The parameters with type and default, and the recipes that values may name."""
    rows = []
    for name, parameter in node._parameters.by_name.items():
        annotation = node._target.annotation(name)
        words = "" if annotation is None else type_in_words(annotation)
        default = "required" if name in node._parameters.required else repr(parameter.value())
        rows.append((f"  {name}", words, default))
    said = f"arguments:\n{table(rows)}" if rows else "It has no arguments."
    return f"{said}\n\nrecipes: {', '.join(sorted(recipes))}" if recipes else said
