"""From nodes to what they make: targets are called with their arguments, the innermost first, shared nodes once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar, overload

from neox_core.config.nodes.comparing import explicit
from neox_core.config.nodes.conversion import refilled
from neox_core.config.nodes.node import ATOMS, CONTAINERS, Config, Node, Partial, origin_of
from neox_core.config.nodes.parameters import MISSING, Parameters
from neox_core.config.nodes.problems import NodeError, WrongArguments
from neox_core.config.nodes.targets import NO_TARGET
from neox_core.config.nodes.tree import child
from neox_core.errors import Origin, shortened

T = TypeVar("T")


@overload
def build(root: Partial[T]) -> functools.partial[T]: ...
@overload
def build(root: Config[T]) -> T: ...
@overload
def build(root: Any) -> Any: ...
def build(root: Any) -> Any:
    """What a node makes, or a container like `root` with what its nodes make.

    A `Config` becomes what its target returns, a `Partial` a `functools.partial`. What is shared in the tree is built once and shared
    in the outcome; lists, tuples, mappings and sets are new ones. The tree is not changed. A class that defines the classmethod
    `__build_node__(arguments, origins)` is built by that.

    Raises:
        WrongArguments: an argument without a default is not set.
        NodeError: a node has no target, or holds itself.
        Exception: whatever a target raises, with a note that says which node it was.
    """
    return _Building().built(root, None)


_Where = tuple[Any, Any, Any] | None
"""A place in the tree: the place of what holds it, what holds it, and the name, index or key there. None: the root."""


_COPIED = (*CONTAINERS, set)
"""What is a new one in what is built."""


class _Building:
    """What was made so far, by the identity of what it was made of."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}
        self.begun: set[int] = set()

    def built(self, value: Any, where: _Where) -> Any:
        if type(value) in ATOMS:
            return value
        is_node = isinstance(value, Node)
        if not (is_node or isinstance(value, _COPIED)):
            return value
        key = id(value)
        if key not in self.made:
            if key in self.begun:
                raise NodeError(f"{_path(where)} is {_path_to_begun(where, value)}: what holds itself cannot be built")
            self.begun.add(key)
            self.made[key] = self._node(value, where) if is_node else self._container(value, where)
        return self.made[key]

    def _container(self, value: Any, where: _Where) -> Any:
        if isinstance(value, set):
            return value.copy()
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return refilled(value, [self.built(item, (where, value, key)) for key, item in items])

    def _node(self, node: Node[Any], where: _Where) -> Any:
        if node._target is NO_TARGET:
            raise NodeError(
                f"{_path(where)}: {node!r} has no target, and none is known from where it is: name it, as in Config(Model, ...), "
                "or annotate the parameter with one class"
            )
        parameters = node._parameters
        arguments = {
            name: value if type(value) in ATOMS else self.built(value, (where, node, name))
            for name, value in explicit(node).items()
        }
        rest = [self.built(value, (where, node, index)) for index, value in enumerate(node._rest)]
        if isinstance(node, Config):
            missing = [name for name in parameters.required if name not in arguments]
            if missing:
                raise WrongArguments(f"{_path(where)}: {_lacks(node, missing)}{_origin(node, where)}")
        try:
            return _made(node, parameters, arguments, rest)
        except Exception as error:
            error.add_note(f"while building {_path(where)}: {shortened(repr(node), 300)}{_origin(node, where)}")
            raise


def _made(node: Node[Any], parameters: Parameters, arguments: dict[str, Any], rest: list[Any]) -> Any:
    target = node._target
    builder = target.builder
    if builder is not None:
        origins = {name: origin for name in [*arguments, *node._origins] if (origin := origin_of(node, name))}
        made = functools.partial(_by_builder, builder, origins, **arguments)
        return made() if isinstance(node, Config) else made
    args: list[Any] = []
    if rest or not parameters.direct:
        args, arguments = _call(parameters, arguments, rest)
    if isinstance(node, Partial):
        return functools.partial(target.object, *args, **arguments)
    return target.object(*args, **arguments)


def _by_builder(builder: Any, origins: Mapping[str, Origin], /, **arguments: Any) -> Any:
    return builder(arguments, origins)


def _call(parameters: Parameters, given: dict[str, Any], rest: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments by position, and those by keyword. One without a keyword needs all those before it."""
    names = parameters.positional if rest else _positional_only(parameters, given)
    by_position = [given[name] if name in given else parameters.by_name[name].value() for name in names]
    missing = [name for name, value in zip(names, by_position, strict=True) if value is MISSING]
    if missing:
        raise WrongArguments(f"'{missing[0]}' must be set, since what comes after it is")
    by_keyword = {name: value for name, value in given.items() if name not in names}
    renamed = {name: parameters.by_name[name].keyword or name for name in by_keyword if name in parameters.by_name}
    return [*by_position, *rest], {renamed.get(name, name): value for name, value in by_keyword.items()}


def _positional_only(parameters: Parameters, given: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters without a keyword, as far as the last one that is given."""
    names = [name for name in parameters.positional if parameters.by_name[name].by_position]
    last = max((number for number, name in enumerate(names, 1) if name in given), default=0)
    return tuple(names[:last])


# What errors say


def _lacks(node: Node[Any], missing: list[str]) -> str:
    names = " and ".join(f"'{name}'" for name in missing)
    return f"{node._target} needs {names}, which {'is' if len(missing) == 1 else 'are'} not set"


def _path(where: _Where) -> str:
    """`<root>.model.layers[0]`."""
    return "<root>" if where is None else _path(where[0]) + child(where[1], where[2])


def _path_to_begun(where: _Where, value: Any) -> str:
    """The place on the way there at which `value` was met first."""
    while where is not None and where[1] is not value:
        where = where[0]
    return _path(None if where is None else where[0]) + " itself"


def _origin(node: Node[Any], where: _Where) -> str:
    """Where the node was set, or made."""
    holder = where
    name = ""
    while holder is not None:
        name = child(holder[1], holder[2]).removeprefix(".") + name
        if isinstance(holder[1], Node):
            return f" ({origin_of(holder[1], name) or 'a default'})"
        holder = holder[0]
    return f" ({origin_of(node, '')})"
