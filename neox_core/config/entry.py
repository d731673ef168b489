"""One given key, and the keys of several files together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neox_core.config.compatibility import reproduces
from neox_core.errors import Origin, Problem, SettingsError


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a configuration, spelt with underscores, its value and where it was written.

    `inner` says where the keys within a mapping were written, by their dotted path (`params.lr`); `hyphenated`, whether the key
    was spelt with hyphens; `former`, the earlier name of the key, if that was given; `overrides`, whether it takes the place of
    what files say, under whichever name; `of_default`, whether an operator made it of the default.
    """

    key: str
    value: Any
    origin: Origin
    inner: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)
    hyphenated: bool = field(default=False, compare=False, repr=False)
    former: str | None = field(default=None, compare=False, repr=False)
    overrides: bool = field(default=False, compare=False, repr=False)
    of_default: bool = field(default=False, compare=False, repr=False)


def merge(files: Iterable[Sequence[Entry]], later: Iterable[Entry] = ()) -> dict[str, Entry]:
    """The entries of several files together.

    Args:
        files: the entries of each.
        later: those that will be laid over them; where they have `compat`, it decides about spellings in the files too.

    Raises:
        SettingsError: a key is given twice, in whatever spelling; all such keys are listed.
    """
    merged: dict[str, Entry] = {}
    problems = []
    given = [entry for entries in files for entry in entries]
    compat = compat_of([*given, *later])
    for entry in given:
        first = merged.setdefault(entry.key, entry)
        if first is entry:
            continue
        if entry.hyphenated and reproduces(compat, "hyphen-duplicates"):
            merged[entry.key] = entry
        else:
            problems.append(given_twice(first, entry))
    if problems:
        raise SettingsError(problems)
    return merged


def compat_of(entries: Iterable[Entry]) -> Any:
    """The last value of `compat` among these entries; None where they do not have it."""
    return next((entry.value for entry in reversed(list(entries)) if entry.key == "compat"), None)


def given_twice(first: Entry, second: Entry) -> Problem:
    """The problem of a key with two values."""
    return Problem(
        keys=(second.key,),
        message=f"is given twice, first in {first.origin}",
        remedy="remove one",
        origin=second.origin,
        others=(first.origin,),
    )
