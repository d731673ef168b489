"""neox works when it was installed, from any directory, with everything that belongs to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.slow

OF_METADATA = """
import json
from importlib.metadata import entry_points
print(json.dumps({point.name: point.value for point in entry_points(group="neox.v1")}))
"""

OF_MANAGER = """
from neox_core.plugins import PluginManager, Switches
plugins = PluginManager(Switches())
for plugin in plugins.plugins:
    assert plugin.availability.ok, plugin
for offer in plugins.offers():
    for reference in (offer.component.factory, *offer.component.settings):
        plugins.load(offer, reference)
    print(offer.component.key)
"""

OF_PRESETS = """
from neox_core.config.presets import find_config, preset_names
for name in preset_names():
    assert find_config(name).is_file()
    print(name)
"""


def test_the_command_works_from_another_directory(installation: Any, pyproject: dict[str, Any]) -> None:
    assert installation.run("neox", "--version").strip() == f"neox {pyproject['project']['version']}"
    assert installation.run("python", "-m", "neox_core", "--help") == installation.run("neox", "--help")


def test_installed_entry_points_are_those_of_the_project_file(installation: Any, pyproject: dict[str, Any]) -> None:
    installed = json.loads(installation.python(OF_METADATA))
    assert installed == pyproject["project"]["entry-points"]["neox.v1"]


def test_every_component_can_be_loaded(installation: Any) -> None:
    loaded = installation.python(OF_MANAGER).split()
    assert {"attention.global", "optimizer.adamw", "launcher.local", "logger.console", "objective.normal"} <= set(
        loaded
    )


def test_presets_are_found(installation: Any) -> None:
    assert "quickstart" in installation.python(OF_PRESETS).split()


def test_a_preset_can_be_named_where_there_is_no_data(installation: Any) -> None:
    told = installation.run("neox", "train", "quickstart", "--dry-run", expect=2)
    assert "quickstart.yml" in told
    assert "data/stdlib" in told
    assert "Traceback" not in told
    assert list(installation.elsewhere.iterdir()) == []


def test_without_plugins_there_is_still_a_command_line(installation: Any) -> None:
    told = installation.run("neox", "--help", NEOX_PLUGINS="off")
    verbs = {line.split()[0] for line in told.splitlines() if line.startswith("  ")}
    assert {"train", "plugins", "config", "doctor"} <= verbs
    assert not {"data", "generate"} & verbs
