"""A plugin that fails is recorded with its reason, harms no other, and is fatal only to who asks for it."""

from __future__ import annotations

import sys

import pytest
from plugin_distributions import neox

from neox_core.config import NeoXArgs
from neox_core.errors import SettingsError, UserError
from neox_core.plugins import ComponentError, State

REASONS = {
    "import_error": "ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
    "no_module": "ModuleNotFoundError: No module named 'broken_neox.no_such_module'",
    "exits": "SystemExit: this plugin wants to end neox",
    "typo": "ValueError: there is no hook 'neox_componets'; did you mean 'neox_components'?",
    "argument": "PluginValidationError",
    "not_a_component": "TypeError: neox_components() gives {'name': 'flash'}, which is not a Component",
    "same_name_twice": "ValueError: neox_components() gives attention.twice 2 times",
    "unusable_again": "ValueError: broken-neox:unusable is the same module",
    "malformed_reference": "ValueError: reference 'broken_neox.nothing' is not of the form 'module:attribute'",
}


@pytest.fixture
def plugins(with_acme, with_faulty, manager):
    return manager()


@pytest.mark.parametrize("entry_point", REASONS)
def test_each_failure_is_recorded_with_its_reason(plugins, entry_point):
    broken = next(p for p in plugins.plugins if p.source.qualified == f"broken-neox:{entry_point}")
    assert broken.availability.state is State.BROKEN
    assert REASONS[entry_point] in broken.availability.reason
    assert broken.availability.remedy == "mend or remove broken-neox"
    assert broken.traceback.startswith("Traceback")
    assert broken.components == broken.settings == broken.commands == ()


def test_the_unknown_argument_is_named(plugins):
    broken = next(p for p in plugins.failures() if p.source.entry_point == "argument")
    assert "stepp" in broken.availability.reason
    assert "neox_step_end" in broken.availability.reason


def test_a_failing_plugin_takes_part_in_no_hook(plugins):
    called = [name for name, _ in plugins.call("neox_components")]
    assert called == sorted(called)
    assert not {f"broken-neox:{name}" for name in REASONS} & set(called)


def test_the_others_are_all_there(plugins, manager):
    healthy = [plugin.source.qualified for plugin in plugins.plugins if plugin.availability.ok]
    assert {"acme-neox:acme", "neox-toolkit:attention", "broken-neox:unusable", "rival_neox:acme"} <= set(healthy)
    assert len(plugins.failures()) == len(REASONS) + 1


def test_a_plugin_for_another_version_of_the_api_is_not_imported(plugins):
    future = next(plugin for plugin in plugins.plugins if plugin.source.distribution == "future-neox")
    assert future.availability.state is State.INCOMPATIBLE
    assert future.availability.reason == "made for plugin API neox.v2, this is neox.v1"
    assert future.availability.remedy == "pip install --upgrade 'future-neox'"
    assert "future_neox" not in sys.modules


def test_a_component_that_is_not_there_may_be_in_what_failed(plugins):
    with pytest.raises(ComponentError) as caught:
        plugins.find("attention", "hyena")
    message = str(caught.value)
    assert message.startswith("there is no attention 'hyena'; ")
    assert "plugins that could not be loaded may offer it" in message
    assert "broken-neox 0.3 (ModuleNotFoundError: No module named 'a_module_that_nobody_has')" in message


def test_a_key_that_is_not_there_may_be_in_what_failed(plugins):
    with pytest.raises(SettingsError) as caught:
        NeoXArgs.from_dict({"flash_window": 3}, plugins=plugins)
    assert "broken-neox 0.3 could not be loaded: SystemExit" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (
            "broken_demand",
            "broken_neox.settings:Demanding of broken-neox 0.3 cannot be loaded: TypeError: broken_demand must",
        ),
        ("not_a_group", "broken_neox.settings:NotAGroup of broken-neox 0.3 cannot be loaded: TypeError: it is not a"),
        ("group", "broken_neox.import_error:Group of broken-neox 0.3 cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_settings_groups_that_fail_matter_only_to_who_sets_their_keys(plugins, key, reason):
    with pytest.raises(SettingsError) as caught:
        NeoXArgs.from_dict({key: 1}, plugins=plugins)
    assert reason in str(caught.value)


def test_a_default_that_its_own_type_refuses_is_found_when_all_types_are_validated(plugins):
    given = {"num_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "seq_length": 8, "max_position_embeddings": 8}
    args = NeoXArgs.from_dict(given, plugins=plugins)
    with pytest.raises(SettingsError) as caught:
        args.validate_types()
    expected = "broken_default: its default 0 is not a whole number > 0 (a defect of broken_neox.settings; set it)"
    assert str(caught.value) == expected
    args.broken_default = 1
    assert args.validate_types()


def test_settings_groups_that_fail_leave_the_others_alone(plugins):
    given = {"num_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "seq_length": 8, "train_iters": 1}
    args = NeoXArgs.from_dict({**given, "max_position_embeddings": 8, "acme_ema_heads": 4}, plugins=plugins)
    assert args.acme_ema_heads == 4


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["acme", "-p"]])
def test_the_command_line_stays_up(installed, tmp_path, words):
    done = neox("-p", "no:rival_neox", *words, cwd=tmp_path, path=[installed.acme, installed.faulty])
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_verb_may_be_in_what_failed(installed, tmp_path):
    done = neox("flash", cwd=tmp_path, path=[installed.faulty])
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no verb 'flash'; there is: ")
    assert "broken-neox 0.3 (ValueError: there is no hook 'neox_componets'" in done.stderr


def test_a_rule_that_fails_names_its_plugin(tmp_path, manager):
    file = tmp_path / "failing_rule.py"
    file.write_text("def neox_check(args):\n    yield from ()\n    raise KeyError('seq_length')\n")
    (problem,) = manager(modules=(str(file),), allow=()).check(None, None)
    assert (
        str(problem)
        == "failing_rule:-p: neox_check failed: KeyError: 'seq_length' (do without it by -p no:failing_rule:-p)"
    )


def test_a_rule_that_gives_no_problems_is_refused(tmp_path, manager):
    file = tmp_path / "wordy_rule.py"
    file.write_text("def neox_check(args):\n    return ['seq_length is odd']\n")
    (problem,) = manager(modules=(str(file),), allow=()).check(None, None)
    assert "gives 'seq_length is odd', which is not a Problem" in str(problem)


def test_a_failing_hook_before_the_launch_stops_it_under_its_name(tmp_path, manager):
    file = tmp_path / "failing_launch.py"
    file.write_text("def neox_before_launch(job):\n    raise OSError('no quota')\n")
    plugins = manager(modules=(str(file),))
    with pytest.raises(UserError, match="failing_launch:-p: neox_before_launch failed: OSError: no quota"):
        list(plugins.call("neox_before_launch", job=None, plan=None))
