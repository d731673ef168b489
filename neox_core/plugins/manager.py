"""The plugins of one process, as a value that `main()` makes and hands down."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from neox_core.errors import UserError, did_you_mean
from neox_core.plugins.commands import Command
from neox_core.plugins.components import Component
from neox_core.plugins.discovery import HookManager, Plugin, describe, discover, matches
from neox_core.plugins.reference import resolve
from neox_core.plugins.requirements import check_extra, check_requirement
from neox_core.plugins.states import AVAILABLE, Availability, Source, State
from neox_core.plugins.switches import Switches, normalised


class ComponentError(UserError):
    """A component that was asked for cannot be had."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A component and the plugin that offers it."""

    component: Component
    source: Source

    @property
    def qualified(self) -> str:
        """`distribution/name`, which settings can use to choose between several offers of one name."""
        return f"{self.source.distribution}/{self.component.name}"


@dataclass(frozen=True, slots=True)
class HookFailure:
    """A plugin's hook that raised."""

    plugin: str
    hook: str
    error: Exception


class PluginManager:
    """Every plugin that was found, the components they offer, and the lifecycle hooks.

    Raises:
        UserError: a switch names nothing, or a required plugin is not installed.
    """

    def __init__(self, switches: Switches | None = None) -> None:
        self.switches = Switches.from_environment(os.environ) if switches is None else switches
        self._hooks = HookManager()
        self.plugins: tuple[Plugin, ...] = tuple(discover(self.switches, self._hooks))
        for requirement in self.switches.require:
            found = check_requirement(requirement)
            if not found.ok:
                raise UserError(f"plugin_require: {found.reason}; {found.remedy}")
        self._check_switches()

    # What there is

    def offers(self, kind: str | None = None) -> list[Offer]:
        """All offers of a kind (or of all kinds), by kind, name and distribution."""
        found = [
            Offer(component, plugin.source)
            for plugin in self.plugins
            for component in plugin.components
            if kind is None or component.kind == kind
        ]
        return sorted(found, key=lambda offer: (offer.component.key, offer.source.distribution))

    def kinds(self) -> list[str]:
        """Kinds of which there is at least one offer."""
        return sorted({offer.component.kind for offer in self.offers()})

    def settings(self) -> list[tuple[str, Source]]:
        """References to all settings groups that plugins own, each with its plugin."""
        found: dict[str, Source] = {}
        for plugin in self.plugins:
            references = [*plugin.settings, *(group for component in plugin.components for group in component.settings)]
            for reference in references:
                found.setdefault(reference, plugin.source)
        return list(found.items())

    def commands(self) -> list[Command]:
        """Verbs that plugins add, by name."""
        found = [command for plugin in self.plugins for command in plugin.commands]
        return sorted(found, key=lambda command: (command.name, command.source))

    def failures(self) -> list[Plugin]:
        """Plugins that could not be loaded."""
        return [plugin for plugin in self.plugins if plugin.availability.state in (State.BROKEN, State.INCOMPATIBLE)]

    # Choosing one

    def find(self, kind: str, name: str) -> Offer:
        """The offer that the settings mean by `name`, which may be qualified (`acme-neox/flash`); case does not matter.

        Raises:
            ComponentError: there is none, several, or it cannot run here; says why and what mends it.
        """
        offer = self._choose(kind, name)
        availability = self.availability(offer, probe=True)
        if not availability.ok:
            remedy = f"; {availability.remedy}" if availability.remedy else ""
            raise ComponentError(
                f"{kind} '{name}' of {offer.source}: {availability.state}: {availability.reason}{remedy}"
            )
        return offer

    def names(self, kind: str) -> list[str]:
        """Names of a kind that are offered, without repetition."""
        return list(dict.fromkeys(offer.component.name for offer in self.offers(kind)))

    def _choose(self, kind: str, name: str) -> Offer:
        distribution, _, plain = name.rpartition("/")
        offers = [offer for offer in self.offers(kind) if offer.component.name == plain.casefold()]
        if distribution:
            offers = [offer for offer in offers if normalised(offer.source.distribution) == normalised(distribution)]
        if not offers:
            raise ComponentError(self._unknown(kind, name))
        preferred = self.switches.prefer.get(f"{kind}.{plain.casefold()}")
        if preferred is not None:
            offers = [o for o in offers if normalised(o.source.distribution) == normalised(preferred)] or offers
        enabled = [offer for offer in offers if not self._switched_off(offer)] or offers
        if len(enabled) > 1:
            raise ComponentError(conflict_message(kind, plain, enabled))
        return enabled[0]

    def _unknown(self, kind: str, name: str) -> str:
        message = f"there is no {kind} '{name}'; {did_you_mean(name, self.names(kind))}"
        failed = [f"{plugin.source} ({plugin.availability.reason})" for plugin in self.failures()]
        if failed:
            message += f"; plugins that could not be loaded may offer it: {', '.join(failed)}"
        disabled = [
            str(plugin.source.qualified) for plugin in self.plugins if plugin.availability.state is State.DISABLED
        ]
        if disabled:
            message += f"; switched off: {', '.join(disabled)}"
        return message

    def availability(self, offer: Offer, *, probe: bool = False) -> Availability:
        """Whether an offer can be used: switches, other offers of the name, requirements and, if asked, its probe."""
        component = offer.component
        if switch := self._switched_off(offer):
            return Availability(State.DISABLED, f"switched off by '{switch}'", "remove that switch")
        if component.extra is not None:
            found = check_extra(offer.source.distribution, component.extra)
            if not found.ok:
                return found
        if probe and component.probe is not None:
            try:
                reason = resolve(component.probe)()
            except Exception as error:  # noqa: BLE001 - a probe that fails means: not here
                reason = describe(error)
            if reason is not None:
                return Availability(State.INCOMPATIBLE, reason)
        return AVAILABLE

    def conflicts(self, offer: Offer) -> list[Offer]:
        """Other enabled offers of the same kind and name that the settings do not rule out."""
        component = offer.component
        if component.key in self.switches.prefer or self._switched_off(offer):
            return []
        return [
            other
            for other in self.offers(component.kind)
            if other.component.name == component.name and other != offer and not self._switched_off(other)
        ]

    def _switched_off(self, offer: Offer) -> str | None:
        return next((switch for switch in self.switches.disable if switch == offer.component.key), None)

    def _check_switches(self) -> None:
        """Refuse switches that name nothing: a misspelt one would otherwise do nothing, in silence."""
        sources = [plugin.source for plugin in self.plugins]
        plugins = {source.distribution for source in sources} | {source.qualified for source in sources}
        components = {offer.component.key for offer in self.offers()}
        unseen = any(not plugin.availability.ok for plugin in self.plugins)  # whose components are not known
        asked = [(name, "NEOX_PLUGINS", False) for name in self.switches.allow or ()]
        asked += [(name, "disabled plugins", True) for name in self.switches.disable]
        asked += [(name, "plugin_prefer", True) for name in self.switches.prefer]
        for name, where, may_be_component in asked:
            component = may_be_component and (name in components or (unseen and "." in name))
            if not component and not any(matches(name, source) for source in sources):
                known = sorted(plugins | components if may_be_component else plugins)
                raise UserError(f"{where}: there is no plugin or component '{name}'; {did_you_mean(name, known)}")

    # Using it

    def load(self, offer: Offer, reference: str) -> Any:
        """What a reference of the offered component names.

        Raises:
            ComponentError: it cannot be imported; the component is broken.
        """
        try:
            return resolve(reference)
        except Exception as error:
            message = f"{offer.component.kind} '{offer.component.name}' of {offer.source} is broken: {reference}: "
            raise ComponentError(message + describe(error)) from error

    def make(self, kind: str, name: str, *args: Any, **kwargs: Any) -> Any:
        """Find a component and call its factory."""
        offer = self.find(kind, name)
        return self.load(offer, offer.component.factory)(*args, **kwargs)

    def manifest(self) -> list[dict[str, str]]:
        """The plugins in use, as plain data that every rank must agree on and every checkpoint stores."""
        return [
            {
                "distribution": plugin.source.distribution,
                "version": plugin.source.version,
                "plugin": plugin.source.entry_point,
            }
            for plugin in self.plugins
            if plugin.availability.ok
        ]

    # Hooks

    def register(self, instance: object, name: str) -> None:
        """Let an object take part in the lifecycle hooks (a selected logger, a monitor) under a name of its own."""
        self._hooks.register(instance, name=name)

    def unregister(self, name: str) -> None:
        """End what `register` began."""
        self._hooks.unregister(name=name)

    def call(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Call a hook of each plugin in turn, by plugin name; yields (plugin, result)."""
        for implementation in sorted(
            getattr(self._hooks.hook, hook).get_hookimpls(), key=lambda found: found.plugin_name
        ):
            wanted = {name: arguments[name] for name in implementation.argnames}
            yield implementation.plugin_name, implementation.function(**wanted)

    def notify(self, hook: str, **arguments: Any) -> list[HookFailure]:
        """Call a lifecycle hook; a plugin whose hook raises is taken out of the lifecycle and reported to the caller."""
        failures = []
        implementations = getattr(self._hooks.hook, hook).get_hookimpls()
        for implementation in sorted(implementations, key=lambda found: found.plugin_name):
            try:
                implementation.function(**{name: arguments[name] for name in implementation.argnames})
            except UserError:
                raise
            except Exception as error:  # noqa: BLE001 - one logger's failure must not end a long run
                failures.append(HookFailure(implementation.plugin_name, hook, error))
                self._hooks.unregister(name=implementation.plugin_name)
        return failures


def conflict_message(kind: str, name: str, offers: Iterable[Offer]) -> str:
    """Who offers the same name, and the ways to choose."""
    offers = list(offers)
    providers = " and ".join(f"{offer.source} ({offer.source.file or offer.source.module})" for offer in offers)
    choices = " or ".join(f"'{offer.qualified}'" for offer in offers)
    example = f"plugin_prefer: {{{kind}.{name}: {offers[0].source.distribution}}}"
    return f"{kind} '{name}' is offered by {providers}: write {choices}, or `{example}`, or disable one of them"
