"""The report of a migration, in words and as data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from neox_commands.migrate_keys import KeyFate
from neox_core.config.yaml_text import inline_yaml

WIDTH = 100
"""Characters of a line that lists names."""


class StateFate(NamedTuple):
    """What became of a kind of state.

    Args:
        state: which.
        fate: likewise as of keys.
        what: in a phrase.
    """

    state: str
    fate: Literal["kept", "dropped", "differs"]
    what: str


class AddedKey(NamedTuple):
    """A key that nobody gave.

    Args:
        key: it.
        value: likewise.
        why: in a phrase.
    """

    key: str
    value: Any
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was migrated.

    Args:
        source: the checkpoint that was read.
        config: the settings to go on with.
        checkpoint: the one that was written.
        keys: what became of each key that was given.
        added: keys that the checkpoint, or this command, says beside them.
        states: what became of each kind of state.
    """

    source: Path
    config: Path
    checkpoint: Path
    keys: Sequence[KeyFate]
    added: Sequence[AddedKey]
    states: Sequence[StateFate]

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "source": str(self.source),
            "config": str(self.config),
            "checkpoint": str(self.checkpoint),
            "keys": [key._asdict() for key in self.keys],
            "added": [key._asdict() for key in self.added],
            "states": [state._asdict() for state in self.states],
        }


_TITLES = {
    "differs": "Keys that behave differently here",
    "renamed": "Keys with another name",
    "dropped": "Keys that are left out",
    "kept": "Keys that are kept as they were",
}


def lines(report: Report) -> Iterator[str]:
    """The report in words."""
    yield f"{report.source}"
    yield f"  -> {report.checkpoint}"
    yield f"Go on with: neox train {report.config}"
    yield ""
    yield "State"
    for state in report.states:
        yield f"  {state.state}: {state.fate}; {state.what}"
    for fate, title in _TITLES.items():
        found = [key for key in report.keys if key.fate == fate]
        if not found:
            continue
        yield ""
        yield f"{title} ({len(found)})"
        if fate == "kept":
            names = ", ".join(key.key for key in found)
            yield from textwrap.wrap(names, WIDTH, initial_indent="  ", subsequent_indent="  ")
        else:
            yield from (f"  {_line(key)}" for key in found)
    if report.added:
        yield ""
        yield f"Keys that were added ({len(report.added)})"
        yield from (f"  {added.key}: {inline_yaml(added.value)}  # {added.why}" for added in report.added)


def _line(key: KeyFate) -> str:
    to = f" -> {', '.join(key.now)}" if key.fate == "renamed" else ""
    return f"{key.key}{to}{f': {key.why}' if key.why else ''}"
