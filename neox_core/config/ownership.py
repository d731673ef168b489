"""Which group owns which key: the core's groups and those that plugins register."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from neox_core.config.groups import CORE_GROUPS
from neox_core.config.settings import Settings
from neox_core.plugins import PluginManager, resolve


@dataclass(frozen=True, slots=True)
class Owner:
    """A group and who brings it."""

    group: type[Settings]
    provider: str  # a distribution, or "neox_core"


class Ownership:
    """Every settings group of a process and the owner of each key.

    Args:
        owners: the groups.
        broken: a sentence for each plugin whose groups could not be loaded; their keys are unknown.
    """

    def __init__(self, owners: Iterable[Owner], broken: Iterable[str] = ()) -> None:
        self.owners = tuple(owners)
        self.broken = tuple(broken)

    @classmethod
    def of(cls, plugins: PluginManager | None) -> Ownership:
        """The core's groups, and those of the plugins."""
        owners = [Owner(group, "neox_core") for group in CORE_GROUPS]
        broken = []
        for reference, source in plugins.settings() if plugins is not None else ():
            try:
                owner = Owner(_load(reference), str(source))
            except Exception as error:  # noqa: BLE001 - a plugin's mistake matters only to a run that uses its keys
                broken.append(f"the settings {reference} of {source} cannot be loaded: {type(error).__name__}: {error}")
                continue
            if owner.group not in {known.group for known in owners}:
                owners.append(owner)
        return cls(owners, broken)

    @cached_property
    def by_key(self) -> Mapping[str, tuple[Owner, ...]]:
        """The owners of each key; more than one is a conflict of whoever sets the key."""
        found: dict[str, tuple[Owner, ...]] = {}
        for owner in self.owners:
            for key in owner.group.model_fields:
                found[key] = (*found.get(key, ()), owner)
        return found

    @property
    def groups(self) -> list[type[Settings]]:
        """All groups."""
        return [owner.group for owner in self.owners]


def _load(reference: str) -> type[Settings]:
    group = resolve(reference)
    if not (isinstance(group, type) and issubclass(group, Settings)):
        raise TypeError("it is not a settings group (a subclass of neox_core.config.Settings)")
    return group
