"""Which plugins take part in a verb: what the environment, the command line and the settings choose."""

from __future__ import annotations

from collections.abc import Mapping

from neox_core.config import Entry, switches_from
from neox_core.plugins import CommandContext, PluginManager


def chosen_plugins(entries: Mapping[str, Entry], context: CommandContext) -> PluginManager:
    """The plugins that the environment, the command line and these keys choose; those of the context where these say nothing.

    Raises:
        UserError: a switch has the wrong type, or names nothing.
    """
    switches = switches_from(entries, context.switches)
    return context.plugins if switches == context.switches else PluginManager(switches)
