"""The plugin system: what plugins declare, how they are found, and the manager that holds them.

Everything that a plugin's own module needs comes from here; importing it costs no torch, numpy or pydantic.
"""

from neox_core.plugins.commands import Command, CommandContext, CommandMain, Commands
from neox_core.plugins.components import (
    Activation,
    Attention,
    Component,
    Converter,
    Feature,
    Launcher,
    Logger,
    MoE,
    Norm,
    Objective,
    Optimizer,
    Position,
    Schedule,
)
from neox_core.plugins.discovery import API, Plugin, describe, installed_plugins
from neox_core.plugins.hooks import NeoxHooks
from neox_core.plugins.manager import ComponentError, HookFailure, Offer, PluginManager
from neox_core.plugins.reference import resolve
from neox_core.plugins.states import Availability, Source, State
from neox_core.plugins.switches import Switches

__all__ = [
    "API",
    "Activation",
    "Attention",
    "Availability",
    "Command",
    "CommandContext",
    "CommandMain",
    "Commands",
    "Component",
    "ComponentError",
    "Converter",
    "Feature",
    "HookFailure",
    "Launcher",
    "Logger",
    "MoE",
    "NeoxHooks",
    "Norm",
    "Objective",
    "Offer",
    "Optimizer",
    "Plugin",
    "PluginManager",
    "Position",
    "Schedule",
    "Source",
    "State",
    "Switches",
    "describe",
    "installed_plugins",
    "resolve",
]
