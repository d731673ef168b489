"""`NeoXArgs`: the editable input of a run, as one flat namespace of keys that groups own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from neox_core.config.groups import PluginSettings
from neox_core.config.loading import Entry, apply_override, dump_yaml, merge, read_file
from neox_core.config.ownership import Ownership
from neox_core.config.settings import Settings
from neox_core.config.validation import claimed_twice, group_problems, unknown_key
from neox_core.config.world import World
from neox_core.errors import Origin, Problem, SettingsError, did_you_mean
from neox_core.plugins import PluginManager, Switches

if TYPE_CHECKING:
    from neox_core.config.resolved import Resolved


class NeoXArgs:
    """The settings that a user gave, each with its origin; everything else has its default.

    `args.num_layers` reads a key (or its default), `args.num_layers = 4` sets and validates it. `resolve` gives the frozen value
    that a run uses.

    Args:
        entries: the given keys.
        plugins: whose settings groups are known beside the core's.

    Raises:
        SettingsError: unknown keys, wrong types or values; all of them at once.
    """

    def __init__(self, entries: Iterable[Entry] = (), plugins: PluginManager | None = None) -> None:
        vars(self)["_entries"] = {entry.key: entry for entry in entries}
        vars(self)["_ownership"] = Ownership.of(plugins)
        vars(self)["plugins"] = plugins
        vars(self)["_groups"] = self._validated()

    @classmethod
    def from_ymls(
        cls, paths: Iterable[str | Path], *, overrides: Iterable[str] = (), plugins: PluginManager | None = None
    ) -> NeoXArgs:
        """The keys of several files together, then `key=value` overrides, strictly left to right."""
        return cls(read_entries(paths, overrides).values(), plugins)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, plugins: PluginManager | None = None) -> NeoXArgs:
        """The keys of a dictionary."""
        origin = Origin(source="dictionary")
        given = [Entry(key.replace("-", "_"), value, origin) for key, value in values.items()]
        return cls(merge([given]).values(), plugins)

    def _validated(self) -> dict[type[Settings], Settings]:
        problems: list[Problem] = []
        owners = self._ownership.by_key
        for key, entry in self._entries.items():
            if key not in owners:
                problems.append(unknown_key(entry, self._ownership))
            elif len(owners[key]) > 1:
                problems.append(claimed_twice(entry, owners[key]))
        groups = {}
        for group in self._ownership.groups:
            given = {key: self._entries[key] for key in group.model_fields if key in self._entries}
            try:
                groups[group] = group.model_validate({key: entry.value for key, entry in given.items()})
            except ValidationError as error:
                problems.extend(group_problems(error, group, given))
        if problems:
            raise SettingsError(problems)
        return groups

    # The flat namespace

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):  # asked of a copy that is being made, in which nothing is there yet
            raise AttributeError(key)
        owners = self._ownership.by_key.get(key)
        if not owners:
            raise AttributeError(f"there is no setting '{key}'; {did_you_mean(key, list(self._ownership.by_key))}")
        return getattr(self._groups[owners[0].group], key)

    def __setattr__(self, key: str, value: Any) -> None:
        self.update_value(key, value)

    def __contains__(self, key: str) -> bool:
        """Whether the key was given, rather than left to its default."""
        return key in self._entries

    def update_value(self, key: str, value: Any) -> None:
        """Set a key. A value that is refused leaves everything as it was.

        Raises:
            SettingsError: there is no such key, or it does not take the value.
        """
        before, key = dict(self._entries), key.replace("-", "_")
        self._entries[key] = Entry(key, value, Origin(source="set in Python"))
        try:
            vars(self)["_groups"] = self._validated()
        except SettingsError:
            vars(self)["_entries"] = before
            raise

    def origin(self, key: str) -> Origin | None:
        """Where a key was given; None when it has its default."""
        return self._entries[key].origin if key in self._entries else None

    def to_dict(self) -> dict[str, Any]:
        """The given keys and their values."""
        return {key: entry.value for key, entry in self._entries.items()}

    def save_yml(self, path: str | Path) -> None:
        """Write the given keys to a file that `from_ymls` reads back."""
        Path(path).write_text(dump_yaml(self.to_dict()), encoding="utf-8")

    @property
    def groups(self) -> Mapping[type[Settings], Settings]:
        """The typed groups."""
        return dict(self._groups)

    def resolve(self, world: World, vocabulary: int | None = None) -> Resolved:
        """The frozen value that a run on `world` uses, with everything derived.

        Args:
            world: the run's hosts, slots and device.
            vocabulary: number of token ids that the tokenizer has, where there is one.

        Raises:
            SettingsError: settings that do not fit together or the world; all of them at once.
        """
        from neox_core.config.resolve import resolve

        return resolve(self, world, vocabulary)


def read_entries(paths: Iterable[str | Path], overrides: Iterable[str] = ()) -> dict[str, Entry]:
    """The raw keys of files and overrides, not validated: what is known before plugins are.

    Raises:
        UserError: a file cannot be read, a key is given twice, an override is malformed.
    """
    entries = merge(read_file(Path(path)) for path in paths)
    for override in overrides:
        apply_override(entries, override)
    return entries


def switches_from(entries: Mapping[str, Entry], switches: Switches) -> Switches:
    """Add the plugin switches that a configuration contains to those of the environment and command line.

    Raises:
        SettingsError: a switch has the wrong type.
    """
    given = {key: entries[key] for key in PluginSettings.model_fields if key in entries}
    try:
        chosen = PluginSettings.model_validate({key: entry.value for key, entry in given.items()})
    except ValidationError as error:
        raise SettingsError(group_problems(error, PluginSettings, given)) from error
    return switches.with_settings(
        disable=chosen.plugin_disable, prefer=chosen.plugin_prefer, require=chosen.plugin_require
    )
