"""Which plugins are let in: from the environment, the command line and the settings, as one value.

A name is a distribution (`acme-neox`), one of its plugins (`acme-neox:ring`) or a component (`attention.ring`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def normalised(distribution: str) -> str:
    """A distribution's name as package indexes compare it: lower case, runs of `-_.` as one `-`."""
    return re.sub(r"[-_.]+", "-", distribution).casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """The choice of plugins.

    Args:
        allow: only these plugins are loaded; None for all, empty for none.
        disable: these are not loaded, or not offered when a component is named; name -> the switch that says so.
        modules: modules or `.py` files to load as plugins besides the installed ones.
        prefer: `kind.name` -> distribution, which of several offers of one name to take.
        require: requirements, such as `acme-neox>=1.2`, that must be installed.
    """

    allow: tuple[str, ...] | None = None
    disable: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    prefer: Mapping[str, str] = field(default_factory=dict)
    require: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Switches:
        """`NEOX_PLUGINS=off` or `NEOX_PLUGINS=a,b`; `NEOX_DISABLE_PLUGINS=a,b`."""
        allow = environment.get("NEOX_PLUGINS")
        disable = dict.fromkeys(_words(environment.get("NEOX_DISABLE_PLUGINS", "")), "NEOX_DISABLE_PLUGINS")
        if allow is None or not allow.strip():
            return cls(disable=disable)
        return cls(allow=() if allow.strip() == "off" else _words(allow), disable=disable)

    def with_arguments(self, arguments: Iterable[str]) -> Switches:
        """Add what `-p` was given: `no:NAME` disables, anything else is a module or a file to load."""
        arguments = tuple(arguments)
        return replace(
            self,
            disable={**self.disable, **{word[3:]: f"-p {word}" for word in arguments if word.startswith("no:")}},
            modules=self.modules + tuple(word for word in arguments if not word.startswith("no:")),
        )

    def with_settings(
        self, *, disable: Iterable[str] = (), prefer: Mapping[str, str] | None = None, require: Iterable[str] = ()
    ) -> Switches:
        """Add the keys `plugin_disable`, `plugin_prefer` and `plugin_require` of a configuration file."""
        return replace(
            self,
            disable={**dict.fromkeys(disable, "plugin_disable"), **self.disable},
            prefer={**self.prefer, **(prefer or {})},
            require=self.require + tuple(require),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for handing over to other processes."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Switches:
        """The inverse of `to_dict`, after a trip through JSON."""
        allow = data["allow"]
        return cls(
            allow=None if allow is None else tuple(allow),
            disable=dict(data["disable"]),
            modules=tuple(data["modules"]),
            prefer=dict(data["prefer"]),
            require=tuple(data["require"]),
        )
