"""What becomes of each key of a migrated run: every one that was given is told once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from neox_core.config import Entry, Ownership
from neox_core.config.plain import shown
from neox_core.config.reading import Reading
from neox_core.errors import Notice, Problem, shortened

Fate = Literal["kept", "renamed", "dropped", "differs"]

LONGEST = 60
"""Characters of a value in a sentence."""


class KeyFate(NamedTuple):
    """What became of a key.

    Args:
        key: as it was given.
        fate: kept with its meaning; renamed; dropped; or it behaves differently here.
        now: the keys that say it today; none where it was dropped.
        why: a sentence; empty where there is nothing to say.
    """

    key: str
    fate: Fate
    now: tuple[str, ...] = ()
    why: str = ""


def fates(
    given: Mapping[str, Entry],
    reading: Reading,
    ownership: Ownership,
    values: Mapping[str, Any],
    remarks: Iterable[Notice | Problem],
) -> list[KeyFate]:
    """One for each key that was given.

    Args:
        given: the raw keys.
        reading: the same in today's names.
        ownership: which group owns which key.
        values: the settings to go on with.
        remarks: what there is to say of keys, and what keeps a run from starting here.
    """
    said = _said(remarks)
    return [_fate(entry, reading, ownership, values, said) for entry in given.values()]


def _said(remarks: Iterable[Notice | Problem]) -> dict[str, str]:
    """All that is said of a key."""
    found: dict[str, list[str]] = {}
    for remark in remarks:
        for key in remark.keys:
            found.setdefault(key, []).append(remark.message)
    return {key: "; ".join(dict.fromkeys(messages)) for key, messages in found.items()}


def _fate(
    entry: Entry, reading: Reading, ownership: Ownership, values: Mapping[str, Any], said: Mapping[str, str]
) -> KeyFate:
    key, why = entry.key, said.get(entry.key, "")
    today = _today(entry, reading)
    now = tuple(other for other in today if other in values)
    unused = ownership.keys[key].unused if key in ownership.keys else None
    if "gradient_accumulation_steps" in today:
        return KeyFate(
            key, "differs", ("train_batch_size",), "computed, so that a step has as many samples on any ranks"
        )
    if not now:
        return KeyFate(key, "dropped", (), unused or why or "nothing says it today")
    if key not in now:
        return KeyFate(key, "renamed", now, why)
    before, after = reading.entries[key].value, values[key]
    if before != after:
        return KeyFate(key, "differs", now, f"{_short(after)} in place of {_short(before)}{f': {why}' if why else ''}")
    return KeyFate(key, "differs" if why else "kept", now, why)


def _today(entry: Entry, reading: Reading) -> list[str]:
    """Today's keys that came of one that was given: of its own name, or from its place."""
    if entry.key in reading.entries:
        return [entry.key]
    return [key for key, found in reading.entries.items() if found.former == entry.key or found.origin == entry.origin]


def _short(value: Any) -> str:
    return shortened(shown(value), LONGEST)
