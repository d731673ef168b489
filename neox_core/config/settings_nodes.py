"""`NeoXArgs` as the target of a node: `Config(NeoXArgs, num_layers=12, ...)` is a file of settings as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from neox_core.config.entries import plugins_for
from neox_core.config.entry import Entry, merge
from neox_core.config.keys import REQUIRED
from neox_core.config.nodes.node import Config
from neox_core.config.nodes.parameters import Parameter, Parameters
from neox_core.config.nodes.steps import Step, parse
from neox_core.config.ownership import Ownership
from neox_core.config.plain import copied
from neox_core.errors import Origin

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

_IN_PYTHON = Origin(source="set in Python")


def settings_parameters() -> Parameters:
    """The keys of the core that have defaults. Any other name is taken too: what it means is known when the node is built."""
    keys = Ownership.of(None).keys.values()
    found = {key.name: _parameter(key.name, key.default) for key in keys if key.default is not REQUIRED}
    return Parameters(found, others=True)


def _parameter(name: str, default: Any) -> Parameter:
    if isinstance(default, dict | list):
        return Parameter(name, factory=lambda: copied(default))
    return Parameter(name, default)


def build_settings(cls: type[NeoXArgs], arguments: Mapping[str, Any], origins: Mapping[str, Origin]) -> NeoXArgs:
    """The settings with these keys, and the installed plugins as they choose them; the arguments are those of `settings_entries`.

    Raises:
        SettingsError: as `NeoXArgs` does, with the lines of the keys.
    """
    entries = settings_entries(arguments, origins)
    return cls(entries.values(), plugins_for(entries))


def settings_entries(arguments: Mapping[str, Any], origins: Mapping[str, Origin]) -> dict[str, Entry]:
    """The raw keys that the arguments of a node are.

    Args:
        arguments: the keys and their values.
        origins: where they were written; for what is in a mapping, under `optimizer['params']['lr']`.

    Raises:
        SettingsError: a key is there in two spellings.
    """
    inner: dict[str, dict[str, Origin]] = {key: {} for key in arguments}
    for name, origin in origins.items():
        key, bracket, rest = name.partition("[")
        if name not in arguments and key in arguments:
            inner[key][".".join(str(step.key) for step in parse(bracket + rest))] = origin
    entries = [
        Entry(key.replace("-", "_"), value, origins.get(key, _IN_PYTHON), inner[key], "-" in key)
        for key, value in arguments.items()
    ]
    return merge([entries])


def settings_node(args: NeoXArgs) -> Config[NeoXArgs]:
    """The given keys as a node, each with its place. Plugins and world are found again when it is built."""
    node: Config[NeoXArgs] = Config(type(args), **args.to_dict())
    for entry in args.entries:
        node._origins[entry.key] = entry.origin
        for path, origin in entry.inner.items():
            steps = "".join(str(Step(key, item=True)) for key in path.split("."))
            node._origins[entry.key + steps] = origin
    return node
