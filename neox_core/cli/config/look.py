"""A look at some settings for one of their keys: a whole configuration with what it comes to, or a part of one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neox_core.cli.choice import chosen_plugins
from neox_core.cli.config.subject import Subject, given_keys, look_at
from neox_core.cli.sources import source_of
from neox_core.config import Entry, NeoXArgs, Ownership, Resolved
from neox_core.config.reading import read
from neox_core.errors import SettingsError
from neox_core.plugins import CommandContext, PluginManager


@dataclass(frozen=True, slots=True)
class Look:
    """The given keys, and what they come to.

    Args:
        entries: by key, in today's names.
        ownership: which group owns which key.
        plugins: the plugins that take part.
        subject: the whole configuration; None where keys that must be given are missing.
    """

    entries: Mapping[str, Entry]
    ownership: Ownership
    plugins: PluginManager
    subject: Subject | None = None

    @property
    def resolved(self) -> Resolved | None:
        """What the settings come to; None where that is not known."""
        return self.subject.resolved if self.subject else None

    @property
    def unknown(self) -> str:
        """Why it is not known."""
        return (
            "unknown: the settings have mistakes; see `neox config check`"
            if self.subject
            else "unknown: keys that must be given are missing; see `neox config check`"
        )


def read_look(words: Sequence[str], options: argparse.Namespace, context: CommandContext) -> Look:
    """Look at the settings that the words name.

    Raises:
        UserError: they cannot be read, or a key is wrong.
    """
    entries = given_keys(words, options, context)
    plugins = chosen_plugins(entries, context)
    source = source_of(options, plugins)
    try:
        args = NeoXArgs(entries.values(), plugins, settings_from=source)
    except SettingsError:
        ownership = Ownership.of(plugins)
        given = source.beneath(entries.values(), ownership, plugins).entries if source else entries.values()
        found = read(given, ownership, partial=True)  # raises unless keys are only missing
        return Look(found.entries, ownership, plugins)
    return Look({entry.key: entry for entry in args.entries}, args.ownership, plugins, look_at(args, options))
