"""Nodes: how an object is made, as data. A `Config` is a target with arguments, and becomes what the target returns."""

from __future__ import annotations

import copy
import reprlib
import sys
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

from neox_core.config.nodes.parameters import MISSING, Parameters
from neox_core.config.nodes.problems import NodeError, NoSuchParameter, NotSet, WrongArguments, no_such_parameter
from neox_core.config.nodes.targets import NO_TARGET, Target

if TYPE_CHECKING:
    from pathlib import Path

    from neox_core.errors import Origin

T = TypeVar("T")

ATOMS: Final = frozenset(
    {bool, int, float, complex, str, bytes, NoneType, object, type, FunctionType, BuiltinFunctionType}
)
"""Types whose values hold nothing and never change, so that they need neither converting nor copying."""

CONTAINERS: Final = (list, tuple, dict)
"""What is entered in search of nodes."""


class Node(Generic[T]):
    """A target with arguments, which are read and set as attributes.

    Dataclasses and pydantic models become nodes when they are set, also within lists, tuples and mappings; a default that can be
    changed in place is copied when it is first read. A node or container that is set in several places is shared, and what is
    built of it is, too. An argument that is named like a method is read by `get_value(node, name)`.

    Args:
        target: a class, a function, or the dotted name of one, which is imported when it is first needed; a mapping type or `{}`
            for a mapping. None: the class that the parameter which the node is assigned to is annotated with.
        args: arguments without a name, bound to the target's parameters.
        kwargs: arguments.

    Raises:
        WrongArguments: the target takes no such arguments.
    """

    __slots__ = ("_arguments", "_lines", "_made", "_origins", "_rest", "_settled", "_target", "_touched")
    __hash__ = None  # type: ignore[assignment] # it can be changed

    _target: Target
    """What it makes."""
    _arguments: dict[str, Any]
    """Those that were given, and the defaults in `_touched`."""
    _rest: list[Any]
    """Those for `*args`."""
    _origins: dict[str, Origin]
    """Where arguments were written, where that is not Python: by name, or by name and items as in `layers[0]`."""
    _lines: dict[str, tuple[str, int]]
    """The file and line of Python that set arguments after the node was made."""
    _made: tuple[str, int]
    """The file and line of Python that made the node."""
    _touched: set[str]
    """Names of defaults that are held because somebody read them, and may have changed them in place."""
    _settled: bool
    """Whether the arguments are held against the target: not before it is known."""

    def __init__(self, target: Any = None, /, *args: Any, **kwargs: Any) -> None:
        made = caller()
        found = Target.of(target)
        _put_target(self, found)
        _put_origins(self, {})
        _put_lines(self, {})
        _put_touched(self, set())
        _put_made(self, made)
        _put_settled(self, False)
        arguments, rest = _bound(found, args, kwargs) if args else (kwargs, [])
        if rest or not ATOMS.issuperset(map(type, arguments.values())):
            from neox_core.config.nodes.conversion import as_node

            arguments, rest = as_node((arguments, rest))  # together, so that what they share becomes one node
        _put_arguments(self, arguments)
        _put_rest(self, rest)
        if found.known:
            self._settle()

    def _settle(self) -> None:
        """Hold the arguments against the target, which is imported if need be."""
        target, arguments = self._target, self._arguments  # each access costs, since there is a `__getattr__`
        parameters = target.parameters
        if not (parameters.others or arguments.keys() <= parameters.by_name.keys()):
            unknown = next(name for name in arguments if name not in parameters.by_name)
            raise WrongArguments(no_such_parameter(target, unknown, parameters.by_name))
        if not ATOMS.issuperset(map(type, arguments.values())):
            from neox_core.config.nodes.conversion import with_target

            for name, value in arguments.items():
                with_target(value, target, name)
        for name, (mark, found) in target.optional_defaults.items():
            if name not in arguments:
                arguments[name] = Partial(found) if mark.partial else Config(found)
        _put_settled(self, True)

    def _retarget(self, target: Any) -> None:
        """Take another target.

        Raises:
            WrongArguments: it does not take the arguments.
        """
        _put_target(self, Target.of(target))
        _put_settled(self, False)
        if self._target.known:
            self._settle()

    @property
    def _parameters(self) -> Parameters:
        """What the target takes, once the arguments are held against it."""
        target = self._target
        if target is NO_TARGET:
            return NO_PARAMETERS
        if not self._settled:
            self._settle()
        return target.parameters

    # Arguments as attributes

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python asks every object for
            raise AttributeError(name)
        arguments = self._arguments
        return arguments[name] if name in arguments else self._read(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        self._write(name, value)

    def __delattr__(self, name: str) -> None:
        self._need(name)
        if name not in self._arguments:
            raise NotSet(f"{self._target}: '{name}' is not set")
        del self._arguments[name]
        self._forget(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._arguments, *self._parameters.by_name})

    def _read(self, name: str) -> Any:
        """The value of an argument, or its default, which is held from then on if it can be changed in place."""
        if name not in self._arguments:
            self._need(name)  # it may be put there when the target becomes known
        if name in self._arguments:
            return self._arguments[name]
        default = self._default(name)
        if default is MISSING:
            raise NotSet(f"{self._target}: '{name}' is not set, and has no default")
        if default is not self._parameters.by_name[name].default:
            self._arguments[name] = default
            self._touched.add(name)
        return default

    def _default(self, name: str) -> Any:
        """What an argument is that is not given, with nodes in place of instances; `MISSING` where that is not known.

        What can be changed in place is a copy.
        """
        parameter = self._parameters.by_name.get(name)
        default = MISSING if parameter is None else parameter.value()
        if type(default) in ATOMS:
            return default
        from neox_core.config.nodes.conversion import as_node

        return as_node(default, copy=True)

    def _write(self, name: str, value: Any) -> None:
        if self._settled:
            self._need(name)
        if type(value) not in ATOMS:
            from neox_core.config.nodes.conversion import as_node, with_target

            value = as_node(value)
            if self._settled:
                with_target(value, self._target, name)
        self._arguments[name] = value
        self._forget(name)
        self._lines[name] = caller()

    def _need(self, name: str) -> None:
        """Refuse a name that the target does not take."""
        parameters = self._parameters
        if name not in self._arguments and not parameters.takes(name):
            raise NoSuchParameter(no_such_parameter(self._target, name, parameters.by_name or self._arguments))

    def _forget(self, name: str) -> None:
        """Nothing is known any more about where a value and its items come from."""
        self._touched.discard(name)
        for known in (self._origins, self._lines):
            for key in [key for key in known if key == name or key.startswith(f"{name}[")]:
                del known[key]

    # What can be done with a node

    def build(self) -> Any:
        """What the target returns; see `neox_core.config.nodes.building.build`."""
        from neox_core.config.nodes.building import build

        return build(self)

    def clone(self) -> Self:
        """A copy that shares nothing with this node."""
        return self.__deepcopy__({})

    def broadcast(self, /, strict: bool = False, **values: Any) -> Self:
        """Set arguments here and in every node below that has them; see `neox_core.config.nodes.walking.broadcast`."""
        from neox_core.config.nodes.walking import broadcast

        return broadcast(self, strict, **values)

    def walk(self, /, strict: bool = False, **functions: Callable[[Any], Any]) -> Self:
        """Set arguments to what functions make of each node; see `neox_core.config.nodes.walking.walk`."""
        from neox_core.config.nodes.walking import walk

        return walk(self, strict, **functions)

    def diff(self, other: Any) -> str:
        """How another node differs, a line for each path; see `neox_core.config.nodes.comparing.diff`."""
        from neox_core.config.nodes.comparing import diff

        return diff(self, other)

    def save_svg(self, path: str | Path) -> None:
        """Write a drawing of the tree; see `neox_core.config.nodes.drawing.save_svg`."""
        from neox_core.config.nodes.drawing import save_svg

        save_svg(self, path)

    def _repr_svg_(self) -> str:
        from neox_core.config.nodes.drawing import draw

        return draw(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        from neox_core.config.nodes.comparing import equal

        return equal(self, other)

    @reprlib.recursive_repr("...")
    def __repr__(self) -> str:
        from neox_core.config.nodes.comparing import explicit

        named = [f"{name}={value!r}" for name, value in explicit(self).items()]
        target = [] if self._target is NO_TARGET else [self._target.written.removeprefix("builtins.")]
        return f"{type(self).__name__}({', '.join([*target, *map(repr, self._rest), *named])})"

    # Copies and pickles

    def __getstate__(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in Node.__slots__)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, value in zip(Node.__slots__, state, strict=True):
            object.__setattr__(self, name, value)

    def __copy__(self) -> Self:
        return self._copied(lambda value: value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self._copied(lambda value: value if type(value) in ATOMS else copy.deepcopy(value, memo), memo)

    def _copied(self, copied: Callable[[Any], Any], memo: dict[int, Any] | None = None) -> Self:
        made = type(self).__new__(type(self))
        if memo is not None:
            memo[id(self)] = made  # before the arguments, which may hold the node itself
        _put_target(made, self._target)
        _put_origins(made, self._origins.copy())
        _put_lines(made, self._lines.copy())
        _put_touched(made, self._touched.copy())
        _put_made(made, self._made)
        _put_settled(made, self._settled)
        _put_arguments(made, {name: copied(value) for name, value in self._arguments.items()})
        _put_rest(made, [copied(value) for value in self._rest])
        return made


class Config(Node[T]):
    """A node that is built by calling its target."""

    __slots__ = ()

    if TYPE_CHECKING:  # what it makes is known from a class or function

        @overload
        def __init__(self, target: Callable[..., T], /, *args: Any, **kwargs: Any) -> None: ...
        @overload
        def __init__(self: Config[Any], target: Any = None, /, *args: Any, **kwargs: Any) -> None: ...
        def __init__(self, target: Any = None, /, *args: Any, **kwargs: Any) -> None: ...


class Partial(Node[T]):
    """A node that is built to a `functools.partial` of its target, so that `build(partial)()` is what a `Config` would give."""

    __slots__ = ()

    if TYPE_CHECKING:  # what it makes is known from a class or function

        @overload
        def __init__(self, target: Callable[..., T], /, *args: Any, **kwargs: Any) -> None: ...
        @overload
        def __init__(self: Partial[Any], target: Any = None, /, *args: Any, **kwargs: Any) -> None: ...
        def __init__(self, target: Any = None, /, *args: Any, **kwargs: Any) -> None: ...


def cast(kind: type[Node[Any]], node: Node[T]) -> Node[T]:
    """The node as one of another kind, with the same arguments, which were set where they were."""
    made: Node[T] = kind.__new__(kind)
    made.__setstate__(copy.copy(node).__getstate__())
    return made


NO_PARAMETERS: Final = Parameters()
"""Those of a node without a target."""

# Setting a slot by its descriptor takes half the time of `object.__setattr__`, and there are eight in every node.
_put_target, _put_arguments, _put_rest = Node._target.__set__, Node._arguments.__set__, Node._rest.__set__  # type: ignore
_put_origins, _put_lines, _put_made = Node._origins.__set__, Node._lines.__set__, Node._made.__set__  # type: ignore
_put_touched, _put_settled = Node._touched.__set__, Node._settled.__set__  # type: ignore


def _bound(target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The arguments by name, and those that have none, of a call."""
    if target is NO_TARGET:
        raise NodeError("arguments without a name need a target, as in Config(Model, 5)")
    parameters = target.parameters
    names = parameters.positional[: len(args)]
    rest = list(args[len(names) :])
    if rest and not parameters.rest:
        raise WrongArguments(
            f"{target} takes {len(parameters.positional) or 'no'} argument{'s' * (len(parameters.positional) != 1)} without a name, "
            f"and {len(args)} {'is' if len(args) == 1 else 'are'} given"
        )
    twice = [name for name in names if name in kwargs]
    if twice:
        raise WrongArguments(f"{target}: '{twice[0]}' is given twice, by position and by name")
    return {**dict(zip(names, args, strict=False)), **kwargs}, rest


def caller() -> tuple[str, int]:
    """The file and line of the code outside this package that is running."""
    frame = sys._getframe(2)
    while frame.f_globals.get("__package__") == __package__ and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def origin_of(node: Node[Any], name: str) -> Origin | None:
    """Where an argument, or an item of it as in `layers[0]`, was set; None where it is a default."""
    from neox_core.errors import Origin

    argument = name.partition("[")[0]
    while name:
        if name in node._origins:
            return node._origins[name]
        name = name.rpartition("[")[0]
    file, line = node._lines.get(argument, node._made)
    return Origin(source=file, line=line) if argument in node._arguments or not argument else None
