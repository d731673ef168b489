"""Finding plugins and loading each in isolation: a broken one is recorded with its reason and harms no other.

Installed plugins are entry points in the group `neox.v1`; the number is the version of the plugin API, so a plugin made for another
version is known as such without importing it. What is switched off is not imported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from neox_core.errors import did_you_mean
from neox_core.plugins.commands import Command, Commands
from neox_core.plugins.components import Component
from neox_core.plugins.hooks import NeoxHooks
from neox_core.plugins.states import AVAILABLE, Availability, Source, State
from neox_core.plugins.switches import Switches, normalised

API = "neox.v1"
"""Entry-point group of this version of the plugin API."""

HOOK_PREFIX = "neox_"
HOOK_NAMES = tuple(name for name in vars(NeoxHooks) if name.startswith(HOOK_PREFIX))


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin that was found: where it comes from, whether it is in use, and what it declares."""

    source: Source
    availability: Availability = AVAILABLE
    components: tuple[Component, ...] = ()
    settings: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()
    hooks: tuple[str, ...] = ()
    seconds: float = 0.0
    traceback: str | None = None


class HookManager(pluggy.PluginManager):
    """pluggy's manager, for which the prefix of a function's name is enough to mark a hook."""

    def __init__(self) -> None:
        super().__init__("neox")
        self.add_hookspecs(NeoxHooks)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """Options of the hook implementation `name`; None when it is not one."""
        if not name.startswith(HOOK_PREFIX) or not inspect.isroutine(getattr(plugin, name, None)):
            return None
        return super().parse_hookimpl_opts(plugin, name) or {}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that is known of but not loaded."""

    source: Source
    group: str
    load: Callable[[], object]


def installed_candidates() -> list[Candidate]:
    """The plugins of all installed distributions, by (distribution, name), whatever API version they were made for."""
    points = importlib.metadata.entry_points()
    found = [
        Candidate(Source(point.dist.name, point.dist.version, point.name, point.value), group, point.load)
        for group in points.groups
        if re.fullmatch(r"neox\.v\d+", group)
        for point in points.select(group=group)
        if point.dist is not None
    ]
    return sorted(found, key=lambda candidate: (candidate.source.distribution, candidate.source.entry_point))


def module_candidate(name: str) -> Candidate:
    """The plugin that `-p NAME` names: an importable module, or the path of a `.py` file."""

    def load() -> object:
        if not name.endswith(".py"):
            return importlib.import_module(name)
        path = Path(name).resolve()
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise FileNotFoundError(f"no file {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module  # its "module:attribute" references name it
        spec.loader.exec_module(module)
        return module

    return Candidate(Source("-p", "", name, name), API, load)


def discover(switches: Switches, manager: HookManager) -> list[Plugin]:
    """Examine every plugin and register those that the switches let in with `manager`."""
    installed = installed_candidates()
    asked = [module_candidate(name) for name in dict.fromkeys(switches.modules)]
    return [examine(candidate, switches, manager) for candidate in installed] + [
        examine(candidate, Switches(), manager) for candidate in asked
    ]


def matches(name: str, source: Source) -> bool:
    """Whether a switch's name, a distribution or `distribution:entry-point`, means this plugin."""
    distribution, _, entry_point = name.partition(":")
    return normalised(distribution) == normalised(source.distribution) and entry_point in ("", source.entry_point)


def examine(candidate: Candidate, switches: Switches, manager: HookManager) -> Plugin:
    """Decide about one plugin and, if it is let in, load it."""
    source = candidate.source
    if candidate.group != API:
        reason = f"made for plugin API {candidate.group}, this is {API}"
        remedy = f"pip install --upgrade '{source.distribution}'"
        return Plugin(source, Availability(State.INCOMPATIBLE, reason, remedy))
    if switches.allow is not None and not any(matches(name, source) for name in switches.allow):
        return Plugin(
            source, Availability(State.DISABLED, "not in NEOX_PLUGINS", "add it to NEOX_PLUGINS, or unset that")
        )
    for name in switches.disable:
        if matches(name, source):
            return Plugin(source, Availability(State.DISABLED, f"switched off by '{name}'", "remove that switch"))
    return load(candidate, manager)


def load(candidate: Candidate, manager: HookManager) -> Plugin:
    """Import a plugin, verify and register its hooks, and ask what it declares."""
    source, start = candidate.source, time.perf_counter()
    try:
        plugin = candidate.load()
        hooks = verified_hooks(plugin)
        manager.register(plugin, name=source.qualified)
        components, settings, commands = declarations(plugin, source)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises must stay its own problem
        manager.unregister(name=source.qualified) if manager.has_plugin(source.qualified) else None
        availability = Availability(State.BROKEN, describe(error), f"mend or remove {source.distribution}")
        return Plugin(
            source,
            availability,
            seconds=time.perf_counter() - start,
            traceback="".join(traceback.format_exception(error)),
        )
    file = getattr(plugin, "__file__", None) or getattr(inspect.getmodule(type(plugin)), "__file__", None)
    source = Source(source.distribution, source.version, source.entry_point, source.module, file)
    return Plugin(source, AVAILABLE, components, settings, commands, hooks, time.perf_counter() - start)


def describe(error: BaseException) -> str:
    """One line for an exception."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def verified_hooks(plugin: object) -> tuple[str, ...]:
    """Names of the hooks that a plugin implements.

    Raises:
        ValueError: it has a function that looks like a hook, but there is no such hook.
    """
    found = [name for name in dir(plugin) if name.startswith(HOOK_PREFIX) and inspect.isroutine(getattr(plugin, name))]
    for name in found:
        if name not in HOOK_NAMES:
            raise ValueError(f"there is no hook '{name}'; {did_you_mean(name, HOOK_NAMES)}")
    return tuple(found)


def declarations(plugin: Any, source: Source) -> tuple[tuple[Component, ...], tuple[str, ...], tuple[Command, ...]]:
    """What a plugin's declaring hooks give, checked."""
    components = tuple(plugin.neox_components()) if hasattr(plugin, "neox_components") else ()
    for component in components:
        if not isinstance(component, Component):
            raise TypeError(f"neox_components() gives {component!r}, which is not a Component")
    settings = tuple(plugin.neox_settings()) if hasattr(plugin, "neox_settings") else ()
    commands = Commands(source.distribution)
    if hasattr(plugin, "neox_commands"):
        plugin.neox_commands(commands)
    return components, settings, tuple(commands)
