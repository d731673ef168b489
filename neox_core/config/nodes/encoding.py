"""From nodes to plain data with markers, which YAML, JSON and TOML can hold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any

from neox_core.config.nodes.allowed import SETTINGS, written_name
from neox_core.config.nodes.annotations import below
from neox_core.config.nodes.comparing import explicit
from neox_core.config.nodes.markers import (
    ARGS,
    CALL,
    FLOAT,
    ITEMS,
    PARTIAL,
    PATH,
    SEQUENCES,
    TARGET,
    TEXT,
    is_marker,
)
from neox_core.config.nodes.node import Config, Node, Partial
from neox_core.config.nodes.parameters import MISSING
from neox_core.config.nodes.plain_values import meant_by_list, meant_by_text
from neox_core.config.nodes.problems import NodeError
from neox_core.config.nodes.targets import NO_TARGET
from neox_core.config.nodes.tree import child, children
from neox_core.config.plain import in_python

WRITABLE = (
    "text, numbers, true/false, None, lists, tuples, mappings, sets, paths, nodes; classes, functions and members of enums "
    "that a module has under their own name; and torch's dtypes"
)
"""What can be written, in words."""

_LONGEST_KEY = 150  # each character may be written as six

_Annotations = Iterable[Any]


def encoded(root: Any, *, nulls: bool = True, infinities: bool = True) -> Any:
    """Plain data for a tree of nodes: what is shared in the tree is the same list or mapping there.

    Args:
        root: a node, or a container of nodes.
        nulls: whether the form of text has a value for None.
        infinities: whether it has nan, inf and -inf.

    Raises:
        NodeError: a value that cannot be written; the message names its path.
    """
    encoding = _Encoding(root, nulls, infinities)
    if isinstance(root, dict):
        return encoding.items(root, [], "")  # never plain: that would be the settings of a run
    found = encoding.of(root, [], "")
    if type(root) is Config and found.get(TARGET) == SETTINGS and not any(map(is_marker, [*found][1:])):
        del found[TARGET]
    return found


class _Encoding:
    """What was written so far, by the identity of what it stands for."""

    def __init__(self, root: Any, nulls: bool, infinities: bool) -> None:
        self.nulls, self.infinities = nulls, infinities
        self.uses: Counter[int] = Counter()
        self._count(root)
        self.written: dict[int, Any] = {}
        self.defaults: list[Any] = []  # kept alive, since what is written is known by its identity
        self.begun: set[int] = set()

    def _count(self, value: Any) -> None:
        self.uses[id(value)] += 1
        if self.uses[id(value)] == 1 or isinstance(value, tuple):  # which is written in full each time
            for _, item in children(value):
                self._count(item)

    def of(self, value: Any, annotations: _Annotations, path: str) -> Any:
        """The plain data for a value where annotations say what a plain list and plain text are."""
        if type(value) in (bool, int, float, NoneType):
            return self._atom(value, path)
        if type(value) is str:
            return self._text(value, annotations, path)
        if type(value) in SEQUENCES.values():
            return self._sequence(value, annotations, path)
        if type(value) is dict or isinstance(value, Node):
            return self._once(value, annotations, path)
        return self._named(value, meant_by_text(annotations), path)

    def _atom(self, value: Any, path: str) -> Any:
        if value is None and not self.nulls:
            raise NodeError(f"{path or '<root>'} is None, which TOML has no word for: unset it, or write YAML or JSON")
        finite = type(value) is not float or self.infinities or math.isfinite(value)
        return value if finite else {FLOAT: str(value)}

    def _text(self, text: str, annotations: _Annotations, path: str) -> Any:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise _unwritable(text, path, "half of a character is no text") from error
        meant = meant_by_text(annotations)
        plain = meant is str or (issubclass(meant, Enum) and text not in meant.__members__)
        return text if plain else {TEXT: text}

    def _named(self, value: Any, plain: type, path: str) -> Any:
        """A path, and what has a name, where plain text stands for a value of the class `plain`."""
        if isinstance(value, Path):
            return str(value) if plain is Path else {PATH: str(value)}
        if isinstance(value, Enum) and type(value) is plain and plain.__members__.get(value.name) is value:
            return value.name
        return {TARGET: _name(value, path), CALL: False}

    # Lists and mappings

    def _sequence(self, value: Any, annotations: _Annotations, path: str) -> Any:
        kind = type(value)
        plain = self._once(value, annotations, path)
        marker = next(name for name, found in SEQUENCES.items() if found is kind)
        return plain if meant_by_list(annotations) is kind else {marker: plain}

    def _once(self, value: Any, annotations: _Annotations, path: str) -> Any:
        """The plain data for a list, mapping or node: the same each time."""
        key = id(value)
        if isinstance(value, tuple | frozenset):  # nobody can tell whether those are shared
            return self._list(value, annotations, path)
        if key not in self.written:
            if key in self.begun:
                raise NodeError(f"{path or '<root>'} holds itself, and cannot be written")
            self.begun.add(key)
            inner = [] if self.uses[key] > 1 else annotations  # what one place means, another need not
            self.written[key] = self._made(value, inner, path)
        return self.written[key]

    def _made(self, value: Any, annotations: _Annotations, path: str) -> Any:
        if isinstance(value, Node):
            return self._node(value, path)
        if isinstance(value, dict):
            return self._mapping(value, annotations, path)
        return self._list(value, annotations, path)

    def _list(self, value: Any, annotations: _Annotations, path: str) -> list[Any]:
        kind = type(value)
        ordered = sorted(value, key=_by_text) if kind in (set, frozenset) else value
        return [
            self.of(item, below(annotations, kind, index), path + child(value, index))
            for index, item in enumerate(ordered)
        ]

    def _mapping(self, value: dict[Any, Any], annotations: _Annotations, path: str) -> dict[str, Any]:
        if not all(map(_is_plain_key, value)):
            return self.items(value, annotations, path)
        return {
            self._key(key, path): self.of(item, below(annotations, dict, key), path + child(value, key))
            for key, item in value.items()
        }

    def items(self, value: Mapping[Any, Any], annotations: _Annotations, path: str) -> dict[str, Any]:
        """A mapping as a list of its keys and values."""
        pairs = [
            [self.of(key, [], path), self.of(item, below(annotations, dict, key), path + child(value, key))]
            for key, item in value.items()
        ]
        return {ITEMS: pairs}

    def _key(self, key: str, path: str) -> str:
        self._text(key, [], path)
        return key

    # Nodes

    def _node(self, node: Node[Any], path: str) -> dict[str, Any]:
        head = _head(node, path)
        named = _in_order(node)
        if node._rest:
            head[ARGS] = self._by_position(node, named, path)
        found = {
            name: self.of(value, [node._target.annotation(name)], _below(path, node, name))
            for name, value in named.items()
        }
        marked = [[name, value] for name, value in found.items() if not _is_plain_key(name)]
        if marked:
            head[ITEMS] = marked
        return {**head, **{self._key(name, path): value for name, value in found.items() if _is_plain_key(name)}}

    def _by_position(self, node: Node[Any], named: dict[str, Any], path: str) -> list[Any]:
        """The arguments without a name, and those before them, which are taken from `named`."""
        before = [(name, named.pop(name, MISSING)) for name in node._parameters.positional]
        given = [(name, node._default(name) if value is MISSING else value) for name, value in before]
        self.defaults.append(given)
        missing = [name for name, value in given if value is MISSING]
        if missing:
            raise NodeError(f"{path or '<root>'}: '{missing[0]}' must be set, since what comes after it is")
        found = [self.of(value, [node._target.annotation(name)], _below(path, node, name)) for name, value in given]
        return [*found, *(self.of(value, [], path + child(node, index)) for index, value in enumerate(node._rest))]


def _head(node: Node[Any], path: str) -> dict[str, Any]:
    """What a node makes, and how."""
    _ = node._parameters  # the target is imported, so that the arguments are all there
    if type(node) not in (Config, Partial):
        raise _unwritable(node, path, "it is neither a Config nor a Partial")
    if node._target is NO_TARGET:
        return {PARTIAL: isinstance(node, Partial)}
    head = {TARGET: _name(node._target.object, path)}
    return {**head, PARTIAL: True} if isinstance(node, Partial) else head


def _in_order(node: Node[Any]) -> dict[str, Any]:
    """The arguments that were given, in the order of the signature; as they were given where a class builds itself."""
    known = () if node._target is NO_TARGET or node._target.builder else node._parameters.by_name
    given = explicit(node)
    ordered = {name: given[name] for name in known if name in given}
    return {**ordered, **given}


def _below(path: str, node: Node[Any], name: str) -> str:
    return (path + child(node, name)).removeprefix(".")


def _is_plain_key(key: Any) -> bool:
    """Whether a key can stand before a colon: YAML reads no more than 1024 characters in search of that."""
    return type(key) is str and not is_marker(key) and len(key) <= _LONGEST_KEY


def _by_text(value: Any) -> tuple[str, str]:
    """The order in which a set is written, the same each time."""
    return type(value).__name__, repr(value)


def _name(value: Any, path: str) -> str:
    name = written_name(value)
    if name is None:
        named = isinstance(value, type) or hasattr(value, "__qualname__")
        reason = "no module has it under its own name" if named else f"its class is {type(value).__name__}"
        raise _unwritable(value, path, reason)
    return name


def _unwritable(value: Any, path: str, reason: str) -> NodeError:
    return NodeError(
        f"{path or '<root>'} is {in_python(value)}, which cannot be written: {reason}. What can be: {WRITABLE}"
    )
