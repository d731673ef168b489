"""Reading and changing what is at a path of a tree of nodes."""

from __future__ import annotations

from typing import Any

from neox_core.config.nodes.conversion import as_node, refilled, with_target
from neox_core.config.nodes.node import Node
from neox_core.config.nodes.problems import NodeError, NoSuchParameter, NotSet
from neox_core.config.nodes.steps import Step, parse, shown
from neox_core.errors import Origin, did_you_mean


def get_value(root: Any, path: str) -> Any:
    """What is at a path: an argument or its default, an item of a list, tuple or mapping.

    Raises:
        NodeError: the path leads nowhere; the message says where it ends.
    """
    return _found(root, parse(path))


def _found(root: Any, steps: tuple[Step, ...]) -> Any:
    for number, step in enumerate(steps):
        root = _below(root, step, steps[: number + 1])
    return root


def _below(holder: Any, step: Step, steps: tuple[Step, ...]) -> Any:
    if isinstance(holder, Node) and not isinstance(step.key, int):
        try:
            return holder._read(step.key)
        except (NoSuchParameter, NotSet) as error:
            raise type(error)(f"{shown(steps)}: {error}") from None
    items, key = _place(holder, step, steps)
    return items[key]


def _place(holder: Any, step: Step, steps: tuple[Step, ...], room: int = 0) -> tuple[Any, Any]:
    """The container that has an item, and its key there; `room` for so many new items."""
    where = shown(steps)
    if isinstance(holder, dict):
        return holder, _key(holder, step, where, bool(room))
    items = holder._rest if isinstance(holder, Node) else holder
    if not isinstance(items, list | tuple):
        raise NodeError(f"{where}: {shown(steps[:-1]) or 'the value'} is {holder!r}, which has no parts")
    if not isinstance(step.key, int):
        above = shown(steps[:-1])
        raise NodeError(f"{where}: {above or 'the value'} is a list; write {above}[0]{step}")
    if not -len(items) <= step.key < len(items) + room:
        count = f"there is {len(items)} item" if len(items) == 1 else f"there are {len(items)} items"
        raise NodeError(f"{where}: {count}")
    return items, step.key


def _key(holder: dict[Any, Any], step: Step, where: str, new: bool) -> Any:
    """The key that is meant: `[1]` is 1, or "1" where there is no 1."""
    if step.key in holder or (new and str(step.key) not in holder):
        return step.key
    if str(step.key) in holder:
        return str(step.key)
    raise NodeError(f"{where}: there is no such key; {did_you_mean(str(step.key), [str(key) for key in holder])}")


def set_value(root: Any, path: str, value: Any, origin: Origin | None = None) -> None:
    """Set an argument, or an item; an index one beyond the last appends to a list.

    Args:
        root: a node, a list or a mapping.
        path: where.
        value: instances in it become nodes.
        origin: where that was written, for `explain`.

    Raises:
        NodeError: the path leads nowhere, or the target takes no such argument.
    """
    steps = _not_empty(path)
    _set(root, steps, as_node(value))
    _note(root, steps, origin)


def _set(root: Any, steps: tuple[Step, ...], value: Any) -> None:
    *above, step = steps
    holder = _found(root, tuple(above))
    if isinstance(holder, Node) and not isinstance(step.key, int):
        try:
            holder._write(step.key, value)
        except NoSuchParameter as error:
            raise NoSuchParameter(f"{shown(steps)}: {error}") from None
        return
    items, key = _place(holder, step, steps, room=0 if isinstance(holder, tuple) else 1)
    if isinstance(items, tuple):
        _set(root, tuple(above), refilled(items, [*items[:key], value, *items[key:][1:]]))
    elif isinstance(items, list) and key == len(items):
        items.append(value)
    else:
        items[key] = value


def unset_value(root: Any, path: str) -> None:
    """Take an argument away, so that its default holds again; or an item out of a list or mapping.

    Raises:
        NodeError: there is none.
    """
    steps = _not_empty(path)
    *above, step = steps
    holder = _found(root, tuple(above))
    if isinstance(holder, Node) and not isinstance(step.key, int):
        try:
            holder.__delattr__(step.key)
        except (NoSuchParameter, NotSet) as error:
            raise type(error)(f"{path}: {error}") from None
        return
    items, key = _place(holder, step, steps)
    if isinstance(items, tuple):
        kept = [item for index, item in enumerate(items) if index != key % len(items)]
        _set(root, tuple(above), refilled(items, kept))
    else:
        del items[key]


def _not_empty(path: str) -> tuple[Step, ...]:
    steps = parse(path)
    if not steps:
        raise NodeError("a path is needed, like a.b[0].c")
    return steps


def _note(root: Any, steps: tuple[Step, ...], origin: Origin | None) -> None:
    """Tell the node that holds a value, itself or in containers, where it was written, and which class is meant."""
    owner, name = owner_of(root, steps)
    if owner is None:
        return
    argument = name.partition("[")[0]
    if argument in owner._arguments and owner._settled:
        with_target(owner._arguments[argument], owner._target, argument)
    if origin is not None:
        owner._origins[name] = origin


def owner_of(root: Any, steps: tuple[Step, ...]) -> tuple[Node[Any] | None, str]:
    """The last node on the way to a value, and the name that the value has there: `layers[0]`."""
    owner, start = None, 0
    for number in range(len(steps)):
        holder = _found(root, steps[:number])
        if isinstance(holder, Node):
            owner, start = holder, number
    items = (Step(step.key, item=True) for step in steps[start + 1 :])
    return owner, shown((*steps[start : start + 1], *items))
