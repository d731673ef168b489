"""Whether trees of nodes are equal, and how they differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from neox_core.config.nodes.node import ATOMS, CONTAINERS, Node
from neox_core.config.nodes.parameters import MISSING
from neox_core.config.nodes.problems import NodeError
from neox_core.config.nodes.steps import Step, shown


class Difference(NamedTuple):
    """One path at which two trees differ."""

    path: str
    """"" for the root."""
    old: str | None
    """The value in the first, in words; None where it has none."""
    new: str | None
    """The same of the second."""

    def __str__(self) -> str:
        path = self.path or "<root>"
        lines = [f"{sign} {path} = {value}" for sign, value in (("-", self.old), ("+", self.new)) if value is not None]
        return "\n".join(lines)


def equal(one: Any, other: Any) -> bool:
    """Whether two trees make the same: same kinds of nodes, targets and arguments.

    An argument that is not given equals one that is given as its default. Values are equal when their types are the same and they
    are equal, so that 1 is not True. Nodes that are shared in one must be shared in the other.
    """
    return next(_Comparison().differences(one, other), None) is None


def differences(one: Any, other: Any) -> list[Difference]:
    """How two trees differ, path by path; nothing where they are equal."""
    return list(_Comparison().differences(one, other))


def diff(one: Any, other: Any) -> str:
    """How two trees differ, `- path = old` and `+ path = new` for each path; "" where they are equal."""
    return "\n".join(map(str, differences(one, other)))


def explicit(node: Node[Any]) -> Mapping[str, Any]:
    """The arguments that were given: without defaults that were only read."""
    if not node._touched:
        return node._arguments
    return {name: value for name, value in node._arguments.items() if not _untouched(node, name)}


def _untouched(node: Node[Any], name: str) -> bool:
    return name in node._touched and equal(node._arguments[name], node._default(name))


_Items = Mapping[Any, Any]
_Where = tuple[Any, Any, bool] | None
"""A path: that of what holds it, the key there, and whether that is an item. None: the root."""

_Met = dict[int, tuple[Node[Any], Node[Any], _Where]]
"""Nodes by their ids, each with the one of the other tree that it was met with, and where."""


class _Comparison:
    """Which node of one tree was met together with which of the other.

    Nodes are kept with their ids, since some are made for the comparison: those of defaults.
    """

    def __init__(self) -> None:
        self.ones: _Met = {}
        self.others: _Met = {}
        self.begun: set[tuple[int, int]] = set()

    def differences(self, one: Any, other: Any, where: _Where = None) -> Iterator[Difference]:
        if type(one) is not type(other):
            yield self._difference(where, one, other)
        elif isinstance(one, Node):
            yield from self._nodes(one, other, where)
        elif isinstance(one, CONTAINERS):
            if (id(one), id(other)) not in self.begun:  # else they hold themselves
                self.begun.add((id(one), id(other)))
                yield from self._items(_by_key(one), _by_key(other), where, True)
                self.begun.discard((id(one), id(other)))
        elif not _same(one, other):
            yield self._difference(where, one, other)

    def _nodes(self, one: Node[Any], other: Node[Any], where: _Where) -> Iterator[Difference]:
        met, other_met = self.ones.get(id(one)), self.others.get(id(other))
        if met or other_met:
            if met is None or met[1] is not other:
                yield self._difference(where, one, other)
            return
        self.ones[id(one)] = self.others[id(other)] = (one, other, where)
        same_target = one._target == other._target
        if not same_target:
            yield Difference(_path(where), _head(one), _head(other))
        yield from self._items(_by_key(one._rest), _by_key(other._rest), where, True)
        with_defaults = same_target and _defaults_known(one, other)
        ours, theirs = explicit(one), explicit(other)
        if with_defaults and ours.keys() != theirs.keys():
            ours, theirs = _with_defaults(one, ours, theirs), _with_defaults(other, theirs, ours)
        yield from self._items(ours, theirs, where, False)

    def _items(self, ours: _Items, theirs: _Items, where: _Where, item: bool) -> Iterator[Difference]:
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            yield from self.differences(ours.get(key, MISSING), theirs.get(key, MISSING), (where, key, item))

    def _difference(self, where: _Where, one: Any, other: Any) -> Difference:
        return Difference(_path(where), _words(one, self.ones), _words(other, self.others))


def _defaults_known(one: Node[Any], other: Node[Any]) -> bool:
    """Whether defaults can be told; where one of the nodes has other arguments, targets are imported for that."""
    if one._settled is other._settled and one._arguments.keys() == other._arguments.keys():
        return one._settled
    try:
        _ = one._parameters, other._parameters
    except (NodeError, ImportError):
        return False
    return True


def _with_defaults(node: Node[Any], given: _Items, others: _Items) -> _Items:
    """The arguments of a node, and the defaults of those that only the other node has."""
    return {**given, **{name: node._default(name) for name in others if name not in given}}


def _by_key(container: Any) -> _Items:
    """What a list, tuple or mapping holds, by index or key."""
    return container if isinstance(container, dict) else dict(enumerate(container))


def _path(where: _Where) -> str:
    steps = []
    while where is not None:
        where, key, item = where
        steps.append(Step(key, item))
    return shown(reversed(steps))


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) in ATOMS:
        return bool(one == other) or (type(one) is float and math.isnan(one) and math.isnan(other))
    if getattr(one, "shape", None) != getattr(other, "shape", None):
        return False
    found = one == other
    return bool(found.all() if hasattr(found, "all") else found)  # arrays compare item by item


def _words(value: Any, met: _Met) -> str | None:
    if value is MISSING:
        return None
    if isinstance(value, Node) and id(value) in met:
        return f"the node at {_path(met[id(value)][2]) or '<root>'}"
    return repr(value)


def _head(node: Node[Any]) -> str:
    return f"{type(node).__name__}({node._target.written})"
