"""The plugin system: what plugins declare, how they are found, and the manager that holds them.

Everything that a plugin's own module needs comes from here; importing it costs no torch, numpy or pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.plugins.commands import (
        Command as Command,
        CommandContext as CommandContext,
        CommandMain as CommandMain,
        Commands as Commands,
    )
    from neox_core.plugins.components import (
        Activation as Activation,
        Attention as Attention,
        Companion as Companion,
        Component as Component,
        Converter as Converter,
        Feature as Feature,
        HeadKind as HeadKind,
        Launcher as Launcher,
        Logger as Logger,
        MoE as MoE,
        Norm as Norm,
        Objective as Objective,
        Optimizer as Optimizer,
        Position as Position,
        Recipe as Recipe,
        Schedule as Schedule,
        StateShape as StateShape,
        Store as Store,
    )
    from neox_core.plugins.discovery import (
        API as API,
        Plugin as Plugin,
        describe as describe,
        installed_plugins as installed_plugins,
    )
    from neox_core.plugins.hooks import NeoxHooks as NeoxHooks
    from neox_core.plugins.manager import (
        ComponentError as ComponentError,
        HookFailure as HookFailure,
        Offer as Offer,
        PluginManager as PluginManager,
    )
    from neox_core.plugins.reference import resolve as resolve
    from neox_core.plugins.states import Availability as Availability, Source as Source, State as State
    from neox_core.plugins.switches import Switches as Switches

__getattr__ = lazy_names(
    __name__,
    {
        "commands": ("Command", "CommandContext", "CommandMain", "Commands"),
        "components": (
            "Activation",
            "Attention",
            "Companion",
            "Component",
            "Converter",
            "Feature",
            "HeadKind",
            "Launcher",
            "Logger",
            "MoE",
            "Norm",
            "Objective",
            "Optimizer",
            "Position",
            "Recipe",
            "Schedule",
            "StateShape",
            "Store",
        ),
        "discovery": ("API", "Plugin", "describe", "installed_plugins"),
        "hooks": ("NeoxHooks",),
        "manager": ("ComponentError", "HookFailure", "Offer", "PluginManager"),
        "reference": ("resolve",),
        "states": ("Availability", "Source", "State"),
        "switches": ("Switches",),
    },
)
