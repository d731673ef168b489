"""Checking what was asked of the plugins as a whole: a switch that names nothing would otherwise do nothing, in silence."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from neox_core.errors import UserError, did_you_mean
from neox_core.plugins.discovery import ASKED, Plugin, matches
from neox_core.plugins.requirements import check_requirement, distribution_of
from neox_core.plugins.states import State
from neox_core.plugins.switches import Switches


def check_switches(switches: Switches, plugins: Sequence[Plugin]) -> None:
    """Whether all that the switches name is there.

    Raises:
        UserError: a name means no plugin and no component; a plugin that was asked for cannot be had.
    """
    check_asked(plugins)
    check_required(switches, plugins)
    check_names(switches, plugins)


def check_asked(plugins: Sequence[Plugin]) -> None:
    """Refuse a plugin that `-p` names and that cannot be loaded."""
    for plugin in plugins:
        if plugin.source.entry_point == ASKED and plugin.availability.state is State.BROKEN:
            error = UserError(f"-p {plugin.source.module}: it cannot be loaded: {plugin.availability.reason}")
            error.add_note(plugin.traceback or "")
            raise error


def check_required(switches: Switches, plugins: Sequence[Plugin]) -> None:
    """Refuse to go on without what `plugin_require` names, installed and loaded."""
    for requirement in switches.require:
        found = check_requirement(requirement)
        if not found.ok:
            raise UserError(f"plugin_require: {found}")
        for plugin in plugins:
            if matches(distribution_of(requirement), plugin.source) and not plugin.availability.ok:
                raise UserError(f"plugin_require: {plugin.source.qualified}: {plugin.availability}")


def check_names(switches: Switches, plugins: Sequence[Plugin]) -> None:
    """Refuse names of which there is nothing. Components of plugins that are not loaded cannot be known, and pass."""
    sources = [plugin.source for plugin in plugins]
    known = {source.distribution for source in sources} | {source.qualified for source in sources}
    components = {component.key for plugin in plugins for component in plugin.components}
    unseen = any(not plugin.availability.ok for plugin in plugins)

    def is_plugin(name: str) -> bool:
        return any(matches(name, source) for source in sources)

    def is_component(name: str) -> bool:
        return name in components or (unseen and "." in name)

    def refuse(switch: str, what: str, name: str, candidates: Collection[str]) -> UserError:
        return UserError(f"{switch}: there is no {what} '{name}'; {did_you_mean(name, sorted(candidates))}")

    for name in switches.allow or ():
        if not is_plugin(name):
            raise refuse("NEOX_PLUGINS", "plugin", name, known)
    for name, switch in switches.disable.items():
        if not is_plugin(name) and not is_component(name):
            raise refuse(switch, "plugin or component", name, known | components)
    for component, distribution in switches.prefer.items():
        if not is_component(component):
            raise refuse("plugin_prefer", "component", component, components)
        if not is_plugin(distribution):
            raise refuse(f"plugin_prefer: {component}", "plugin", distribution, known)
