"""What a component may say of itself, and what is refused where it is written."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neox_core.plugins import Attention, Commands, Component, Feature, Optimizer, resolve


def test_a_descriptor_has_the_kind_of_its_class():
    component = Attention(name="ring", summary="ring attention", factory="acme.ring:build")
    assert component.kind == "attention"
    assert component.key == "attention.ring"
    assert component.supports == frozenset()


def test_descriptors_compare_and_hash_by_value():
    one, two = (Optimizer(name="lion", summary="s", factory="a:b") for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != Attention(name="lion", summary="s", factory="a:b")


def test_a_component_without_kind_is_refused():
    with pytest.raises(ValueError, match="use a subclass of Component"):
        Component(name="x", summary="s", factory="a:b")


@pytest.mark.parametrize("name", ["Ring", "ring attention", "", "-ring", "acme/ring", "ring:1", "ring\n"])
def test_names_that_users_could_not_write_are_refused(name):
    with pytest.raises(ValueError, match="is not lower-case letters"):
        Attention(name=name, summary="s", factory="a:b")


@pytest.mark.parametrize("field", ["factory", "params", "probe"])
@pytest.mark.parametrize("reference", ["acme.ring", "acme.ring:", ":build", "acme ring:build", "acme/ring:build"])
def test_malformed_references_are_refused(field, reference):
    with pytest.raises(ValueError, match="is not of the form 'module:attribute'"):
        Attention(**{"name": "ring", "summary": "s", "factory": "a:b", field: reference})


def test_one_settings_reference_without_its_tuple_is_refused():
    with pytest.raises(ValueError, match="is not of the form"):
        Attention(name="ring", summary="s", factory="a:b", settings="acme.settings:Ring")


def test_features_are_words():
    assert Feature("kv_cache") is Feature.KV_CACHE
    assert str(Feature.SLIDING_WINDOW) == "sliding_window"


@given(st.text(max_size=12))
def test_a_verb_is_one_word_or_refused(name):
    commands = Commands("acme-neox")
    try:
        commands.add(name, "acme.bench:main", help="h")
    except ValueError:
        assert list(commands) == []
    else:
        assert name
        assert not name.startswith("-")
        assert name.split() == [name]


def test_a_verb_needs_a_reference():
    with pytest.raises(ValueError, match=r"'acme\.bench\.main' is not of the form"):
        Commands("acme-neox").add("bench", "acme.bench.main", help="h")


def test_a_reference_may_have_a_dotted_attribute():
    assert resolve("pathlib:Path.home.__name__") == "home"
