"""From instances to nodes: what is assigned to a node, and which class a node without a target is meant to make."""

from __future__ import annotations

import copy as copies
import dataclasses
import functools
from collections.abc import Mapping
from enum import Enum
from typing import Any

from neox_core.config.nodes.annotations import below, classes_called_in, classes_in
from neox_core.config.nodes.node import ATOMS, CONTAINERS, Config, Node, Partial
from neox_core.config.nodes.parameters import Parameters
from neox_core.config.nodes.targets import NO_TARGET, Target
from neox_core.config.nodes.tree import nodes_within


def as_node(value: Any, copy: bool = False) -> Any:
    """A value with nodes in place of instances of dataclasses and pydantic models, and of partial functions.

    All arguments that the constructor takes are explicit in such a node; an instance whose constructor takes other names than those
    of its fields (`InitVar`, an `__init__` of its own) stays as it is. Lists, tuples and mappings are entered, and are the same
    objects where nothing in them changes; an instance that is met twice becomes one node. A class that defines
    `__as_node__(self) -> Node` says itself what its instances become. What else there is stays as it is.

    Args:
        value: anything.
        copy: whether nodes, lists, mappings and sets are copies in any case.
    """
    return value if type(value) in ATOMS else _Conversion(copy).converted(value)


class _Conversion:
    """What was met so far, so that sharing survives."""

    def __init__(self, copy: bool) -> None:
        self.copy = copy
        self.met: dict[int, tuple[Any, Any]] = {}
        self.copied: dict[int, Any] = {}

    def converted(self, value: Any) -> Any:
        if type(value) in ATOMS:
            return value
        if isinstance(value, Node | set):
            return copies.deepcopy(value, self.copied) if self.copy else value
        if id(value) not in self.met:
            self.met[id(value)] = (value, value)  # it is kept alive with its id; and what holds itself ends here
            self.met[id(value)] = (value, self._made(value))
        return self.met[id(value)][1]

    def _made(self, value: Any) -> Any:
        if isinstance(value, CONTAINERS):
            return self._container(value)
        if isinstance(value, type | Enum):
            return value
        if hasattr(type(value), "__as_node__"):
            return value.__as_node__()
        if type(value) is functools.partial and not value.args:  # with some, what it is called with comes after them
            return Partial(value.func, **self._items(value.keywords))
        fields = _fields(value)
        return value if fields is None else self._instance(value, fields)

    def _container(self, value: Any) -> Any:
        old = list(value.values() if isinstance(value, dict) else value)
        new = [self.converted(item) for item in old]
        changed = any(a is not b for a, b in zip(old, new, strict=True))
        return refilled(value, new) if changed or (self.copy and not isinstance(value, tuple)) else value

    def _instance(self, value: Any, fields: Mapping[str, Any]) -> Any:
        """The node of an instance; itself where its constructor does not take just what it keeps."""
        parameters, given = Parameters.of(type(value)), fields.keys()
        taken = parameters.by_name.keys()
        if given != taken and not (parameters.others and given > taken):
            return value
        return Config(type(value), **self._items(fields))

    def _items(self, items: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.converted(item) for name, item in items.items()}


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass or pydantic model with their values; None for anything else."""
    if dataclasses.is_dataclass(value):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value) if item.init}
    if isinstance(getattr(type(value), "model_fields", None), dict):
        return {**{name: getattr(value, name) for name in type(value).model_fields}, **(value.model_extra or {})}
    return None


def refilled(container: Any, items: list[Any]) -> Any:
    """A list, tuple or dict like `container` (of its class, with its keys) that holds `items` instead."""
    if isinstance(container, tuple):
        return tuple.__new__(type(container), items)
    made = copies.copy(container)
    if isinstance(made, dict):
        made.update(zip(container, items, strict=True))
    else:
        made[:] = items
    return made


def with_target(value: Any, target: Target, name: str) -> Any:
    """Give a node that has no target the class that a parameter is annotated with (also `M | None`, `list[M]`, `dict[str, M]`).

    Args:
        value: what is assigned: a node, or a list, tuple or mapping with nodes in it.
        target: what has the parameter.
        name: the parameter.

    Returns:
        `value`. A node stays without a target where the annotation is none, or allows several classes.

    Raises:
        WrongArguments: the class does not take the node's arguments.
    """
    if any(node._target is NO_TARGET for node in nodes_within(value)):
        _give(value, [target.annotation(name)])
    return value


def _give(value: Any, annotations: list[Any]) -> None:
    if isinstance(value, Node):
        wanted = classes_called_in if isinstance(value, Partial) else classes_in
        classes = [found for annotation in annotations for found in wanted(annotation)]
        if value._target is NO_TARGET and len(classes) == 1:
            value._retarget(classes[0])
    elif isinstance(value, CONTAINERS):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _give(item, below(annotations, type(value), key))
