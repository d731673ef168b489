"""Reading and changing values by path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, strategies as st

from neox_core.config.nodes import Config, NodeError, NoSuchParameter, NotSet, get_value, set_value, unset_value
from neox_core.config.nodes.steps import Step, parse, shown


@dataclass
class Model:
    hidden: int = 100
    walk: int = 0


@dataclass
class Trainer:
    model: Model
    layers: list[Model] = field(default_factory=list)
    pair: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict)
    steps: int = 5


def tree() -> Config[Trainer]:
    named = {"k": Config(Model, hidden=4), "a-b": [1], 7: 8}
    return Config(Trainer, Config(Model, hidden=1), [Config(Model, hidden=2)], (Config(Model, hidden=3), 9), named)


PLACES = {
    "model.hidden": 1,
    "layers[0].hidden": 2,
    "layers[-1].hidden": 2,
    "pair[0].hidden": 3,
    "named['k'].hidden": 4,
    'named["k"].hidden': 4,
    "named[k].hidden": 4,
    "named.k.hidden": 4,
    "named['a-b'][0]": 1,
    "named.a-b[0]": 1,
    "named[7]": 8,
    "model.walk": 0,
    "steps": 5,
}


@pytest.mark.parametrize(("path", "value"), PLACES.items())
def test_a_path_leads_to_a_value_which_can_be_set(path, value):
    node = tree()
    assert get_value(node, path) == value
    set_value(node, path, 77)
    assert get_value(node, path) == 77
    assert len(node.diff(tree()).splitlines()) == 2


def test_a_path_may_begin_in_a_container():
    assert get_value([tree()], "[0].model.hidden") == 1
    assert get_value({"a": tree()}, "a.model.hidden") == 1


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("layers[3]", NodeError, r"^layers\[3\]: there is 1 item$"),
        ("pair[2].hidden", NodeError, r"^pair\[2\]: there are 2 items$"),
        ("layers.hidden", NodeError, r"layers\.hidden: layers is a list; write layers\[0\]\.hidden"),
        ("steps.more", NodeError, r"steps\.more: steps is 5, which has no parts"),
        ("model.hiden", NoSuchParameter, r"model\.hiden: Model has no parameter 'hiden'; did you mean 'hidden'"),
        ("named.kk.x", NodeError, r"named\.kk: there is no such key"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(path, kind, message):
    node = tree()
    with pytest.raises(kind, match=message):
        get_value(node, path)
    if path != "layers[3]":
        with pytest.raises(kind, match=message):
            set_value(node, path, 1)
    assert node == tree()


def test_what_is_not_set_is_told_with_its_path():
    with pytest.raises(NotSet, match=r"trainer\.model: Trainer: 'model' is not set"):
        get_value(Config(dict, trainer=Config(Trainer)), "trainer.model")


@pytest.mark.parametrize("path", ["a..b", ".a", "a.", "a[", "a[]", "a]b", "a b", "a[0", "a['x]", "a[0]b"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(NodeError, match=r"is no path, from .*: write it like"):
        parse(path)


@pytest.mark.parametrize("change", [unset_value, lambda node, path: set_value(node, path, 1)])
def test_a_path_is_needed(change):
    with pytest.raises(NodeError, match="a path is needed"):
        change(tree(), "")


def test_an_index_behind_the_last_appends():
    node = tree()
    set_value(node, "layers[1]", Model(8))
    assert node.layers[1] == Config(Model, hidden=8)
    with pytest.raises(NodeError, match=r"layers\[3\]: there are 2 items"):
        set_value(node, "layers[3]", 1)
    with pytest.raises(NodeError, match=r"pair\[2\]: there are 2 items"):
        set_value(node, "pair[2]", 1)


def test_what_is_set_becomes_a_node_of_the_class_that_is_meant():
    node = tree()
    set_value(node, "layers[1]", Config(hidden=8))
    set_value(node, "model", Config(hidden=9))
    assert node.layers[1] == Config(Model, hidden=8)
    assert node.model == Config(Model, hidden=9)


def test_an_item_of_a_tuple_is_set_in_a_new_tuple():
    node = tree()
    before = node.pair
    set_value(node, "pair[-1]", 10)
    assert node.pair[1] == 10
    assert before[1] == 9
    assert node.pair[0] is before[0]


def test_a_new_key_of_a_mapping_can_be_set():
    node = tree()
    set_value(node, "named.new", 1)
    set_value(node, "named['c d']", 2)
    assert node.named["new"] == 1
    assert node.named["c d"] == 2


def test_what_is_taken_away_is_gone():
    node = tree()
    for path in ("model.hidden", "layers[0]", "pair[0]", "named.k"):
        unset_value(node, path)
    assert node.model.hidden == 100
    assert (node.layers, node.pair, node.named) == ([], (9,), {"a-b": [1], 7: 8})
    with pytest.raises(NotSet, match="steps: Trainer: 'steps' is not set"):
        unset_value(node, "steps")
    with pytest.raises(NoSuchParameter, match="did you mean 'steps'"):
        unset_value(node, "step")
    with pytest.raises(NodeError, match="there are 0 items"):
        unset_value(node, "layers[0]")


def test_arguments_without_a_name_are_items():
    def gather(*values):
        return values

    node = Config(gather, 1, Config(Model))
    set_value(node, "[1].hidden", 5)
    set_value(node, "[2]", 6)
    assert get_value(node, "[1]") == Config(Model, hidden=5)
    assert node.build() == (1, Model(5), 6)


KEYS = st.integers() | st.text(min_size=1)


@given(st.lists(st.builds(Step, KEYS, st.just(True)) | st.builds(Step, st.text(min_size=1).filter(str.isidentifier))))
def test_a_path_that_is_shown_is_read_as_the_same_steps(steps):
    assert list(parse(shown(steps))) == steps
