"""Checking what was asked of the plugins as a whole: a switch that names nothing would otherwise do nothing, in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from neox_core.errors import Problem, SettingsError, UserError, nearest
from neox_core.plugins.discovery import ASKED, Plugin, matches
from neox_core.plugins.requirements import check_requirement, distribution_of
from neox_core.plugins.states import State
from neox_core.plugins.switches import Switches


def check_switches(switches: Switches, plugins: Sequence[Plugin]) -> None:
    """Whether all that the switches name is there.

    Raises:
        UserError: a plugin that `-p` names cannot be loaded.
        SettingsError: names that mean no plugin and no component, and requirements that are not met. The key of each problem is the
            switch: a key of the settings, whose place whoever read them knows, a variable, or a word of the command line.
    """
    check_asked(plugins)
    if problems := [*required_problems(switches, plugins), *name_problems(switches, plugins)]:
        raise SettingsError(problems)


def check_asked(plugins: Sequence[Plugin]) -> None:
    """Refuse a plugin that `-p` names and that cannot be loaded."""
    for plugin in plugins:
        if plugin.source.entry_point == ASKED and plugin.availability.state is State.BROKEN:
            error = UserError(f"-p {plugin.source.module}: it cannot be loaded: {plugin.availability.reason}")
            error.add_note(plugin.traceback or "")
            raise error


def required_problems(switches: Switches, plugins: Sequence[Plugin]) -> Iterator[Problem]:
    """A problem for everything that `plugin_require` names and that is not installed and loaded."""
    for requirement in switches.require:
        found = check_requirement(requirement)
        if not found.ok:
            yield Problem(keys=("plugin_require",), message=str(found))
            continue
        for plugin in plugins:
            if matches(distribution_of(requirement), plugin.source) and not plugin.availability.ok:
                message = f"{plugin.source.qualified}: {plugin.availability}"
                yield Problem(keys=("plugin_require",), message=message)


def name_problems(switches: Switches, plugins: Sequence[Plugin]) -> Iterator[Problem]:
    """A problem for each name of which there is nothing. Components of plugins that are not loaded cannot be known, and pass."""
    sources = [plugin.source for plugin in plugins]
    known = {source.distribution for source in sources} | {source.qualified for source in sources}
    components = {component.key for plugin in plugins for component in plugin.components}
    unseen = any(not plugin.availability.ok for plugin in plugins)

    def is_plugin(name: str) -> bool:
        return any(matches(name, source) for source in sources)

    def is_component(name: str) -> bool:
        return name in components or (unseen and "." in name)

    for name in switches.allow or ():
        if not is_plugin(name):
            yield _unknown("NEOX_PLUGINS", "plugin", name, known)
    for name, switch in switches.disable.items():
        if not is_plugin(name) and not is_component(name):
            yield _unknown(switch, "plugin or component", name, known | components)
    for component, distribution in switches.prefer.items():
        if not is_component(component):
            yield _unknown("plugin_prefer", "component", component, components, path=component)
        elif not is_plugin(distribution):
            problem = _unknown("plugin_prefer", "plugin", distribution, known, path=component)
            yield problem._replace(message=f"{component}: {problem.message}")


def _unknown(switch: str, what: str, name: str, candidates: Collection[str], path: str | None = None) -> Problem:
    close = nearest(name, sorted(candidates))
    remedy = f"did you mean '{close}'?" if close else "without it, `neox plugins` lists what there is"
    return Problem(keys=(switch,), message=f"there is no {what} '{name}'", remedy=remedy, path=path)
