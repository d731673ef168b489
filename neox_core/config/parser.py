"""Command lines whose mistakes are raised, for whoever tells them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from neox_core.errors import UserError, did_you_mean


class RaisingParser(argparse.ArgumentParser):
    """A parser that raises a `UserError` where argparse would print and exit."""

    def error(self, message: str) -> NoReturn:
        """Raise a message."""
        raise UserError(f"{self.prog}: {message}; see `{self.prog} --help`")

    def parse(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """The command line; None is this process's own.

        Raises:
            UserError: it is none.
        """
        options, unknown = self.parse_known_intermixed_args(argv)
        if unknown:
            name = unknown[0].partition("=")[0]
            known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
            self.error(f"there is no option {name}; {did_you_mean(name, known)}")
        return options

    def add_allow(self) -> None:
        """The option that says what files of nodes may name."""
        self.add_argument(
            "--allow",
            action="append",
            default=[],
            metavar="NAME",
            help="a module, class or function, or a .py file, that files may name as _target_",
        )
