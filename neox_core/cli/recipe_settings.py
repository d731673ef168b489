"""From the tree of a recipe, and what changes it, to flat settings."""

from __future__ import annotations

import argparse
import functools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from neox_core.cli.node_words import check, loader
from neox_core.cli.recipes import Root, allowed
from neox_core.config import Entry, NeoXArgs, Ownership
from neox_core.config.entries import overlaid, read_entries
from neox_core.config.nodes import Node, build
from neox_core.config.nodes.comparing import explicit
from neox_core.config.nodes.edits import Edit
from neox_core.config.nodes.foreign import told
from neox_core.config.nodes.node import origin_of
from neox_core.config.nodes.parameters import MISSING
from neox_core.config.nodes.words import Word
from neox_core.config.overrides import Override
from neox_core.config.settings_nodes import settings_entries
from neox_core.errors import UserError, nearest
from neox_core.plugins import CommandContext
from neox_core.training.trains import Training


def settings_with(
    root: Root, files: Iterable[Path], overrides: Sequence[str], options: argparse.Namespace, context: CommandContext
) -> dict[str, Entry]:
    """The raw keys that a tree stands for, with those of files over it, and with overrides, strictly from left to right.

    An override changes the tree where its root has a parameter of the name; else it is one of the flat settings. What a change of
    the tree makes of the settings is found by comparing them before and after.

    Raises:
        UserError: an override is a mistake, a file cannot be read, the tree is not of a run.
    """
    load = loader(allowed(options, context, root))
    before = _entries_if_whole(root.node)
    later: list[Override] = []
    for word in overrides:
        if not _is_of_node(root.node, word):
            later.append(override := Override.parse(word))
            _refuse_other_meaning(override, root, context)
            continue
        Edit.parse(word).apply(root.node, load, root.recipes)
        after = _entries_if_whole(root.node)
        if after is not None:
            later += _changes(after if before is None else before, after, word)
        before = after or before
    whole = {entry.key: entry for entry in settings_of(root.node)}
    entries = overlaid(whole, read_entries(files))
    for override in later:
        override.apply(entries)
    return entries


def _is_of_node(node: Node[Any], word: str) -> bool:
    """Whether a word changes the tree, not the flat settings."""
    first = Word.parse(word).steps[0].key
    name = str(first).replace("-", "_")
    return isinstance(node._target.object, Training) and name in node._parameters.by_name


def _refuse_other_meaning(override: Override, root: Root, context: CommandContext) -> None:
    """Refuse what is no setting, and is or looks like an argument of the recipe or of the tree's root."""
    ownership = Ownership.of(context.plugins)
    if (
        override.key in ownership.by_key
        or nearest(override.key, [*ownership.by_key, *ownership.aliases]) == override.key
    ):
        return
    if override.key in root.arguments:
        name = root.word.partition("(")[0]
        raise UserError(
            f"'{override.text}': {override.key} is an argument of the recipe, and no setting; write \"{name}({override.key}=...)\""
        )
    known = root.node._parameters.by_name if isinstance(root.node._target.object, Training) else {}
    if close := nearest(override.key, known):
        raise UserError(f"'{override.text}': there is no such setting, and no such argument; did you mean '{close}'?")


def _entries_if_whole(node: Node[Any]) -> dict[str, Entry] | None:
    """The settings of a tree; None while something in it is missing or wrong, which later words may mend."""
    try:
        return {entry.key: entry for entry in settings_of(node)}
    except UserError:
        return None


def _changes(before: Mapping[str, Entry], after: Mapping[str, Entry], word: str) -> Iterator[Override]:
    """What a word that changed the tree comes to in the settings: what differs, and what is said to be from there."""
    for key, entry in after.items():
        old = before[key].value if key in before else MISSING
        yield from (
            Override(key, path, value, word)
            for path, value in [*_differences(old, entry.value), *_written_by(word, entry)]
        )


def _written_by(word: str, entry: Entry) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and value of what a word set, also to what it was; something else may stand over that in a file."""
    origin = Word.parse(word).origin
    if entry.origin == origin and not entry.inner:
        yield (), entry.value
    for path, place in entry.inner.items():
        if place == origin:
            steps = tuple(path.split("."))
            yield steps, functools.reduce(operator.getitem, steps, entry.value)


def _differences(old: Any, new: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and value of what is new in a value; a mapping is gone into, as far as nothing is taken from it."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() <= new.keys():
        for name, value in new.items():
            yield from (((name, *path), found) for path, found in _differences(old.get(name, MISSING), value))
    elif old is MISSING or old != new or type(old) is not type(new):
        yield (), new


def settings_of(node: Node[Any]) -> list[Entry]:
    """The settings that a tree stands for, not validated.

    Raises:
        UserError: it is of something that does not train; an argument does not fit, or is missing.
    """
    target = node._target.object
    arguments = explicit(node)
    origins = {name: found for name in [*arguments, *node._origins] if (found := origin_of(node, name)) is not None}
    if isinstance(target, type) and issubclass(target, NeoXArgs):
        return list(settings_entries(build(arguments), origins).values())
    if isinstance(target, Training):
        check(node)
        places = {name: place for name, place in origins.items() if name in arguments}
        with told(str(node._target)):
            return target.settings(build(arguments), places)
    raise UserError(
        f"{node._target} does not train; `neox train` takes a Config(NeoXArgs, ...), or a function that is decorated with @trains; "
        "`neox run` calls any other"
    )
