"""Finding plugins: the installed ones, in any order, and those that the command line names."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys

import pytest
from plugin_distributions import neox

from neox_core.errors import UserError
from neox_core.plugins import State

FILE_PLUGIN = """
from neox_core.plugins import Activation

def neox_components():
    return [Activation(name="cube", summary="x^3", factory="{module}:cube")]

def cube():
    return lambda x: x**3
"""


def plugin_named(manager, qualified):
    return next(plugin for plugin in manager.plugins if plugin.source.qualified == qualified)


def test_first_party_plugins_are_installed_like_any_other(manager):
    ours = [plugin.source.qualified for plugin in manager().plugins]
    assert "neox-toolkit:attention" in ours
    assert ours == sorted(ours)


def test_an_installed_distribution_appears_with_all_that_it_declares(with_acme, manager):
    plugins = manager()
    acme = plugin_named(plugins, "acme-neox:acme")
    assert str(acme.source) == "acme-neox 1.2.0"
    assert acme.source.file.endswith("acme_neox/plugin.py")
    assert acme.availability.state is State.OK
    kinds = {component.kind for component in acme.components}
    assert kinds == set(plugins.kinds())
    assert len(acme.components) == len(kinds)
    assert acme.settings == ("acme_neox.settings:TraceSettings",)
    assert [command.name for command in acme.commands] == ["acme"]
    assert acme.hooks == (
        "neox_before_launch",
        "neox_check",
        "neox_checkpoint_saved",
        "neox_commands",
        "neox_components",
        "neox_settings",
        "neox_step_end",
        "neox_targets",
        "neox_train_end",
        "neox_train_start",
    )


def test_everything_can_be_found_under_its_name(with_acme, manager):
    plugins = manager()
    for offer in plugins.offers():
        if offer.source.distribution == "acme-neox":
            assert plugins.find(offer.component.kind, offer.component.name) == offer
            assert plugins.find(offer.component.kind, offer.qualified.upper()) == offer


def test_the_order_of_installation_changes_nothing(with_acme, with_faulty, manager, monkeypatch):
    expected = manager()
    monkeypatch.setattr(sys, "path", sys.path[::-1])
    importlib.invalidate_caches()
    names = [point.name for point in importlib.metadata.entry_points(group="neox.v1")]
    assert names.index("attention") < names.index("unusable")  # before our plugins now, which come last otherwise
    found = manager()
    assert [plugin.source for plugin in found.plugins] == [plugin.source for plugin in expected.plugins]
    assert found.offers() == expected.offers()
    assert found.commands() == expected.commands()
    assert found.settings() == expected.settings()
    assert found.manifest() == expected.manifest()


def test_two_distributions_may_name_their_plugins_alike(with_acme, with_faulty, manager):
    found = [plugin.source.distribution for plugin in manager().plugins if plugin.source.entry_point == "acme"]
    assert found == ["acme-neox", "rival_neox"]


def test_the_manifest_lists_what_is_in_use_and_nothing_else(with_acme, with_faulty, manager):
    manifest = manager(disable={"rival_neox": "-p no:rival_neox"}).manifest()
    assert {"distribution": "acme-neox", "version": "1.2.0", "plugin": "acme"} in manifest
    assert not [entry for entry in manifest if entry["distribution"] in ("rival_neox", "future-neox")]
    broken = [entry["plugin"] for entry in manifest if entry["distribution"] == "broken-neox"]
    assert broken == ["settings", "unusable"]


def test_a_file_is_a_plugin_named_by_its_stem(tmp_path, manager, monkeypatch):
    file = tmp_path / "cubic_activation.py"
    file.write_text(FILE_PLUGIN.format(module=file.stem))
    plugins = manager(modules=(str(file),))
    assert plugins.make("activation", "cube")(3) == 27
    assert plugins.find("activation", "cubic_activation/cube").source.file == str(file)
    assert plugins.manifest()[-1] == {"distribution": "cubic_activation", "version": "", "plugin": "-p"}


def test_a_file_is_imported_once_for_all_managers(tmp_path, manager):
    file = tmp_path / "counted_plugin.py"
    file.write_text(
        "from pathlib import Path\nwith open(Path(__file__).with_suffix('.txt'), 'a') as f:\n    f.write('x')\n"
    )
    manager(modules=(str(file),))
    manager(modules=(str(file), str(file)))
    assert file.with_suffix(".txt").read_text() == "x"


def test_a_file_may_not_take_the_name_of_another_module(tmp_path, manager):
    file = tmp_path / "json.py"
    file.write_text("")
    with pytest.raises(UserError, match=r"there is another module 'json'; rename the file"):
        manager(modules=(str(file),))


def test_a_file_may_be_importable_already(tmp_path, manager, monkeypatch):
    file = tmp_path / "importable_plugin.py"
    file.write_text(FILE_PLUGIN.format(module=file.stem))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert manager(modules=(str(file),)).make("activation", "cube")(2) == 8


def test_a_module_can_be_named_where_all_installed_ones_are_off(with_acme, manager):
    plugins = manager(allow=(), modules=("acme_neox.plugin",))
    assert plugins.names("attention") == ["ema"]


def test_naming_a_module_that_is_loaded_already_changes_nothing(with_acme, manager):
    assert manager(modules=("acme_neox.plugin",)).manifest() == manager().manifest()


@pytest.mark.parametrize(
    ("module", "content", "reason"),
    [
        ("absent.py", None, "ImportError: there is no file"),
        ("no_such_module_at_all", None, "No module named 'no_such_module_at_all'"),
        ("raising_plugin.py", "1 / 0", "ZeroDivisionError: division by zero"),
        ("typo_plugin.py", "def neox_componets(): pass", "no hook 'neox_componets'; did you mean 'neox_components'"),
    ],
)
def test_a_plugin_that_was_asked_for_must_load(tmp_path, manager, module, content, reason):
    name = str(tmp_path / module) if module.endswith(".py") else module
    if content is not None:
        (tmp_path / module).write_text(content)
    with pytest.raises(UserError) as caught:
        manager(modules=(name,))
    assert str(caught.value).startswith(f"-p {name}: it cannot be loaded: ")
    assert reason in str(caught.value)


def test_a_verb_of_a_plugin_runs_with_the_plugins(installed, tmp_path):
    done = neox("acme", cwd=tmp_path, path=[installed.acme])
    assert done.returncode == 0
    assert "moe 2\n" in done.stdout


def test_a_file_named_on_the_command_line_adds_its_verb(tmp_path):
    (tmp_path / "hello_plugin.py").write_text(
        "def neox_commands(commands):\n    commands.add('hello', 'hello_plugin:main', help='greet')\n"
        "def main(argv, context):\n    print('hello', *argv)\n    return 3\n"
    )
    done = neox("-p", "hello_plugin.py", "hello", "world", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "hello world\n")
