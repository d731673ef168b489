"""The verbs of the command line, as a table from name to "module:function"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neox_core.plugins.manager import PluginManager


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What a verb's function gets beside its arguments."""

    plugins: PluginManager


CommandMain = Callable[[list[str], CommandContext], int]
"""A verb: takes the words after its name, returns the exit code; errors of the user are raised as UserError."""


@dataclass(frozen=True, slots=True)
class Command:
    """One verb."""

    name: str
    main: str  # reference to a CommandMain
    help: str
    source: str = "neox_core"  # the distribution that adds it


@dataclass(slots=True)
class Commands:
    """What the hook `neox_commands` adds to."""

    source: str
    found: list[Command] = field(default_factory=list)

    def add(self, name: str, main: str, *, help: str) -> None:
        """Offer the verb `name`, run by the function that the reference `main` names."""
        self.found.append(Command(name, main, help, self.source))

    def __iter__(self) -> Iterator[Command]:
        return iter(self.found)
