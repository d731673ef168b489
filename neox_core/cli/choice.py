"""Which plugins take part in a verb: what the environment, the command line and the settings choose."""

from __future__ import annotations

from collections.abc import Mapping

from neox_core.config import Entry
from neox_core.config.entries import plugins_for
from neox_core.plugins import CommandContext, PluginManager


def chosen_plugins(entries: Mapping[str, Entry], context: CommandContext) -> PluginManager:
    """The plugins of the context, or others where these keys choose them; see `plugins_for`."""
    return plugins_for(entries, context.switches, context.plugins)
