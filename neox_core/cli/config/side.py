"""One side of a comparison: the settings of files, of a run or of a checkpoint, with defaults filled in."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neox_core.cli.choice import chosen_plugins
from neox_core.cli.config.outcomes import on_any_ranks, outcome
from neox_core.cli.config.values import all_values
from neox_core.cli.given import read_given
from neox_core.cli.words import ranks_in_words
from neox_core.config import Entry, NeoXArgs, Resolved, World
from neox_core.config.groups import BatchSettings
from neox_core.config.keys import REQUIRED, Key
from neox_core.config.ownership import Ownership
from neox_core.config.presets import exists
from neox_core.config.translation import translate
from neox_core.config.yaml_errors import Fault
from neox_core.config.yaml_text import Loader, load
from neox_core.errors import Notice, Problem, SettingsError, UserError
from neox_core.plugins import CommandContext, PluginManager
from neox_core.training.machines import least_ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The values of one side.

    Args:
        name: as it was written.
        values: every key with its value; without those that must be given and are not.
        keys: what is known about each.
        notes: what keeps it from being a valid configuration.
        resolved: what the values come to; None where there is something wrong with them.
        plugins: the plugins that they choose.
        counted: whether it is known how many ranks there are; otherwise it was resolved for as few as will do.
    """

    name: str
    values: Mapping[str, Any]
    keys: dict[str, Key]
    notes: tuple[Notice | Problem, ...] = ()
    resolved: Resolved | None = None
    plugins: PluginManager | None = None
    counted: bool = False

    def outcome(self, path: str, value: object) -> object:
        """What a value comes to; the value itself where that is not known."""
        if self.resolved is None or self.plugins is None:
            return value
        if path in BatchSettings.model_fields and not self.counted:
            return on_any_ranks(path, value, self.resolved)
        return outcome(path, value, self.resolved, self.plugins)


def read_side(word: str, context: CommandContext, directory: Path | None = None, ranks: int | None = None) -> Side:
    """The settings that a word names: files, presets, runs, checkpoints and `KEY=VALUE`, joined by commas.

    A comma within brackets or quotes of a value belongs to that.

    Args:
        word: what was written.
        context: which plugins are let in.
        directory: where the files are; None: here, or among the presets.
        ranks: how many there are; None: as many as the settings say, if they do.

    Raises:
        UserError: there is no such thing, or it cannot be read.
    """
    parts = [word] if exists((directory or Path()) / word) else divided(word)
    if not all(parts):
        raise UserError(f"'{word}': there is nothing on one side of a comma; write FILE,FILE without spaces")
    entries = read_given(parts, argparse.Namespace(conf_dir=directory, allow=[]), context).entries
    plugins = chosen_plugins(entries, context)
    try:
        args = NeoXArgs(entries.values(), plugins)
    except SettingsError as error:
        return _invalid(word, entries.values(), plugins, error)
    return _valid(word, args, plugins, ranks or args.global_num_gpus)


def divided(word: str) -> list[str]:
    """The parts of a side: a comma ends an override only where its value is whole."""
    parts: list[str] = []
    for piece in word.split(","):
        if parts and not _is_whole(parts[-1]):
            parts[-1] += f",{piece}"
        else:
            parts.append(piece)
    return parts


def _is_whole(part: str) -> bool:
    """Whether a part is a name, or an override whose value is YAML."""
    try:
        load(part.partition("=")[2], Loader.get_single_data)
    except Fault:
        return False
    return True


def _valid(name: str, args: NeoXArgs, plugins: PluginManager, ranks: int | None) -> Side:
    """A side whose keys are in order, with what they come to where they fit together."""
    world = World.local(ranks or least_ranks(args), args.device or "cpu")
    resolved: Resolved | None = None
    notes: tuple[Notice | Problem, ...] = ()
    try:
        resolved = args.resolve(world)
    except SettingsError as error:
        counted = f"as for {ranks_in_words(world)}; --world-size N is for another number"
        notes = (
            Notice(message=f"{name} does not fit together and is compared as it is written, {counted}"),
            *error.problems,
        )
    return Side(
        name=name,
        values=all_values(args),
        keys=dict(args.ownership.keys),
        notes=notes,
        resolved=resolved,
        plugins=plugins,
        counted=ranks is not None,
    )


def _invalid(name: str, entries: Iterable[Entry], plugins: PluginManager, error: SettingsError) -> Side:
    """A side with keys that are wrong."""
    ownership = Ownership.of(plugins)
    note = Notice(message=f"{name} is no valid configuration for this version; what can be read of it is compared")
    return Side(
        name=name,
        values=readable(entries, ownership),
        keys=dict(ownership.keys),
        notes=(note, *error.problems),
    )


def readable(entries: Iterable[Entry], ownership: Ownership) -> dict[str, Any]:
    """The values of known keys as they were written, beside the defaults of the others."""
    given = {entry.key: entry.value for entry in translate(entries, ownership).entries.values()}
    values = {name: given.get(name, key.default) for name, key in ownership.keys.items()}
    return {name: value for name, value in values.items() if value is not REQUIRED}
