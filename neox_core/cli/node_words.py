"""What the verbs that take nodes have in common: their options, the words that change a tree, and showing what came of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from neox_core.config.command_line import RaisingParser
from neox_core.config.nodes import Config, Node, validate
from neox_core.config.nodes.comparing import explicit
from neox_core.config.nodes.edits import apply
from neox_core.config.nodes.forms import dump, load
from neox_core.config.nodes.node import origin_of
from neox_core.config.nodes.writing import to_yaml
from neox_core.errors import UserError


def add_options(parser: RaisingParser) -> None:
    """The options of a verb that takes nodes."""
    parser.add_argument("--print", action="store_true", help="print what would be run, and run nothing")
    parser.add_argument("--save", metavar="FILE", help="write it to a new file, which can be run, and run nothing")
    parser.add_allow()


def edited(
    node: Node[Any], words: Iterable[str], recipes: Mapping[str, Callable[..., Any]], allow: Iterable[str]
) -> Node[Any]:
    """A tree after words have changed it, strictly from left to right: a file has arguments of the root, or is another root.

    Args:
        node: the tree, which is changed.
        words: files and overrides.
        recipes: what values may name.
        allow: what files may name.

    Raises:
        UserError: a word is wrong, or a file is of something else.
    """
    names = list(allow)
    for word in words:
        if "=" in word or word.startswith("~"):
            apply(node, [word], lambda name: load(name, names, settings=False, check=False), recipes)
            continue
        found = load(word, names, settings=False, check=False)
        if isinstance(found, Node):
            if found._target != node._target:
                raise UserError(f"{word}: it is of {found._target}, not of {node._target}")
            node = found
        elif isinstance(found, dict):
            for name, value in found.items():
                setattr(node, name, value)
        else:
            raise UserError(f"{word}: it is no mapping of arguments; name a section, as in {word}:arguments")
    return node


def check(node: Node[Any]) -> None:
    """Hold a tree against the annotations of its parameters, and the root to have what it needs.

    Raises:
        SettingsError: everything that does not fit or is missing.
    """
    validate(Config(node._target, *node._rest, **explicit(node)))


def show(node: Node[Any], options: argparse.Namespace) -> bool:
    """Print or write a tree, if that was asked for; whether it was.

    Raises:
        UserError: it cannot be written.
    """
    if options.print:
        print(to_yaml(node), end="")
    if options.save:
        dump(node, options.save)
    return bool(options.print or options.save)


def arguments_with_places(node: Node[Any]) -> list[tuple[str, str, str]]:
    """Name, value and place of each argument of the root."""
    return [(name, repr(value), str(origin_of(node, name) or "")) for name, value in explicit(node).items()]
