"""Functions that make objects, as functions that return how they are made: calls of classes become nodes."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from types import FunctionType, NoneType
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from neox_core.config.nodes.annotations import returned_by
from neox_core.config.nodes.building import build
from neox_core.config.nodes.conversion import as_node
from neox_core.config.nodes.deferred import Deferred
from neox_core.config.nodes.node import CONTAINERS, Config, Node, Partial, cast
from neox_core.config.nodes.problems import NodeError, WrongArguments
from neox_core.config.nodes.rewriting import rewritten
from neox_core.config.nodes.tree import nodes

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Autoconverted(Protocol[P, T_co]):
    """A function that returns nodes for what another one returns."""

    @property
    def wrapped(self) -> Callable[P, T_co]:
        """The other one, as it was written."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """A node; or a list, tuple or mapping with nodes."""

    def __get__(self, instance: object, owner: type | None = None, /) -> Callable[..., Any]:
        """The method of an instance."""


@overload
def autoconvert(fn: Callable[P, T], *, partial: bool = False) -> Autoconverted[P, T]: ...
@overload
def autoconvert(fn: None = None, *, partial: bool = False) -> Callable[[Callable[P, T]], Autoconverted[P, T]]: ...
def autoconvert(fn: Any = None, *, partial: bool = False) -> Any:
    """Make a function return a `Config` of what it would return. A decorator, with or without arguments.

    The function's source is rewritten when it is first called. In it, calls of classes, and of functions under `@trains`, become
    `Config`, and calls of `functools.partial` become `Partial`. All else runs: control flow, functions, methods, classes of Python's
    own library, exceptions and enumerations, and whatever `with` or `for` needs at once. A function that is converted, too, returns
    its nodes, and a `Config` that is written out stays one. `lazy` makes a node of a function's call, `now` calls a class. Functions
    that are defined within take part until the outer one returns. The function as it was written is `wrapped`.

    Args:
        fn: a function or method.
        partial: whether the outermost `Config` is to be a `Partial`.

    Raises:
        WrongArguments: `fn` is no such function, or returns later (`async`, `yield`).
        NodeError: when it is called: there is no source, or it returns something else than nodes.
    """
    if fn is None:
        return functools.partial(autoconvert, partial=partial)
    if isinstance(fn, staticmethod | classmethod):
        return type(fn)(autoconvert(fn.__func__, partial=partial))
    function = _convertible(fn)
    converted_once = functools.cache(lambda: rewritten(function, _decided))

    @functools.wraps(function)
    def converted(*args: Any, **kwargs: Any) -> Any:
        found = as_node(_called(True, converted_once(), args, kwargs))
        _refuse_other(function, found, partial)
        return cast(Partial, found) if partial and isinstance(found, Config) else found

    vars(converted)["wrapped"] = function
    return converted


def lazy(target: Callable[P, T]) -> Callable[P, Config[T]]:
    """Make a `Config` of a call that would run: `lazy(function)(x)`."""
    return functools.partial(Config, target)


def now(target: Callable[P, T]) -> Callable[P, T]:
    """Run a call that would become a node: `now(Class)(x)`. Nodes among its arguments are built for it."""

    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        given: Any = (args, kwargs)
        args, kwargs = build(given) if any(True for _ in nodes(given)) else given
        return _called(False, target, args, kwargs)

    return called


_CONVERTING: ContextVar[bool] = ContextVar("converting", default=False)
"""Whether a rewritten function runs. When a function that was defined in one is called later, it makes objects again."""


def _called(converting: bool, function: Callable[..., T], args: Any, kwargs: Any) -> T:
    token = _CONVERTING.set(converting)
    try:
        return function(*args, **kwargs)
    finally:
        _CONVERTING.reset(token)


def _decided(callee: Any) -> Any:
    """What is called instead of a callee."""
    if not _CONVERTING.get():
        return callee
    if callee is functools.partial:
        return Partial
    return functools.partial(Config, callee) if _becomes_node(typing.get_origin(callee) or callee) else callee


def _becomes_node(callee: Any) -> bool:
    if isinstance(callee, Deferred):
        return True
    if not isinstance(callee, type) or issubclass(callee, Node | Enum | BaseException | type):
        return False
    return callee.__module__.partition(".")[0] not in sys.stdlib_module_names


_LATER = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def _convertible(function: Any) -> FunctionType:
    name = getattr(function, "__qualname__", repr(function))
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        raise WrongArguments(f"autoconvert({name}): that is none of the functions that `def` makes; write one")
    if hasattr(function, "__wrapped__"):
        raise WrongArguments(f"autoconvert({name}): it is decorated; put @autoconvert below the other decorators")
    if function.__code__.co_flags & _LATER:
        raise WrongArguments(
            f"autoconvert({name}): it has `async` or `yield`; write a function that returns all at once"
        )
    return function


def _refuse_other(function: FunctionType, found: Any, partial: bool) -> None:
    """Refuse what is no node, so that a forgotten `return` is found; None is meant where it is annotated."""
    if found is None and NoneType in typing.get_args(returned_by(function)):
        return
    if isinstance(found, Node) or (isinstance(found, CONTAINERS) and not partial):
        return
    wanted = "one object" if partial else "an object, or a list, tuple or mapping of them"
    raise NodeError(
        f"{function.__qualname__} returns {found!r}; a function under @autoconvert"
        f"{'(partial=True)' if partial else ''} returns {wanted}, made by calling a class or by lazy(function)(...)"
    )
