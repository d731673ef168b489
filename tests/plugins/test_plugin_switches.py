"""Which plugins are let in, by environment, command line and settings; what is off is not imported."""

from __future__ import annotations

import json
import sys

import pytest
from plugin_distributions import neox
from plugin_runs import write_config, write_data

from neox_core.config import read_entries
from neox_core.config.entries import switches_from
from neox_core.errors import SettingsError, UserError
from neox_core.plugins import ComponentError, PluginManager, State, Switches


def states(plugins: PluginManager) -> dict[str, State]:
    return {plugin.source.qualified: plugin.availability.state for plugin in plugins.plugins}


def test_the_environment_allows_and_disables():
    assert Switches.from_environment({}) == Switches()
    assert Switches.from_environment({"NEOX_PLUGINS": ""}).allow is None
    assert Switches.from_environment({"NEOX_PLUGINS": "off"}).allow == ()
    assert Switches.from_environment({"NEOX_PLUGINS": "a, b:c,"}).allow == ("a", "b:c")
    assert Switches.from_environment({"NEOX_DISABLE_PLUGINS": "a,b"}).disable == {
        "a": "NEOX_DISABLE_PLUGINS",
        "b": "NEOX_DISABLE_PLUGINS",
    }


def test_all_sources_of_switches_add_up_and_survive_json():
    switches = Switches.from_environment({"NEOX_DISABLE_PLUGINS": "a"}).with_arguments(["no:b", "my_module", "my.py"])
    switches = switches.with_settings(disable=["c", "a"], prefer={"attention.x": "d"}, require=["e>=1"])
    assert switches.disable == {"c": "plugin_disable", "a": "NEOX_DISABLE_PLUGINS", "b": "-p no:b"}
    assert switches.modules == ("my_module", "my.py")
    assert Switches.from_dict(json.loads(json.dumps(switches.to_dict()))) == switches


def test_off_loads_nothing(with_acme, manager):
    plugins = PluginManager(Switches.from_environment({"NEOX_PLUGINS": "off"}))
    assert set(states(plugins).values()) == {State.DISABLED}
    assert plugins.offers() == plugins.commands() == plugins.settings() == plugins.manifest() == []
    assert not [name for name in sys.modules if name.startswith("acme_neox")]
    with pytest.raises(ComponentError, match=r"there is none; switched off: acme-neox:acme, neox-toolkit:attention"):
        plugins.find("attention", "global")


@pytest.mark.parametrize("name", ["acme-neox", "ACME_neox", "acme.neox:acme"])
def test_only_what_is_allowed_is_loaded(with_acme, manager, name):
    plugins = manager(allow=(name,))
    assert [plugin.source.distribution for plugin in plugins.plugins if plugin.availability.ok] == ["acme-neox"]
    ours = next(plugin for plugin in plugins.plugins if plugin.source.entry_point == "attention")
    assert ours.availability.reason == "not in NEOX_PLUGINS"


@pytest.mark.parametrize("name", ["acme-neox", "acme_neox", "acme-neox:acme"])
def test_what_is_disabled_is_not_imported(with_acme, manager, name):
    plugins = manager(disable={name: "plugin_disable"})
    assert states(plugins)["acme-neox:acme"] is State.DISABLED
    acme = next(plugin for plugin in plugins.plugins if plugin.source.distribution == "acme-neox")
    assert str(acme.availability) == f"disabled: switched off by plugin_disable; remove '{name}' there"
    assert not [name for name in sys.modules if name.startswith("acme_neox")]


def test_one_plugin_of_a_distribution_can_be_disabled(manager):
    plugins = manager(disable={"neox-toolkit:moe": "-p no:neox-toolkit:moe"})
    assert [name for name, state in states(plugins).items() if state is State.DISABLED] == ["neox-toolkit:moe"]


def test_one_component_can_be_disabled(with_acme, manager):
    plugins = manager(disable={"attention.ema": "-p no:attention.ema"})
    assert plugins.find("optimizer", "signum")
    with pytest.raises(
        ComponentError, match=r"disabled: switched off by -p no:attention.ema; remove 'attention.ema' there"
    ):
        plugins.find("attention", "ema")


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"allow": ("acme-neo",)}, r"^NEOX_PLUGINS: there is no plugin 'acme-neo' \(did you mean 'acme-neox'\?\)$"),
        ({"allow": ("attention.ema",)}, "^NEOX_PLUGINS: there is no plugin 'attention.ema'"),
        ({"disable": {"acme-neox:acne": "-p no:acme-neox:acne"}}, "^-p no:acme-neox:acne: .* 'acme-neox:acme'"),
        ({"disable": {"attention.em": "plugin_disable"}}, "^plugin_disable: .*did you mean 'attention.ema'"),
        ({"disable": {"": "-p no:"}}, "^-p no:: there is no plugin or component ''"),
        ({"prefer": {"attention.em": "acme-neox"}}, "^plugin_prefer: there is no component 'attention.em' .did you"),
        ({"prefer": {"acme-neox": "acme-neox"}}, "^plugin_prefer: there is no component 'acme-neox'"),
        ({"prefer": {"attention.ema": "acme"}}, "^plugin_prefer: attention.ema: there is no plugin 'acme' .did you"),
        ({"require": ("acme-neox>=2",)}, r"^plugin_require: incompatible: acme-neox>=2 is needed, acme-neox 1.2.0 is"),
        ({"require": ("acne-neox",)}, "^plugin_require: missing: acne-neox is not installed; pip install 'acne-neox'"),
        ({"require": ("acme neox",)}, "^plugin_require: broken: 'acme neox' is not a requirement: .* write it as for"),
    ],
)
def test_a_switch_that_names_nothing_is_an_error(with_acme, manager, switches, message):
    with pytest.raises(UserError, match=message):
        manager(**switches)


