"""The verbs of the command line, as a table from name to "module:function"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from neox_core.plugins.reference import check_form
from neox_core.plugins.switches import Switches

if TYPE_CHECKING:
    from neox_core.plugins.manager import PluginManager

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class CommandContext:
    """What a verb's function gets beside its arguments: which plugins are let in, and, once asked for, the plugins."""

    switches: Switches

    @cached_property
    def plugins(self) -> PluginManager:
        """The plugins of this process, discovered when first used."""
        from neox_core.plugins.manager import PluginManager

        return PluginManager(self.switches)


CommandMain = Callable[[list[str], CommandContext], int]
"""A verb: takes the words after its name, returns the exit code; errors of the user are raised as UserError."""


class Command(NamedTuple):
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
        """Offer the verb `name`, run by the function that the reference `main` names.

        Raises:
            ValueError: the name is no word, or the reference is not of the form "module:attribute".
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"verb {name!r} is not lower-case letters, digits and '-'")
        check_form(main)
        self.found.append(Command(name, main, help, self.source))

    def __iter__(self) -> Iterator[Command]:
        return iter(self.found)
