"""Whether a component can be used here: requirements from metadata first, then its probe; each state with its remedy."""

from __future__ import annotations

import sys

import pytest

from neox_core.plugins import Attention, Availability, ComponentError, State, requirements

REMEDY = "pip install 'broken-neox[{}]'"
EXPECTED = {
    "needs_missing": (State.MISSING, "there-is-no-such-package>=2 is not installed", REMEDY.format("missing")),
    "needs_newer": (State.INCOMPATIBLE, "pluggy>=999 is needed, pluggy ", REMEDY.format("outdated")),
    "needs_nothing": (State.BROKEN, "broken-neox has no requirement group 'typo'", None),
    "probe_says_no": (State.INCOMPATIBLE, "it needs a quantum computer", None),
    "probe_raises": (State.INCOMPATIBLE, "OSError: libquantum.so: cannot open shared object file", None),
}


@pytest.fixture
def plugins(with_faulty, manager):
    return manager()


def availability(plugins, name, **how) -> Availability:
    offer = next(offer for offer in plugins.offers("attention") if offer.component.name == name)
    return plugins.availability(offer, **how)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_state_has_its_reason_and_remedy(plugins, name):
    state, reason, remedy = EXPECTED[name]
    found = availability(plugins, name, probe=True)
    assert (found.state, found.remedy) == (state, remedy)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize("name", EXPECTED)
def test_asking_for_it_says_the_same(plugins, name):
    state, reason, remedy = EXPECTED[name]
    with pytest.raises(ComponentError) as caught:
        plugins.find("attention", name)
    assert str(caught.value).startswith(f"attention '{name}' of broken-neox 0.3: {state}: {reason}")
    assert remedy is None or f"; {remedy}; " in str(caught.value)
    assert "; or choose another one: " in str(caught.value)


def test_requirements_are_checked_before_anything_is_imported(plugins):
    assert availability(plugins, "needs_missing", probe=True).state is State.MISSING
    assert "broken_neox.heavy" not in sys.modules
    with pytest.raises(RuntimeError, match="was imported"):  # as it would have been by its probe
        import broken_neox.heavy  # noqa: F401


def test_probes_run_only_when_asked_for(plugins):
    assert availability(plugins, "probe_says_no").ok
    assert availability(plugins, "probe_raises").ok


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_factory", "broken_neox.unusable:nothing: AttributeError: module 'broken_neox.unusable' has no attribute"),
        ("no_module", "broken_neox.nothing:build: ModuleNotFoundError: No module named 'broken_neox.nothing'"),
    ],
)
def test_a_factory_that_is_not_there_is_broken_when_it_is_used(plugins, name, reason):
    assert availability(plugins, name, probe=True).ok
    with pytest.raises(ComponentError) as caught:
        plugins.make("attention", name)
    assert str(caught.value).startswith(f"attention '{name}' of broken-neox 0.3 is broken: {reason}")
    assert caught.value.__cause__ is not None


def test_an_extra_that_is_installed_is_no_obstacle(with_acme, manager):
    assert manager().find("logger", "csv").component.extra == "csv"


def test_a_requirement_may_have_extras_of_its_own(with_faulty):
    assert requirements.check_requirement("broken-neox").ok
    assert requirements.check_requirement("broken-neox[missing]").state is State.MISSING


def test_an_extra_of_what_is_not_a_distribution_is_broken(tmp_path, manager):
    file = tmp_path / "extra_in_a_file.py"
    file.write_text(
        "from neox_core.plugins import Attention\n"
        "def neox_components():\n"
        "    return [Attention(name='x', summary='s', factory='a:b', extra='gpu')]\n"
    )
    found = availability(manager(modules=(str(file),)), "x")
    assert found.state is State.BROKEN
    assert found.reason == "it names the extra 'gpu' but is not an installed distribution"


def test_what_can_be_used_has_no_reason(manager):
    plugins = manager()
    found = plugins.availability(plugins.find("attention", "global"), probe=True)
    assert found == Availability()
    assert str(found) == "ok"


def test_our_own_extras_exist():
    import importlib.metadata

    from neox_core.plugins import PluginManager, Switches

    declared = importlib.metadata.metadata("neox-toolkit").get_all("Provides-Extra")
    for offer in PluginManager(Switches(allow=("neox-toolkit",))).offers():
        assert offer.component.extra is None or offer.component.extra in declared
        assert isinstance(offer.component, Attention) or offer.component.kind != "attention"
