"""What the verbs that take nodes have in common: their options, the words that change a tree, and showing what came of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from neox_core.config.nodes import Config, Node, validate
from neox_core.config.nodes.comparing import explicit
from neox_core.config.nodes.edits import apply
from neox_core.config.nodes.node import cast, origin_of
from neox_core.config.nodes.paths import set_value
from neox_core.config.nodes.problems import NodeError
from neox_core.config.nodes.steps import Step, shown
from neox_core.config.nodes.targets import NO_TARGET
from neox_core.config.parser import RaisingParser
from neox_core.errors import Origin, UserError


def add_options(parser: RaisingParser) -> None:
    """The options of a verb that takes nodes."""
    parser.add_argument("--print", action="store_true", help="print what would be run, and run nothing")
    parser.add_argument("--save", metavar="FILE", help="write it to a new file, which can be run, and run nothing")
    parser.add_allow()


def loader(allow: Iterable[str]) -> Callable[[str], Any]:
    """What reads `@file.yml:section`, and files of arguments: nodes, or plain values, that are not held against annotations yet.

    Args:
        allow: what files may name.
    """
    names = list(allow)

    def load(name: str) -> Any:
        from neox_core.config.nodes import forms  # which costs PyYAML

        found = forms.load(name, names, settings=False, check=False)
        _refuse_nameless(found, name)
        return found

    return load


def _refuse_nameless(value: Any, file: str) -> None:
    """Refuse a node whose class would be that of the place where it is put, which no list of what files may name has seen."""
    if isinstance(value, Node):
        if value._target is NO_TARGET:
            raise UserError(f"{file}: {value!r} has no _target_; write which class it is of")
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            _refuse_nameless(item, file)


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
    load = loader(allow)
    for word in words:
        if "=" in word or word.startswith("~"):
            apply(node, [word], load, recipes)
            continue
        found = load(word)
        if isinstance(found, Node):
            if found._target != node._target:
                raise UserError(f"{word}: it is of {found._target}, not of {node._target}")
            node = found
        elif isinstance(found, dict):
            _set_all(node, found, word)
        else:
            raise UserError(f"{word}: it is no mapping of arguments; name a section, as in {word}:arguments")
    return node


def _set_all(node: Node[Any], values: Mapping[Any, Any], file: str) -> None:
    for name, value in values.items():
        if not isinstance(name, str):
            raise UserError(f"{file}: {name!r} is no name of an argument; put it into quotes")
        try:
            set_value(node, shown([Step(name)]), value, Origin(source=file))
        except NodeError as error:
            raise type(error)(f"{file}: {error}") from error


def check(node: Node[Any]) -> None:
    """Hold a tree against the annotations of its parameters, and the root to have what it needs.

    Raises:
        SettingsError: everything that does not fit or is missing.
    """
    validate(cast(Config, node))


def show(node: Node[Any], options: argparse.Namespace) -> bool:
    """Print or write a tree, if that was asked for; whether it was.

    Raises:
        UserError: it cannot be written.
    """
    if options.print:
        from neox_core.config.nodes.writing import to_yaml

        print(to_yaml(node), end="")
    if options.save is not None:
        from neox_core.config.nodes.forms import dump

        dump(node, options.save)
    return bool(options.print or options.save is not None)


def arguments_with_places(node: Node[Any]) -> list[tuple[str, str, str]]:
    """Name, value and place of each argument of the root."""
    return [(name, repr(value), str(origin_of(node, name) or "")) for name, value in explicit(node).items()]
