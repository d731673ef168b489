"""The plugins of one process, as a value that `main()` makes and hands down."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

from neox_core.errors import Problem, UserError, did_you_mean
from neox_core.plugins.commands import Command
from neox_core.plugins.components import Component
from neox_core.plugins.discovery import HookManager, Plugin, describe, disabled, discover, matches, verified_hooks
from neox_core.plugins.reference import resolve
from neox_core.plugins.requirements import check_extra
from neox_core.plugins.states import AVAILABLE, Availability, Source, State
from neox_core.plugins.switches import Switches
from neox_core.plugins.verification import check_switches

if TYPE_CHECKING:
    from neox_core.config import NeoXArgs, World


class ComponentError(UserError):
    """A component that was asked for cannot be had."""


class Offer(NamedTuple):
    """A component and the plugin that offers it."""

    component: Component
    source: Source

    @property
    def qualified(self) -> str:
        """`distribution/name`, which settings can use to choose between several offers of one name."""
        return f"{self.source.distribution}/{self.component.name}"


class HookFailure(NamedTuple):
    """A plugin's hook that raised."""

    plugin: str
    hook: str
    error: BaseException


class PluginManager:
    """Every plugin that was found, the components they offer, and the lifecycle hooks.

    Raises:
        UserError: a switch names nothing, or a plugin that was asked for cannot be had.
    """

    def __init__(self, switches: Switches | None = None) -> None:
        self.switches = Switches.from_environment(os.environ) if switches is None else switches
        self._hooks = HookManager()
        self._probes: dict[str, str | None] = {}
        self.plugins: tuple[Plugin, ...] = tuple(discover(self.switches, self._hooks))
        check_switches(self.switches, self.plugins)

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
            others = [other for other in self.names(kind) if other != offer.component.name]
            choice = f"; or choose another one: {', '.join(others)}" if others else ""
            raise ComponentError(f"{kind} '{name}' of {offer.source}: {availability}{choice}")
        return offer

    def names(self, kind: str) -> list[str]:
        """Names of a kind that are offered and not switched off, without repetition."""
        offers = (offer for offer in self.offers(kind) if not self._switched_off(offer))
        return list(dict.fromkeys(offer.component.name for offer in offers))

    def _choose(self, kind: str, name: str) -> Offer:
        distribution, _, plain = name.casefold().rpartition("/")
        wanted = distribution or self.switches.prefer.get(f"{kind}.{plain}")
        offers = [offer for offer in self.offers(kind) if offer.component.name == plain]
        if wanted:
            offers = [offer for offer in offers if matches(wanted, offer.source)]
        if not offers:
            raise ComponentError(self._unknown(kind, f"{wanted}/{plain}" if wanted else name))
        enabled = [offer for offer in offers if not self._switched_off(offer)] or offers[:1]
        if len(enabled) > 1:
            raise ComponentError(conflict_message(kind, plain, enabled))
        return enabled[0]

    def _unknown(self, kind: str, name: str) -> str:
        names = [*self.names(kind), *(offer.qualified for offer in self.offers(kind) if "/" in name)]
        message = f"there is no {kind} '{name}'; {did_you_mean(name, names)}"
        failed = [f"{plugin.source} ({plugin.availability.reason})" for plugin in self.failures()]
        if failed:
            message += f"; plugins that could not be loaded may offer it: {', '.join(failed)}"
        off = [plugin.source.qualified for plugin in self.plugins if plugin.availability.state is State.DISABLED]
        if off:
            message += f"; switched off: {', '.join(off)}"
        return message

    def availability(self, offer: Offer, *, probe: bool = False) -> Availability:
        """Whether an offer can be used: switches, other offers of the name, requirements and, if asked, its probe."""
        component = offer.component
        if switch := self._switched_off(offer):
            return disabled(component.key, switch)
        if component.extra is not None:
            found = check_extra(offer.source.distribution, component.extra)
            if not found.ok:
                return found
        reason = self._probed(component.probe) if probe and component.probe is not None else None
        return AVAILABLE if reason is None else Availability(State.INCOMPATIBLE, reason)

    def _probed(self, probe: str) -> str | None:
        """What a probe says of this machine; it is asked once."""
        if probe not in self._probes:
            try:
                self._probes[probe] = resolve(probe)()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a probe that fails means: not here
                self._probes[probe] = describe(error)
        return self._probes[probe]

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
        return self.switches.disable.get(offer.component.key)

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
        factory = self.load(offer, offer.component.factory)
        try:
            return factory(*args, **kwargs)
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise ComponentError(f"{kind} '{name}' of {offer.source} cannot be made: {describe(error)}") from error

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

    def targets(self) -> list[str]:
        """What plugins let configuration files name as `_target_`: dotted names of modules, classes and functions.

        Raises:
            UserError: a plugin's hook failed, or gives something else.
        """
        found: list[str] = []
        for plugin, names in self.call("neox_targets"):
            given = [names] if isinstance(names, str) else list(names)
            if isinstance(names, str) or not all(isinstance(name, str) for name in given):
                raise UserError(f"{plugin}: neox_targets() gives {names!r}, which is no list of dotted names")
            found += given
        return found

    # Hooks

    def register(self, instance: object, name: str) -> None:
        """Let an object take part in the lifecycle hooks (a selected logger, a monitor) under a name of its own.

        Raises:
            UserError: a method of it looks like a hook and is none, or takes what the hook does not give; or the name is taken.
        """
        if self._hooks.has_plugin(name):
            raise UserError(f"{name}: it is there already; name it once")
        try:
            verified_hooks(instance)
            self._hooks.register(instance, name=name)
        except (ValueError, pluggy.PluginValidationError) as error:
            raise UserError(f"{name}: {describe(error)}") from error

    def unregister(self, name: str) -> None:
        """End what `register` began."""
        self._hooks.unregister(name=name)

    def call(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Call a hook of each plugin in turn, by plugin name; yields (plugin, result).

        Raises:
            UserError: a plugin's hook failed; names the plugin.
        """
        for plugin, implementation in self._implementations(hook, arguments):
            try:
                result = implementation()
            except UserError:
                raise
            except (Exception, SystemExit) as error:
                raise UserError(
                    f"{plugin}: {hook} failed: {describe(error)}; do without it by -p no:{plugin}"
                ) from error
            yield plugin, result

    def check(self, args: NeoXArgs, world: World) -> list[Problem]:
        """What the plugins' `neox_check` find; one that fails is a problem too, as nobody knows what it would have found."""
        problems: list[Problem] = []
        for plugin, implementation in self._implementations("neox_check", {"args": args, "world": world}):
            try:
                problems += _problems(implementation())
            except (Exception, SystemExit) as error:  # noqa: BLE001 - reported with all other problems
                message = f"{plugin}: neox_check failed: {describe(error)}"
                problems.append(Problem(message=message, remedy=f"do without it by -p no:{plugin}"))
        return problems

    def notify(self, hook: str, **arguments: Any) -> list[HookFailure]:
        """Call a lifecycle hook; a plugin whose hook raises is taken out of the lifecycle and reported to the caller.

        Raises:
            UserError: a plugin's hook raised it, to end the run.
        """
        failures = []
        for plugin, implementation in self._implementations(hook, arguments):
            try:
                implementation()
            except UserError:
                raise
            except (Exception, SystemExit) as error:  # noqa: BLE001 - one logger's failure must not end a long run
                failures.append(HookFailure(plugin, hook, error))
                self._hooks.unregister(name=plugin)
        return failures

    def _implementations(self, hook: str, arguments: Mapping[str, Any]) -> list[tuple[str, Callable[[], Any]]]:
        """Each plugin's implementation of a hook with the arguments that it takes, by plugin name."""
        found = sorted(
            getattr(self._hooks.hook, hook).get_hookimpls(), key=lambda implementation: implementation.plugin_name
        )
        return [
            (one.plugin_name, partial(one.function, **{name: arguments[name] for name in one.argnames}))
            for one in found
        ]


def _problems(found: Any) -> list[Problem]:
    problems = list(found or ())
    for problem in problems:
        if not isinstance(problem, Problem):
            raise TypeError(f"it gives {problem!r}, which is not a Problem")
    return problems


def conflict_message(kind: str, name: str, offers: Iterable[Offer]) -> str:
    """Who offers the same name, and the ways to choose."""
    offers = list(offers)
    providers = " and ".join(f"{offer.source} ({offer.source.file or offer.source.module})" for offer in offers)
    choices = " or ".join(f"'{offer.qualified}'" for offer in offers)
    example = f"plugin_prefer: {{{kind}.{name}: {offers[0].source.distribution}}}"
    return f"{kind} '{name}' is offered by {providers}: write {choices}, or `{example}`, or disable one of them"
