"""One side of a comparison: the settings of files, of a run or of a checkpoint, with defaults filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neox_core.cli.config.subject import plugins_for
from neox_core.cli.config.values import all_values
from neox_core.config import Entry, NeoXArgs, read_entries
from neox_core.config.keys import REQUIRED, Key
from neox_core.config.ownership import Ownership
from neox_core.config.presets import find_config
from neox_core.config.translation import translate
from neox_core.errors import Notice, Problem, SettingsError, UserError
from neox_core.plugins import CommandContext

RECORDS = ("resolved.yml", "settings.yml")
"""What a run and a checkpoint have their settings in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The values of one side.

    Args:
        name: as it was written.
        values: every key with its value; without those that must be given and are not.
        keys: what is known about each.
        notes: what keeps it from being a valid configuration.
    """

    name: str
    values: Mapping[str, Any]
    keys: dict[str, Key]
    notes: tuple[Notice | Problem, ...] = ()


def read_side(word: str, context: CommandContext) -> Side:
    """The settings that a word names: files or presets joined by commas, the directory of a run or of a checkpoint.

    Raises:
        UserError: there is no such thing, or it cannot be read.
    """
    entries = read_entries(files_of(word))
    plugins = plugins_for(entries, context)
    try:
        args = NeoXArgs(entries.values(), plugins)
    except SettingsError as error:
        ownership = Ownership.of(plugins)
        note = Notice(message=f"{word} is no valid configuration for this version; what can be read of it is compared")
        return Side(
            name=word,
            values=readable(entries.values(), ownership),
            keys=dict(ownership.keys),
            notes=(note, *error.problems),
        )
    return Side(name=word, values=all_values(args), keys=dict(args.ownership.keys))


def files_of(word: str) -> list[Path]:
    """The files that hold the settings.

    Raises:
        UserError: there are none.
    """
    place = Path(word)
    if not place.is_dir():
        return [find_config(name) for name in ([word] if place.is_file() else word.split(","))]
    found = next((place / name for name in RECORDS if (place / name).is_file()), None)
    if found is None:
        inside = sorted(path.parent.name for name in RECORDS for path in place.glob(f"*/{name}"))
        hint = f"; name one of those in it, such as {place / inside[-1]}" if inside else ""
        raise UserError(f"{word}: there is neither {' nor '.join(RECORDS)} in this directory{hint}")
    return [found]


def readable(entries: Iterable[Entry], ownership: Ownership) -> dict[str, Any]:
    """The values of known keys as they were written, beside the defaults of the others."""
    given = {entry.key: entry.value for entry in translate(entries, ownership).entries.values()}
    values = {name: given.get(name, key.default) for name, key in ownership.keys.items()}
    return {name: value for name, value in values.items() if value is not REQUIRED}
