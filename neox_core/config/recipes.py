"""Recipes: named functions that make nodes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from neox_core.config.nodes import Node
from neox_core.errors import UserError

P = ParamSpec("P")
N = TypeVar("N")


class RecipeFunction(Generic[P, N]):
    """A named function that makes a node; made by `recipe`. It is called as the function is.

    Args:
        function: makes the node.
        name: as which it is written on a command line.
    """

    def __init__(self, function: Callable[P, N], name: str) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> N:
        """The node.

        Raises:
            UserError: the function gives something else.
        """
        made = self.function(*args, **kwargs)
        if not isinstance(made, Node):
            raise UserError(
                f"recipe '{self.name}' ({_place(self.function)}) gives {type(made).__name__}, not a Config or a Partial; "
                "return one, or put @autoconvert below @recipe"
            )
        return made

    def __repr__(self) -> str:
        return f"<recipe {self.name}>"


def _place(function: Callable[..., Any]) -> str:
    """The file and line of a function as it was written; the module of anything else that can be called."""
    written = inspect.unwrap(function)
    code = getattr(written, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else written.__module__


@overload
def recipe(function: Callable[P, N], /) -> RecipeFunction[P, N]: ...
@overload
def recipe(*, name: str | None = None) -> Callable[[Callable[P, N]], RecipeFunction[P, N]]: ...
def recipe(function: Any = None, /, *, name: str | None = None) -> Any:
    """Make a function a recipe, which `neox train FILE.py:NAME` finds, and `argument=NAME` beside it.

    Args:
        function: returns a node.
        name: as which it is written; None: the function's name.

    Example:
        @recipe
        def small() -> Config[NeoXArgs]:
            return Config(NeoXArgs, num_layers=2, hidden_size=64)
    """
    if function is None:
        return lambda made: RecipeFunction(made, name or made.__name__)
    return RecipeFunction(function, function.__name__)
