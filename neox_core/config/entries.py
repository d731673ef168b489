"""Raw entries: from files and overrides, from the mappings of a program; and the plugins that they choose."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from neox_core.config.groups import PluginSettings
from neox_core.config.loading import Entry, merge, read_file
from neox_core.config.overrides import Override
from neox_core.config.plain import plain_entries
from neox_core.config.validation import group_problems
from neox_core.errors import Origin, Problem, SettingsError

if TYPE_CHECKING:
    from neox_core.plugins import PluginManager, Switches


def read_entries(
    paths: Iterable[str | Path], overrides: Iterable[str] = (), overwrite_values: Mapping[str, Any] | None = None
) -> dict[str, Entry]:
    """The raw keys of files, then of `overwrite_values`, then of overrides, not validated: what is known before plugins are.

    Raises:
        UserError: a file cannot be read, a key is given twice, an override is malformed.
    """
    said = [Override.parse(text) for text in overrides]
    overwriting = entries_of(overwrite_values or {}, "overwrite_values", overrides=True)
    later = [*overwriting.values(), *(override.entry for override in said)]
    entries = overlaid(merge((read_file(Path(path)) for path in paths), later), overwriting)
    for override in said:
        override.apply(entries)
    return entries


def entries_of(values: Mapping[str, Any], source: str, *, overrides: bool = False) -> dict[str, Entry]:
    """The raw keys of a mapping.

    Args:
        values: keys, with hyphens or underscores, and their values.
        source: what they come from, for messages.
        overrides: whether they take the place of what files say.

    Raises:
        SettingsError: a key is there in two spellings, or is not text.
    """
    origin = Origin(source=source)
    if problems := [_no_text(key, origin) for key in values if not isinstance(key, str)]:
        raise SettingsError(problems)
    return merge(
        [
            [
                Entry(key.replace("-", "_"), value, origin, hyphenated="-" in key, overrides=overrides)
                for key, value in values.items()
            ]
        ]
    )


def overlaid(entries: Mapping[str, Entry], others: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries with others in place of those of the same key, and after all: the order says which came last."""
    return {key: entry for key, entry in entries.items() if key not in others} | dict(others)


def switches_from(entries: Mapping[str, Entry], switches: Switches) -> Switches:
    """Add the plugin switches that a configuration contains to those of the environment and command line.

    Raises:
        SettingsError: a switch has the wrong type.
    """
    given = {
        entry.key: entry
        for entry in plain_entries(entries[key] for key in PluginSettings.model_fields if key in entries)
    }
    try:
        chosen = PluginSettings.model_validate({key: entry.value for key, entry in given.items()})
    except ValidationError as error:
        raise SettingsError(group_problems(error, PluginSettings, given)) from error
    return switches.with_settings(
        disable=chosen.plugin_disable, prefer=chosen.plugin_prefer, require=chosen.plugin_require
    )


def plugins_for(entries: Mapping[str, Entry], switches: Switches | None = None) -> PluginManager:
    """The installed plugins, as these keys and the switches (None: those of the environment) choose them.

    Raises:
        UserError: a switch has the wrong type, or names nothing.
    """
    from neox_core.plugins import PluginManager, Switches  # not before they are needed: discovery costs time

    return PluginManager(switches_from(entries, switches or Switches.from_environment(os.environ)))


def _no_text(key: object, origin: Origin) -> Problem:
    return Problem(keys=(repr(key),), message="is a key that is not text", remedy="keys are words", origin=origin)
