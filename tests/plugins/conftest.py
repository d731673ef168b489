"""The sample distributions, installed once a session, and a way to have them on the path of this process."""

from __future__ import annotations

import sys

import pytest
from plugin_distributions import SWITCHES, Installed, install_all

from neox_core.plugins import PluginManager, Switches, requirements

PACKAGES = ("acme_neox", "broken_neox", "rival_neox", "rival_settings", "future_neox")


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Installed:
    return install_all(tmp_path_factory.mktemp("third_party"))


@pytest.fixture(autouse=True)
def no_switches(monkeypatch):
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clean_imports():
    """Forgets what a test has imported of the samples and found out about them."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]
    for function in (requirements.check_extra, requirements.check_requirement):
        function.cache_clear()


@pytest.fixture
def with_acme(installed, monkeypatch, clean_imports):
    monkeypatch.syspath_prepend(str(installed.acme))


@pytest.fixture
def with_faulty(installed, monkeypatch, clean_imports):
    monkeypatch.syspath_prepend(str(installed.faulty))


@pytest.fixture
def manager():
    """Makes a manager from switches."""

    def make(**switches) -> PluginManager:
        return PluginManager(Switches(**switches))

    return make
