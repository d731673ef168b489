"""Changing all nodes of a tree that have an argument, and selecting nodes by what they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from neox_core.config.nodes.conversion import as_node
from neox_core.config.nodes.node import Node
from neox_core.config.nodes.problems import NoSuchParameter, WrongArguments
from neox_core.config.nodes.targets import NO_TARGET, Target
from neox_core.config.nodes.tree import located, nodes
from neox_core.errors import did_you_mean

Tree = TypeVar("Tree")


def broadcast(root: Tree, /, strict: bool = False, **values: Any) -> Tree:
    """Set arguments in every node that has them, in place.

    A node has an argument when it is set or has a default. The nodes are those before anything changes, each is visited once. The
    same object is set everywhere: a node or list among `values` is then shared.

    Args:
        root: a node, or a container of nodes.
        strict: whether a name that no node has is an error.
        values: what to set.

    Returns:
        `root`.

    Raises:
        NoSuchParameter: `strict`, and no node has the argument; nothing is changed then.
    """
    converted = as_node(values)
    functions = {name: lambda _, value=value: value for name, value in converted.items()}
    return walk(root, strict, **functions)


def walk(root: Tree, /, strict: bool = False, **functions: Callable[[Any], Any]) -> Tree:
    """Set arguments, in every node that has them, to what functions make of the node: `hidden=lambda node: node.hidden * 2`.

    As `broadcast`, in place. All functions of a node are called before any of its arguments changes.

    Args:
        root: a node, or a container of nodes.
        strict: whether a name that no node has is an error.
        functions: each takes a node, whichever has the argument, and returns its new value.

    Returns:
        `root`.

    Raises:
        NoSuchParameter: `strict`, and no node has the argument; nothing is changed then.
        WrongArguments: what is given is no function.
    """
    values = [name for name, function in functions.items() if not callable(function)]
    if values:
        raise WrongArguments(
            f"walk({values[0]}={functions[values[0]]!r}): that is no function of a node; broadcast sets values"
        )
    found = _settled(root)
    if strict:
        _refuse_unknown([node for _, node in found], list(functions))
    for path, node in found:
        names = [name for name in functions if has(node, name)]
        try:
            changed = {name: functions[name](node) for name in names}
        except Exception as error:
            error.add_note(f"in walk({', '.join(f'{name}=...' for name in names)}) at <root>{path and '.'}{path}")
            raise
        for name, value in changed.items():
            node._write(name, value)
    return root


def _settled(root: Any) -> list[tuple[str, Node[Any]]]:
    """The nodes below, once targets are imported, which may put further nodes there."""
    found = []
    for path, node in located(root):
        found.append((path, node))
        _ = node._parameters
    return found


def has(node: Node[Any], name: str) -> bool:
    """Whether an argument of a node can be read: it is set, or has a default."""
    parameter = node._parameters.by_name.get(name)
    return name in node._arguments or (parameter is not None and not parameter.required)


def _refuse_unknown(found: list[Node[Any]], names: list[str]) -> None:
    for name in names:
        if not any(has(node, name) for node in found):
            known = sorted({key for node in found for key in [*node._arguments, *node._parameters.by_name]})
            raise NoSuchParameter(f"no node has '{name}'; {did_you_mean(name, known)}")


class Selection:
    """Nodes, to read and set arguments of all together. Made by `select`."""

    def __init__(self, found: list[Node[Any]]) -> None:
        self._found = found

    def __iter__(self) -> Iterator[Node[Any]]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def get(self, name: str) -> list[Any]:
        """The argument of each.

        Raises:
            NoSuchParameter: one takes no such argument.
            NotSet: it is not set in one, and has no default.
        """
        return [node._read(name) for node in self._found]

    def set(self, **values: Any) -> Selection:
        """Set arguments of each; the same object everywhere.

        Raises:
            NoSuchParameter: one takes no such argument.
        """
        for name, value in as_node(values).items():
            for node in self._found:
                node._write(name, value)
        return self


def select(root: Any, target: Any) -> Selection:
    """The nodes that make a class, or a subclass of it, or have a function as their target. Names are imported."""
    wanted = Target.of(target)
    return Selection([node for node in nodes(root) if _makes(node._target, wanted)])


def _makes(target: Target, wanted: Target) -> bool:
    if target is NO_TARGET:
        return False
    if isinstance(target.object, type) and isinstance(wanted.object, type):
        return issubclass(target.object, wanted.object)
    return target == wanted
