"""Which plugins take part in a verb."""

from __future__ import annotations

from neox_core.cli.choice import chosen_plugins
from neox_core.config import Entry
from neox_core.errors import Origin
from neox_core.plugins import CommandContext, Switches

HERE = Origin(source="here")


def test_plugins_are_looked_for_once_where_the_settings_choose_none():
    context = CommandContext(Switches())
    assert chosen_plugins({"seed": Entry("seed", 1, HERE)}, context) is context.plugins


def test_what_the_settings_switch_off_takes_no_part():
    context = CommandContext(Switches())
    off = Entry("plugin_disable", ["neox-toolkit:launchers"], HERE)
    plugins = chosen_plugins({off.key: off}, context)
    assert {offer.component.kind for offer in context.plugins.offers()} > {
        offer.component.kind for offer in plugins.offers()
    }
