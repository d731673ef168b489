"""Raw entries: from files and overrides, from the mappings of a program; and the plugins that they choose."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from neox_core.config.entry import Entry, merge
from neox_core.config.groups import PluginSettings
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
    from neox_core.config.loading import read_file  # which costs PyYAML

    said = [Override.parse(text) for text in overrides]
    overwriting = entries_of(overwrite_values or {}, "overwrite_values", overrides=True)
    whole = (override for override in said if override.sign == "=" and not override.path)
    later = [*overwriting.values(), *(Entry(override.key, override.value, override.origin) for override in whole)]
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


def plugins_for(
    entries: Mapping[str, Entry], switches: Switches | None = None, known: PluginManager | None = None
) -> PluginManager:
    """The installed plugins, as these keys and the switches choose them.

    Args:
        entries: the given keys.
        switches: those of the command line and the environment; None: of the environment.
        known: the plugins that were found already; they are returned where the keys choose no others.

    Raises:
        SettingsError: a switch has the wrong type, or names nothing.
    """
    from neox_core.plugins import PluginManager, Switches  # not before they are needed: discovery costs time

    chosen = switches_from(entries, switches or Switches.from_environment(os.environ))
    if known is not None and chosen == known.switches:
        return known
    try:
        return PluginManager(chosen)
    except SettingsError as error:
        raise SettingsError(_located(problem, entries) for problem in error.problems) from error


def _located(problem: Problem, entries: Mapping[str, Entry]) -> Problem:
    """The problem with the place of its switch, where that is a key of the settings."""
    entry = next((entries[key] for key in problem.keys if key in entries), None)
    return problem if entry is None else problem._replace(origin=entry.inner.get(problem.path or "", entry.origin))


def _no_text(key: object, origin: Origin) -> Problem:
    return Problem(keys=(repr(key),), message="is a key that is not text", remedy="keys are words", origin=origin)
