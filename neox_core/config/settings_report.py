"""What came of taking settings from a checkpoint, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from neox_core.config.entry import Entry
from neox_core.config.keys import Key
from neox_core.config.plain import shown
from neox_core.config.saved import Saved
from neox_core.errors import Notice, Problem, shortened

RIVALS: Mapping[str, str] = {"intermediate_size": "expansion_factor", "expansion_factor": "intermediate_size"}
"""Keys that say the same thing in two ways: whoever gives one has given the other up."""

READABLE = 100
"""Characters of a value that a message shows."""


class SettingsReport(NamedTuple):
    """What came of taking settings from a checkpoint.

    Args:
        path: the file that was read.
        policy: the rule, by name.
        taken: the keys whose values are the checkpoint's.
        mine: the keys of which it has another value, where mine stayed.
        dropped: what is in the file and no setting here.
        notices: all of that, for whoever started the run.
    """

    path: Path
    policy: str
    taken: tuple[str, ...]
    mine: tuple[str, ...]
    dropped: tuple[str, ...]
    notices: tuple[Notice, ...] = ()


class Words(NamedTuple):
    """The sentences about keys, of which a checkpoint has these."""

    saved: Saved
    theirs: Mapping[str, Entry]

    def mismatch(self, mine: Entry, key: Key) -> Problem:
        """That a key must match and does not, with both values and both places."""
        there = self._there(key)
        return Problem(
            keys=(key.name,),
            message=f"{_shown(mine.value)} does not match {self._other(key)}",
            remedy=f"remove it, or keep it with `--keep {key.name}` (override_parent_fields in Python)",
            origin=mine.origin,
            others=(there.origin,) if there else (),
        )

    def not_the_default(self, mine: Entry, key: Key) -> Problem:
        """That an operator changed the default, where there is the checkpoint's value."""
        return Problem(
            keys=(key.name,),
            message=f"changes the default, and there is {self._other(key)}",
            remedy=f"write {key.name}=VALUE",
            origin=mine.origin,
        )

    def outcome(self, mine: Entry, key: Key, replaced: bool) -> Notice:
        """That the checkpoint has another value than the given one, and which of them is used."""
        verb = "gives way to" if replaced else "stays, in place of"
        return Notice(keys=(key.name,), message=f"{_shown(mine.value)} {verb} {self._other(key)}", origin=mine.origin)

    def summary(self, report: SettingsReport) -> Notice:
        """One line that says what was read, what is from there, and what was left behind."""
        names = ", ".join(report.taken) or "no settings"
        left = f"; not taken, as there are no such settings here: {', '.join(report.dropped)}" if report.dropped else ""
        return Notice(message=f"from {self.saved.source}, by policy {report.policy}: {names}{left}")

    def _there(self, key: Key) -> Entry | None:
        """What the checkpoint says of a key, be it in another way."""
        return self.theirs.get(key.name) or self.theirs.get(RIVALS.get(key.name, ""))

    def _other(self, key: Key) -> str:
        there = self._there(key)
        if there is None:
            return f"the default {_shown(key.default)}, to which {self.saved.source} leaves it"
        name = "" if there.key == key.name else f"{there.key}: "
        return f"{name}{_shown(there.value)} in {there.origin}"


def _shown(value: Any) -> str:
    return shortened(shown(value), READABLE)
