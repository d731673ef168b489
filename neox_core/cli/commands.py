"""Functions as commands: `@command` gives a function a command line, on which its arguments are set as those of a node."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, overload

from neox_core.config.nodes import Partial
from neox_core.plugins import CommandContext, Switches

P = ParamSpec("P")
R = TypeVar("R")


class CommandFunction(Generic[P, R]):
    """A function with a command line; made by `command`. It is called as the function is.

    `main` is what `neox_commands` and the end of a script take: `commands.add("bench", "acme.bench:bench.main", help=...)`,
    `sys.exit(bench.main())`.
    """

    __name__: str

    def __init__(self, function: Callable[P, R], name: str) -> None:
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{name}: a command is called, and nobody would await what an async function returns")
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function returns."""
        return self.function(*args, **kwargs)

    def main(self, argv: Sequence[str] | None = None, context: CommandContext | None = None) -> int:
        """Run the function with the arguments that words say; the exit code is what it returns, if that is a whole number, or 0.

        Args:
            argv: the words; None: those of this process.
            context: the plugins; None: those that the environment lets in. The mistakes of a user are then told and give exit
                code 2, where they are raised else.
        """
        from neox_core.cli.main import reported

        words = list(sys.argv[1:] if argv is None else argv)
        if context is None:
            return reported(lambda: self._run(words, CommandContext(Switches.from_environment(os.environ))))
        return self._run(words, context)

    def _run(self, words: Sequence[str], context: CommandContext) -> int:
        from neox_core.cli.recipes import Root, offered, recipes_in
        from neox_core.cli.run import run

        module = sys.modules[self.function.__module__]
        recipes = {**offered(context.plugins), **recipes_in(module)}
        return run(Root(self.name, self.name, Partial(self), recipes, module.__name__), words, context)

    def __repr__(self) -> str:
        return f"<command {self.name}>"


@overload
def command(function: Callable[P, R], /) -> CommandFunction[P, R]: ...
@overload
def command(*, name: str | None = None) -> Callable[[Callable[P, R]], CommandFunction[P, R]]: ...
def command(function: Any = None, /, *, name: str | None = None) -> Any:
    """Give a function a command line, which `neox run FILE.py:NAME` uses too.

    Args:
        function: does the work.
        name: of the command in messages; None: the function's name.

    Example:
        @command
        def bench(model: Model, steps: int = 10) -> None: ...

        # neox run bench.py:bench model=small(layers=2) steps*=3
    """
    if function is None:
        return lambda made: CommandFunction(made, name or made.__name__)
    return CommandFunction(function, function.__name__)
