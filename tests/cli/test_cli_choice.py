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


def test_a_switch_of_a_file_that_names_nothing_has_its_place(neox):
    neox.write("off.yml", "# ours\nplugin_disable: [foo]\nplugin_prefer:\n  norm.x: neox-toolkit\n")
    assert neox("config", "check", "tiny.yml", "off.yml").err == (
        "error: off.yml:2: plugin_disable: there is no plugin or component 'foo'\n"
        "  2 | plugin_disable: [foo]\n"
        "    | ^^^^^^^^^^^^^^\n"
        "  without it, `neox plugins` lists what there is\n"
        "error: off.yml:4: plugin_prefer: there is no component 'norm.x'\n"
        "  4 | norm.x: neox-toolkit\n"
        "    | ^^^^^^\n"
        "  without it, `neox plugins` lists what there is\n"
        "2 problems\n"
    )
    done = neox("config", "check", "tiny.yml", "plugin_disable=[neox-toolkit:logers]")
    assert "error: command line (plugin_disable=[neox-toolkit:logers]): plugin_disable: there is no plugin" in done.err
    assert "did you mean 'neox-toolkit:loggers'?" in done.err
