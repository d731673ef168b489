"""`NeoXArgs`: the editable input of a run, as one flat namespace of keys that groups own."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_core.config.derived import DERIVED, RUNTIME
from neox_core.config.entries import entries_of, plugins_for, read_entries
from neox_core.config.entry import Entry
from neox_core.config.groups.fusions import FusionSettings
from neox_core.config.groups.given_up import GivenUpSettings, is_asked_for
from neox_core.config.ownership import Ownership
from neox_core.config.plain import copied
from neox_core.config.reading import key_problems, read, typed
from neox_core.config.settings import Settings
from neox_core.config.translation import is_spelling
from neox_core.config.world import World
from neox_core.errors import Notice, Origin, Problem, SettingsError, UserError, did_you_mean

if TYPE_CHECKING:
    from neox_core.config.from_checkpoint import SettingsFrom
    from neox_core.config.nodes.node import Config
    from neox_core.config.nodes.parameters import Parameters
    from neox_core.config.resolved import Resolved
    from neox_core.config.settings_report import SettingsReport
    from neox_core.plugins import PluginManager

_IN_PYTHON = Origin(source="set in Python")


class NeoXArgs:
    """The settings that a user gave, each with its origin; everything else has its default.

    `args.num_layers` reads a key (or its default), `args.num_layers = 4` sets and validates it. Computed values
    (`args.deepspeed_config`) read as attributes too, but are never set or saved. Any other attribute that is set is kept, and is no
    setting. `resolve` gives the frozen value that a run uses.

    Values are plain data (text, numbers, true/false, null, lists, mappings), and are copied when they come in and when they go out:
    `args.fp16["enabled"] = True` changes a copy alone, `args.fp16 = {**args.fp16, "enabled": True}` the settings.

    Args:
        entries: the given keys, in GPT-NeoX's older names and forms too.
        plugins: whose settings groups are known beside the core's.
        world: the ranks for which computed values are read; None: as many as `global_num_gpus` says, or one.
        settings_from: a checkpoint, or other saved settings, to take from what the entries leave open.

    Raises:
        SettingsError: values that are no plain data; unknown keys, wrong types or values; all of them at once.
    """

    plugins: PluginManager | None
    world: World | None
    notices: tuple[Notice, ...]  # what was said about the given keys when they were read

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        plugins: PluginManager | None = None,
        *,
        world: World | None = None,
        settings_from: SettingsFrom | str | Path | None = None,
    ) -> None:
        state = vars(self)
        state["plugins"], state["world"] = plugins, world
        state["_ownership"] = Ownership.of(plugins)
        state["_entries"], state["_told"] = {}, ()
        if settings_from is None:
            self._take(entries)
        else:
            self._take_beneath(settings_from, entries)

    @classmethod
    def from_ymls(
        cls,
        paths: Iterable[str | Path] | str | Path,
        overwrite_values: Mapping[str, Any] | None = None,
        *,
        overrides: Iterable[str] = (),
        plugins: PluginManager | None = None,
        settings_from: SettingsFrom | str | Path | None = None,
    ) -> NeoXArgs:
        """The keys of several files together, then `overwrite_values`, then `key=value` overrides, strictly left to right.

        Args:
            paths: YAML or JSON files, or one; a key that two of them give is an error.
            overwrite_values: keys that replace those of the files.
            overrides: texts such as `optimizer.params.lr=1e-4`.
            plugins: whose settings groups are known; None: the installed plugins, as the environment and the files choose them.
            settings_from: a checkpoint that says what all these leave open.
        """
        entries = read_entries([paths] if isinstance(paths, str | Path) else paths, overrides, overwrite_values)
        plugins = plugins_for(entries) if plugins is None else plugins
        return cls(entries.values(), plugins, settings_from=settings_from)

    @classmethod
    def from_dict(
        cls,
        values: Mapping[str, Any],
        *,
        plugins: PluginManager | None = None,
        settings_from: SettingsFrom | str | Path | None = None,
    ) -> NeoXArgs:
        """The keys of a dictionary; `plugins` and `settings_from` as in `from_ymls`."""
        entries = entries_of(values, "dictionary")
        plugins = plugins_for(entries) if plugins is None else plugins
        return cls(entries.values(), plugins, settings_from=settings_from)

    # From deepy.py's command line to the ranks

    @classmethod
    def consume_deepy_args(cls, input_args: Sequence[str] | None = None) -> NeoXArgs:
        """The settings that deepy.py's command line names; see `neox_core.config.deepy`, as for the next three."""
        from neox_core.config.deepy import consume_deepy_args

        return consume_deepy_args(cls, input_args)

    def get_deepspeed_main_args(self) -> list[str]:
        """The words for `deepspeed.launcher.runner.main`, with the settings for each rank among them."""
        from neox_core.config.deepy import get_deepspeed_main_args

        return get_deepspeed_main_args(self)

    @classmethod
    def consume_neox_args(
        cls, overwrite_values: Mapping[str, Any] | None = None, input_args: Sequence[str] | None = None
    ) -> NeoXArgs:
        """The settings that a rank was started with, and which rank it is."""
        from neox_core.config.deepy import consume_neox_args

        return consume_neox_args(cls, overwrite_values, input_args)

    def configure_distributed_args(self) -> None:
        """Tell torch.distributed, by its environment variables, which rank this process is where SLURM or MPI says it."""
        from neox_core.config.deepy import configure_distributed_args

        configure_distributed_args(self)

    # Reading and setting keys

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):  # asked of a copy that is being made, in which nothing is there yet
            raise AttributeError(key)
        owners = self._ownership.by_key.get(key)
        if owners:
            return copied(getattr(self._groups[owners[0].group], key))
        if key in DERIVED:
            try:
                return DERIVED[key].compute(self.resolve())
            except UserError as error:
                raise AttributeError(f"{key} cannot be computed: {error}") from error
        if key in RUNTIME:
            return None  # until the running program sets it
        if key in self._ownership.aliases:
            return getattr(self, self._ownership.aliases[key])
        raise AttributeError(f"there is no setting '{key}'; {did_you_mean(key, [*self._ownership.by_key, *DERIVED])}")

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` where no plugin that has the key is in use; never a computed value."""
        return getattr(self, key) if key in self._ownership.by_key else default

    def __setattr__(self, key: str, value: Any) -> None:
        if is_spelling(key, self._ownership):
            self.update_value(key, value)
        elif key in DERIVED:
            raise AttributeError(f"{key} is computed from {DERIVED[key].source}; set those")
        elif hasattr(type(self), key) or key in ("plugins", "notices"):
            raise AttributeError(f"{key} is a part of NeoXArgs itself, which cannot be set; choose another name")
        else:
            vars(self)[key] = value

    def __contains__(self, key: str) -> bool:
        """Whether the key was given, rather than left to its default."""
        return key in self._entries

    def __eq__(self, other: object) -> bool:
        """Whether the same keys were given with the same values."""
        return isinstance(other, NeoXArgs) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment] # it can be changed

    def __copy__(self) -> NeoXArgs:
        """A copy that can be changed alone; the plugins, and attributes that are no settings, are the same ones."""
        twin = type(self).__new__(type(self))
        vars(twin).update(vars(self))  # entries and groups are replaced, never changed in place
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> NeoXArgs:
        """The same, but for attributes that are no settings, which are copied too."""
        twin = memo[id(self)] = copy.copy(self)
        shared = {"plugins", "_ownership", "_entries", "_groups"}
        vars(twin).update({name: copy.deepcopy(v, memo) for name, v in vars(self).items() if name not in shared})
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: the given keys, and the switches that choose the plugins."""
        state = {name: value for name, value in vars(self).items() if name not in ("_ownership", "_groups")}
        return {**state, "plugins": self.plugins and self.plugins.switches}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Find the plugins again, and validate the keys with them.

        Raises:
            UserError: the plugins here are others, and do not have the keys.
        """
        from neox_core.plugins import PluginManager

        switches = state["plugins"]
        plugins = None if switches is None else PluginManager(switches)
        entries = state["_entries"].values()
        vars(self).update(state, plugins=plugins, _ownership=Ownership.of(plugins))
        self._take(entries)

    def update_value(self, key: str, value: Any) -> None:
        """Set a key. A value that is refused leaves everything as it was.

        Raises:
            SettingsError: there is no such key, or it does not take the value.
        """
        key = key.replace("-", "_")
        self._take([*self._entries.values(), Entry(key, value, _IN_PYTHON, overrides=True)])
        vars(self).pop(key, None)  # a fact of this process of the same name

    def load_settings_from_checkpoint(
        self,
        path: str | Path,
        override_parent_fields: Iterable[str] | None = None,
        policy: str = "explicit",
        name: str | None = None,
    ) -> SettingsReport:
        """Take settings from a checkpoint, by what each key's declaration says of that. An error leaves everything as it was.

        Args:
            path: a checkpoint, a directory of checkpoints, the directory of a run, or a YAML or JSON file. Only plain settings
                are read.
            override_parent_fields: keys that stay mine; None: as the policy has it.
            policy: "explicit": what was given stays, and is an error where it must match and does not; "bionemo": the checkpoint
                wins but for `override_parent_fields`, which are the keys that say keep if they are not given; or any other name of
                `neox_core.config.checkpoint_policies.POLICIES`.
            name: dotted path of the part of a nested file that holds settings.

        Raises:
            UserError: nothing can be read there; there is no such policy or key.
            SettingsError: keys that must match do not, or saved values are refused.
        """
        from neox_core.config.from_checkpoint import SettingsFrom

        source = SettingsFrom(path, override_parent_fields, policy, name)
        return self._take_beneath(source, self._entries.values())

    def _take_beneath(self, source: SettingsFrom | str | Path, entries: Iterable[Entry]) -> SettingsReport:
        """Make these entries, and beneath them those of a checkpoint, the given ones."""
        from neox_core.config.from_checkpoint import SettingsFrom

        merged = SettingsFrom.of(source).beneath(entries, self._ownership, self.plugins)
        self._take(merged.entries, merged.notices)
        return merged.report

    def _take(self, entries: Iterable[Entry], also: Iterable[Notice] = ()) -> None:
        """Make these entries the given ones, if all of them are right; `also` is told of them."""
        reading = read(entries, self._ownership)
        new = (*also, *reading.notices)
        retold = {notice.keys for notice in new}
        told = (*(notice for notice in self._told if notice.keys not in retold), *new)
        state = vars(self)
        state["_entries"], state["_groups"], state["_told"] = reading.entries, reading.groups, told
        state["notices"] = (*told, *self._without_effect())

    def _without_effect(self) -> list[Notice]:
        """What is said of keys that nothing reads, where nothing else was said of them, nor will be by a rule."""
        said = {key for notice in self._told for key in notice.keys}
        keys = self._ownership.keys
        return [
            Notice(keys=(entry.key,), message=f"has no effect: {keys[entry.key].unused}", origin=entry.origin)
            for entry in self._entries.values()
            if keys[entry.key].unused
            and not keys[entry.key].is_default(entry.value)
            and entry.key not in said
            and keys[entry.key].group is not FusionSettings
            and not (keys[entry.key].group is GivenUpSettings and is_asked_for(entry.value))
        ]

    # As the target of a node; see `neox_core.config.settings_nodes`

    @classmethod
    def __node_parameters__(cls) -> Parameters:
        from neox_core.config.settings_nodes import settings_parameters

        return settings_parameters()

    @classmethod
    def __build_node__(cls, arguments: Mapping[str, Any], origins: Mapping[str, Origin]) -> NeoXArgs:
        from neox_core.config.settings_nodes import build_settings

        return build_settings(cls, arguments, origins)

    def __as_node__(self) -> Config[NeoXArgs]:
        from neox_core.config.settings_nodes import settings_node

        return settings_node(self)

    # Validating

    def validate_keys(self) -> bool:
        """True: settings with a key that nobody or several own cannot be made. Kept for programs that ask."""
        return self._hold(key_problems(self._entries, self._ownership))

    def validate_types(self) -> bool:
        """True when each value has the type and range of its key, those that are left to their defaults too.

        Raises:
            SettingsError: they have not.
        """
        return self._hold(typed(self._entries, self._ownership, defaults_too=True)[1])

    def validate_values(self) -> bool:
        """True when the values fit together and the world.

        Raises:
            SettingsError: they do not.
        """
        self.resolve()
        return True

    def _hold(self, problems: Sequence[Problem]) -> bool:
        if problems:
            raise SettingsError(problems)
        return True

    # Giving out

    def origin(self, path: str) -> Origin | None:
        """Where a key was given, or as much of a dotted path (`optimizer.params.lr`) as was; None when the key has its default."""
        key, *names = path.split(".")
        if key not in self._entries:
            return None
        entry = self._entries[key]
        outward = (".".join(names[:length]) for length in range(len(names), 0, -1))
        found: Origin = next((entry.inner[inner] for inner in outward if inner in entry.inner), entry.origin)
        return found

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The given keys with their origins, in today's names."""
        return tuple(replace(entry, value=copied(entry.value)) for entry in self._entries.values())

    @property
    def ownership(self) -> Ownership:
        """Which group owns which key."""
        ownership: Ownership = self._ownership
        return ownership

    @property
    def groups(self) -> Mapping[type[Settings], Settings]:
        """The typed groups."""
        return {group: settings.model_copy(deep=True) for group, settings in self._groups.items()}

    def to_dict(self) -> dict[str, Any]:
        """The given keys and their values."""
        return {key: copied(entry.value) for key, entry in self._entries.items()}

    def save_yml(self, path: str | Path) -> None:
        """Write the given keys to a file that `from_ymls` reads back."""
        from neox_core.config.yaml_text import dump_yaml  # which costs PyYAML

        Path(path).write_text(dump_yaml(self.to_dict()), encoding="utf-8")

    def print(self) -> None:
        """Write every key with its value to standard output, the given ones first."""
        values = {key: getattr(self, key) for key in self._ownership.by_key}
        lines = [
            f"  {key} {'.' * max(3, 40 - len(key))} {values[key]!r}{' (given)' if key in self else ''}"
            for key in sorted(values, key=lambda key: (key not in self, key))
        ]
        sys.stdout.write("\n".join(["settings:", *lines, ""]))

    def enable_logging(self) -> None:
        """Copy what this process writes from now on to `log_dir`/HOST_stdout.txt and HOST_stderr.txt, where log_dir is given."""
        from neox_core.config.console_copy import copy_output

        if self.log_dir is not None:
            copy_output(Path(self.log_dir))

    def resolve(
        self, world: World | None = None, vocabulary: int | None = None, epoch_samples: int | None = None
    ) -> Resolved:
        """The frozen value that a run on `world` uses, with everything derived.

        Args:
            world: the run's hosts, slots and device; None: `self.world`, or as many CPU ranks as `global_num_gpus` says, or one.
            vocabulary: number of token ids that the tokenizer has, where there is one.
            epoch_samples: samples that the training data have, where `train_epochs` says how long the run is.

        Raises:
            SettingsError: settings that do not fit together or the world; all of them at once.
        """
        from neox_core.config.resolve import resolve

        return resolve(self, world or self.world or World.local(self.global_num_gpus or 1), vocabulary, epoch_samples)
