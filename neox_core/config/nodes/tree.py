"""What a tree of nodes consists of: every node once, and what each holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neox_core.config.nodes.node import ATOMS, CONTAINERS, Node
from neox_core.config.nodes.steps import Step


def nodes(root: Any) -> Iterator[Node[Any]]:
    """Every node once, parents first, through lists, tuples and mappings."""
    return (node for _, node in located(root))


def located(root: Any) -> Iterator[tuple[str, Node[Any]]]:
    """Every node once, parents first, with the first path that leads to it ("" for the root)."""
    return _located(root, "", {}, enter=True)


def nodes_within(value: Any) -> Iterator[Node[Any]]:
    """The nodes that a value is or holds in lists, tuples and mappings, without what is below them."""
    return (node for _, node in _located(value, "", {}, enter=False))


def _located(value: Any, path: str, met: dict[int, Any], *, enter: bool) -> Iterator[tuple[str, Node[Any]]]:
    if type(value) in ATOMS or id(value) in met:
        return
    if isinstance(value, Node):
        met[id(value)] = value
        yield path, value
        if not enter:
            return
    elif isinstance(value, CONTAINERS):
        met[id(value)] = value
    for step, item in children(value):
        yield from _located(item, (path + step).removeprefix("."), met, enter=enter)


def children(value: Any) -> list[tuple[str, Any]]:
    """What a node, list, tuple or mapping holds, each with the step to it; nothing for other values."""
    if isinstance(value, Node):
        rest = [(str(Step(index, item=True)), item) for index, item in enumerate(value._rest)]
        return [*rest, *((str(Step(name)), item) for name, item in value._arguments.items())]
    if isinstance(value, dict):
        return [(str(Step(key, item=True)), item) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [(str(Step(index, item=True)), item) for index, item in enumerate(value)]
    return []


def child(holder: Any, key: Any) -> str:
    """The step from a node, list, tuple or mapping to what it holds under a name, index or key."""
    return str(Step(key, item=not isinstance(holder, Node) or isinstance(key, int)))
