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
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pluggy

from neox_core.errors import did_you_mean
from neox_core.plugins.commands import Command, Commands
from neox_core.plugins.components import Component
from neox_core.plugins.hooks import NeoxHooks
from neox_core.plugins.reference import check_form
from neox_core.plugins.states import AVAILABLE, Availability, Source, State
from neox_core.plugins.switches import Switches, normalised

API = "neox.v1"
"""Entry-point group of this version of the plugin API."""

ASKED = "-p"
"""Stands for the entry point of a plugin that the command line names."""

HOOK_PREFIX = "neox_"
HOOK_NAMES = tuple(name for name in vars(NeoxHooks) if name.startswith(HOOK_PREFIX))


class Plugin(NamedTuple):
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


class Candidate(NamedTuple):
    """A plugin that is known of but not loaded."""

    source: Source
    group: str
    load: Callable[[], object]


def installed_candidates() -> list[Candidate]:
    """The plugins of all installed distributions, by (distribution, name), whatever API version they were made for."""
    points = importlib.metadata.entry_points()
    groups = [group for group in points.groups if re.fullmatch(r"neox\.v\d+", group)]
    identity: dict[
        object, tuple[str, str]
    ] = {}  # reading name and version parses a file, so once for each distribution
    found = []
    for point in (point for group in groups for point in points.select(group=group)):
        if point.dist is not None:
            if point.dist not in identity:
                metadata = point.dist.metadata
                identity[point.dist] = metadata["Name"], metadata["Version"]
            found.append(Candidate(Source(*identity[point.dist], point.name, point.value), point.group, point.load))
    return sorted(found, key=lambda candidate: (candidate.source.distribution, candidate.source.entry_point))


def installed_plugins() -> list[Source]:
    """The installed plugins as their metadata names them; nothing is imported."""
    return [candidate.source for candidate in installed_candidates()]


def module_candidate(name: str) -> Candidate:
    """The plugin that `-p NAME` names: an importable module, or the path of a `.py` file."""
    if name.endswith(".py"):
        path = Path(name).resolve()
        return Candidate(Source(path.stem, "", ASKED, name), API, lambda: import_file(path))
    return Candidate(Source(name, "", ASKED, name), API, lambda: importlib.import_module(name))


def import_file(path: Path) -> ModuleType:
    """Import a file as a module named by its stem, as which its "module:attribute" references find it.

    Raises:
        ImportError: it is no file, or there is another module of that name.
    """
    if not path.is_file():
        raise ImportError(f"there is no file {path}")
    spec = importlib.util.find_spec(path.stem) or importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or spec.origin is None or Path(spec.origin).resolve() != path:
        raise ImportError(f"there is another module '{path.stem}'; rename the file")
    if path.stem in sys.modules:
        return sys.modules[path.stem]
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def discover(switches: Switches, manager: HookManager) -> list[Plugin]:
    """Examine every plugin and register those that the switches let in with `manager`."""
    installed = [examine(candidate, switches, manager) for candidate in installed_candidates()]
    loaded = {plugin.source.module for plugin in installed if plugin.availability.ok}
    asked = [module_candidate(name) for name in dict.fromkeys(switches.modules) if name not in loaded]
    return installed + [examine(candidate, replace(switches, allow=None), manager) for candidate in asked]


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
    for name, switch in switches.disable.items():
        if matches(name, source):
            return Plugin(source, disabled(name, switch))
    return load(candidate, manager)


def disabled(name: str, switch: str) -> Availability:
    """The state of what the name `name` in `switch` turns off."""
    return Availability(State.DISABLED, f"switched off by {switch}", f"remove '{name}' there")


def load(candidate: Candidate, manager: HookManager) -> Plugin:
    """Import a plugin, verify and register its hooks, and ask what it declares."""
    source, start = candidate.source, time.perf_counter()
    try:
        plugin = candidate.load()
        hooks = verified_hooks(plugin)
        if manager.is_registered(plugin):
            raise ValueError(f"{manager.get_name(plugin)} is the same module")
        manager.register(plugin, name=source.qualified)
        components, settings, commands = declarations(plugin, source)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises must stay its own problem
        if manager.has_plugin(source.qualified):
            manager.unregister(name=source.qualified)
        availability = Availability(State.BROKEN, describe(error), f"mend or remove {source.distribution}")
        return Plugin(
            source,
            availability,
            seconds=time.perf_counter() - start,
            traceback="".join(traceback.format_exception(error)),
        )
    file = getattr(plugin, "__file__", None) or getattr(inspect.getmodule(type(plugin)), "__file__", None)
    source = source._replace(file=file)
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
    """What a plugin's declaring hooks give.

    Raises:
        TypeError, ValueError: it is not what the hooks are for.
    """
    components = tuple(plugin.neox_components()) if hasattr(plugin, "neox_components") else ()
    for component in components:
        if not isinstance(component, Component):
            raise TypeError(f"neox_components() gives {component!r}, which is not a Component")
    for key, times in Counter(component.key for component in components).items():
        if times > 1:
            raise ValueError(f"neox_components() gives {key} {times} times")
    settings = tuple(plugin.neox_settings()) if hasattr(plugin, "neox_settings") else ()
    for reference in settings:
        check_form(reference)
    commands = Commands(source.distribution)
    if hasattr(plugin, "neox_commands"):
        plugin.neox_commands(commands)
    return components, settings, tuple(commands)
