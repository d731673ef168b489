"""`neox run`: build a recipe and call it, or call a function, with the arguments that words say."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from neox_core.cli.node_words import add_options, arguments_with_places, check, edited, show
from neox_core.cli.parameters import parameter_rows
from neox_core.cli.recipes import Root, allowed, root_of, root_of_file
from neox_core.cli.tables import table
from neox_core.config.nodes import Node, Partial, build, explain
from neox_core.config.nodes.allowed import SETTINGS_CLASS, defined_as
from neox_core.config.nodes.sections import split
from neox_core.config.parser import RaisingParser
from neox_core.config.presets import is_readable
from neox_core.errors import UserError
from neox_core.plugins import CommandContext

DESCRIPTION = """\
Run a function of yours, a command, or what a recipe makes. Words after its name change its arguments, from left to right:
key=value, a.b[0].c=value, key+=value (also -= *= /= |=), ~key, key=@FILE.yml:section, key=RECIPE, key=RECIPE(argument=value);
FILE.yml has several."""


def main(argv: list[str], context: CommandContext) -> int:
    """Run what the first word names; its exit code is what that returns, if it is a whole number."""
    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: neox run FILE.py:NAME | MODULE:NAME | RECIPE | FILE.yml [WORD]... [OPTION]...\n\n{DESCRIPTION}")
        print("\n`neox run FILE.py:NAME --help` lists its arguments and the options.")
        return 0 if argv else 2
    root = _root(argv[0], argv[1:], context)
    return run(root, argv[1:], context)


def _root(word: str, argv: Sequence[str], context: CommandContext) -> Root:
    """The tree that the first word means; what a file may name is said by words after it."""
    if word.endswith(".py") or not is_readable(split(word)[0]):
        return root_of(word, context, runs=True)
    parser = RaisingParser(prog="neox run", add_help=False, allow_abbrev=False)
    parser.add_allow()
    return root_of_file(Path(word), parser.parse_known_args(argv)[0], context)


def run(root: Root, argv: Sequence[str], context: CommandContext) -> int:
    """Change a tree by words and options, build it, and call what that gives, if it is a `Partial`.

    Returns:
        What was returned, if that is a whole number; else 0.

    Raises:
        UserError: a word is wrong, or an argument missing; the node is of settings, which do nothing.
    """
    parser = RaisingParser(
        prog=f"neox run {root.name}",
        description=_summary(root.node),
        epilog=_arguments(root.node, root.recipes),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE | FILE", help="arguments, or files of arguments")
    add_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="check the arguments, list them, and run nothing")
    parser.add_argument(
        "--explain", metavar="PATH", help="say what a value of the tree is and where it was set, and run nothing"
    )
    options = parser.parse(argv)
    node = edited(root.node, options.words, root.recipes, allowed(options, context, root))
    if options.explain is not None:
        print(explain(node, options.explain))
        return 0
    check(node)
    if show(node, options):
        return 0
    if options.dry_run:
        print(table(arguments_with_places(node)))
        return 0
    if defined_as(node._target.object) == SETTINGS_CLASS:
        raise UserError(f"{root.name}: these are the settings of a run, which `neox train` takes")
    made = build(node)
    returned = made() if isinstance(node, Partial) else made
    return returned if type(returned) is int else 0


def _summary(node: Node[Any]) -> str:
    return (getattr(node._target.object, "__doc__", None) or str(node._target)).strip().partition("\n")[0]


def _arguments(node: Node[Any], recipes: Mapping[str, Callable[..., Any]]) -> str:
    """The parameters with their types, with what is set or their defaults, and the recipes that values may name."""
    rows = parameter_rows(node)
    said = (
        "\n".join(["arguments:", *(f"  {line}" for line in table(rows).splitlines())])
        if rows
        else "It has no arguments."
    )
    return f"{said}\n\nrecipes: {', '.join(sorted(recipes))}" if recipes else said
