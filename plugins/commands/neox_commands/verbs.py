"""Verbs that are grouped under one of `neox`: each has a module of its own, which is imported when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

from neox_core.errors import UserError, did_you_mean
from neox_core.plugins import CommandContext
from neox_core.plugins.commands import CommandMain


class Verb(NamedTuple):
    """One verb.

    Args:
        module: where it is; its function `main` is a `CommandMain`.
        help: what it does, for the list of verbs.
    """

    module: str
    help: str


class VerbGroup(NamedTuple):
    """Some verbs.

    Args:
        name: of the group: `neox NAME VERB`.
        about: what they are for, in a sentence.
        verbs: in the order in which they are shown.
    """

    name: str
    about: str
    verbs: Mapping[str, Verb]

    def run(self, argv: list[str], context: CommandContext) -> int:
        """Run `neox NAME VERB ...` and return the exit code.

        Raises:
            UserError: there is no such verb, or what the user can mend in it.
        """
        if not argv or argv[0] in ("-h", "--help"):
            print(self.usage())
            return 0 if argv else UserError.exit_code
        if argv[0] not in self.verbs:
            raise UserError(f"there is no verb '{self.name} {argv[0]}'; {did_you_mean(argv[0], list(self.verbs))}")
        run: CommandMain = import_module(self.verbs[argv[0]].module).main
        return run(argv[1:], context)

    def usage(self) -> str:
        """The text of `neox NAME --help`."""
        width = max(map(len, self.verbs))
        verbs = "\n".join(f"  {name:{width}}  {verb.help}" for name, verb in self.verbs.items())
        lines = [f"usage: neox {self.name} VERB ...", "", self.about, "", verbs, ""]
        return "\n".join([*lines, f"`neox {self.name} VERB --help` describes a verb."])