def test_all_switches_that_name_nothing_are_told_each_with_its_key(with_acme, manager):
    with pytest.raises(SettingsError) as refusal:
        manager(disable={"foo": "plugin_disable"}, prefer={"attention.ema": "bar"}, require=("baz",))
    problems = refusal.value.problems
    keys = ["plugin_require", "plugin_disable", "plugin_prefer"]
    assert [(problem.keys, problem.path) for problem in problems] == [
        ((key,), "attention.ema" if key == "plugin_prefer" else None) for key in keys
    ]
    assert problems[1].remedy == "without it, `neox plugins` lists what there is"


def test_components_of_what_is_not_loaded_may_be_named(with_acme, manager):
    assert manager(allow=("acme-neox",), disable={"attention.global": "plugin_disable"})


@pytest.mark.parametrize("requirement", ["acme-neox", "ACME.neox>=1.2,<2", "acme-neox[csv]"])
def test_what_is_required_and_there_is_no_error(with_acme, manager, requirement):
    assert manager(require=(requirement,))


def test_what_is_required_must_be_in_use_too(with_acme, with_faulty, manager):
    with pytest.raises(UserError, match=r"^plugin_require: acme-neox:acme: disabled: switched off by -p no:acme-neox"):
        manager(require=("acme-neox",), disable={"acme-neox": "-p no:acme-neox"})
    with pytest.raises(UserError, match=r"^plugin_require: broken-neox:argument: broken: "):
        manager(require=("broken-neox",))


def test_settings_hold_switches_too(tmp_path):
    file = tmp_path / "run.yml"
    file.write_text("plugin-disable: [a]\nplugin_prefer: {attention.x: b}\nplugin_require: ['c>=1']\n")
    switches = switches_from(read_entries([file]), Switches(disable={"d": "-p no:d"}))
    assert switches.disable == {"a": "plugin_disable", "d": "-p no:d"}
    assert switches.prefer == {"attention.x": "b"}
    assert switches.require == ("c>=1",)


@pytest.mark.parametrize(
    "line", ["plugin_disable: a", "plugin_disable: [1]", "plugin_prefer: [a]", "plugin_require: 3"]
)
def test_switches_of_the_wrong_type_are_refused_with_their_line(tmp_path, line):
    file = tmp_path / "run.yml"
    file.write_text(f"# a comment\n{line}\n")
    with pytest.raises(SettingsError, match=rf"run.yml:2: {line.partition(':')[0]}: .* is not "):
        switches_from(read_entries([file]), Switches())


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["-p", "no:acme-neox"], {}),
        ([], {"NEOX_DISABLE_PLUGINS": "acme-neox"}),
        ([], {"NEOX_PLUGINS": "neox-toolkit"}),
    ],
)
def test_the_command_line_obeys(installed, tmp_path, words, changes):
    done = neox(*words, "--help", cwd=tmp_path, path=[installed.acme], **changes)
    assert done.returncode == 0
    assert "count the components" not in done.stdout
    assert "make token files" in done.stdout
    assert "count the components" in neox("--help", cwd=tmp_path, path=[installed.acme]).stdout


@pytest.mark.parametrize(
    ("words", "changes", "beginning"),
    [
        (
            ["-p", "no:acme-neo"],
            {},
            "error: -p no:acme-neo: there is no plugin or component 'acme-neo'\n  did you mean",
        ),
        (["-p", "acme-neo"], {}, "error: -p acme-neo: it cannot be loaded: ModuleNotFoundError"),
        ([], {"NEOX_PLUGINS": "acme"}, "error: NEOX_PLUGINS: there is no plugin 'acme'\n  did you mean"),
        ([], {"NEOX_DISABLE_PLUGINS": "x"}, "error: NEOX_DISABLE_PLUGINS: there is no plugin or component 'x'\n  "),
    ],
)
def test_the_command_line_refuses_unknown_names(installed, tmp_path, words, changes, beginning):
    done = neox(*words, "--help", cwd=tmp_path, path=[installed.acme], **changes)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(beginning)
    assert done.stderr.count("\n") <= 2


@pytest.mark.parametrize("key", ["plugin_disable: [launcher.local]", "plugin_disable: ['neox-toolkit:launchers']"])
def test_settings_switch_plugins_off_before_they_are_used(tmp_path, key):
    write_data(tmp_path)
    write_config(tmp_path)
    (tmp_path / "more.yml").write_text(key + "\n")
    assert neox("train", "tiny.yml", "--dry-run", cwd=tmp_path).returncode == 0
    done = neox("train", "tiny.yml", "more.yml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert "error: launcher: " in done.stderr
    assert "switched off" in done.stderr
