"""Which group owns which key: the core's groups and those that plugins register."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from neox_core.config.derived import DERIVED, RUNTIME
from neox_core.config.groups import CORE_GROUPS
from neox_core.config.keys import Key
from neox_core.config.settings import Settings

if TYPE_CHECKING:
    from neox_core.plugins import Plugin, PluginManager

CORE = "neox_core"
"""The provider of the core's groups."""


class Owner(NamedTuple):
    """A group and who brings it."""

    group: type[Settings]
    provider: str  # a distribution with its version, or `CORE`


class Ownership:
    """Every settings group of a process and the owner of each key.

    Args:
        owners: the groups.
        broken: a sentence for each plugin, or group of one, that could not be loaded; its keys are unknown.
        switched_off: the plugins that are not in use because somebody said so; they are not imported.
    """

    def __init__(
        self, owners: Iterable[Owner], broken: Iterable[str] = (), switched_off: Iterable[Plugin] = ()
    ) -> None:
        self.owners = tuple(owners)
        self.broken = tuple(broken)
        self.switched_off = tuple(switched_off)

    @classmethod
    def of(cls, plugins: PluginManager | None) -> Ownership:
        """The core's groups, and those of the plugins."""
        owners = [Owner(group, CORE) for group in CORE_GROUPS]
        if plugins is None:
            return cls(owners)
        from neox_core.plugins import State, describe

        broken = [f"{plugin.source} could not be loaded: {plugin.availability.reason}" for plugin in plugins.failures()]
        for reference, source in plugins.settings():
            try:
                group = _load(reference)
                if group not in {known.group for known in owners}:
                    _require_usable(group)
                    owners.append(Owner(group, str(source)))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - it matters only to a run that uses these keys
                broken.append(f"the settings {reference} of {source} cannot be loaded: {describe(error)}")
        off = (plugin for plugin in plugins.plugins if plugin.availability.state is State.DISABLED)
        return cls(owners, broken, off)

    @cached_property
    def by_key(self) -> Mapping[str, tuple[Owner, ...]]:
        """The owners of each key; more than one is a conflict of whoever sets the key."""
        found: dict[str, tuple[Owner, ...]] = {}
        for owner in self.owners:
            for key in owner.group.model_fields:
                found[key] = (*found.get(key, ()), owner)
        return found

    @cached_property
    def keys(self) -> Mapping[str, Key]:
        """What is known about each key, in the order of the groups; of a key with several owners, what the first one says."""
        return {name: Key.of(owners[0].group, name, owners[0].provider) for name, owners in self.by_key.items()}

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Earlier spelling -> key; a spelling that is a key today is that key, one of several keys belongs to the first."""
        found: dict[str, str] = {}
        for key in self.keys.values():
            for alias in key.aliases:
                if alias not in self.by_key:
                    found.setdefault(alias, key.name)
        return found

    @property
    def groups(self) -> list[type[Settings]]:
        """All groups."""
        return [owner.group for owner in self.owners]


def _require_usable(group: type[Settings]) -> None:
    """TypeError for keys that no plugin may have.

    One without a default would have to be given by every run, also by those without the plugin; one with another name for its
    value would not be found by its own; one that `NeoXArgs` has, or computes, could not be read.
    """
    from neox_core.config.args import NeoXArgs

    taken = {*dir(NeoXArgs), *NeoXArgs.__annotations__, *DERIVED, *RUNTIME}
    for name, field in group.model_fields.items():
        if field.is_required():
            raise TypeError(f"{name} must have a default")
        if field.alias or field.validation_alias:
            raise TypeError(
                f"{name} must not have an alias of pydantic's; `setting(..., aliases=...)` declares earlier names"
            )
        if name in taken:
            raise TypeError(f"{name} is a part of NeoXArgs itself; choose another name")


def _load(reference: str) -> type[Settings]:
    from neox_core.plugins import resolve

    group = resolve(reference)
    if not (isinstance(group, type) and issubclass(group, Settings)):
        raise TypeError("it is not a settings group (a subclass of neox_core.config.Settings)")
    return group
