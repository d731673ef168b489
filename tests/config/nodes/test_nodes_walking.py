"""Changing and selecting all nodes of a tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from neox_core.config.nodes import (
    Config,
    NoSuchParameter,
    Partial,
    WrongArguments,
    broadcast,
    build,
    nodes,
    select,
    walk,
)


@dataclass
class Model:
    hidden: int = 100
    seq: int = 10


@dataclass
class Wide(Model):
    width: int = 3


@dataclass
class Trainer:
    model: Any
    layers: list[Any] = field(default_factory=list)
    named: dict[str, Any] = field(default_factory=dict)
    hidden: int = 1


@dataclass
class Some:
    a: int
    b: Some | None = None


def needs(hidden: int, other: int = 0) -> int:
    return hidden


def tree() -> Config[Trainer]:
    return Config(Trainer, model=Config(Model), layers=[Config(Model), (Partial(Model),)], named={"m": Config(Wide)})


def test_broadcast_and_walk_do_what_the_documentation_shows():
    node = Config(Some, a=5, b=Config(a=10))
    node.broadcast(a=20)
    assert node == Config(Some, a=20, b=Config(Some, a=20))
    node.walk(a=lambda inner: inner.a * 2)
    assert node == Config(Some, a=40, b=Config(Some, a=40))


def test_broadcast_and_walk_return_the_node_that_they_changed():
    node = tree()
    assert node.broadcast(hidden=2) is node
    assert node.walk(hidden=lambda inner: inner.hidden) is node
    assert broadcast([node], hidden=1) == walk([node])


def test_broadcast_enters_lists_tuples_and_mappings():
    node = tree().broadcast(hidden=7)
    assert [inner.hidden for inner in nodes(node)] == [7] * 5


def test_every_node_is_walked_once_however_many_ways_lead_there():
    model = Config(Model)
    node = Config(Trainer, model=model, layers=[model, model], named={"m": Config(Trainer, model=model)})
    node.walk(hidden=lambda inner: inner.hidden * 2)
    assert model.hidden == 200


def test_several_names_are_exact_at_every_depth():
    node = Config(Trainer, model=Config(Trainer, model=Config(Trainer, model=Config(Model))))
    node.walk(hidden=lambda inner: inner.hidden * 2, seq=lambda inner: inner.seq + 1, layers=lambda inner: [])
    assert node.model.model.model == Config(Model, hidden=200, seq=11)
    assert node.model.model.hidden == node.model.hidden == node.hidden == 2


def test_functions_of_a_node_see_it_before_any_of_its_arguments_changes():
    node = Config(Model).walk(hidden=lambda inner: inner.seq, seq=lambda inner: inner.hidden)
    assert (node.hidden, node.seq) == (10, 100)


def test_a_node_that_is_broadcast_is_not_entered():
    node = Config(Trainer, model=Config(Trainer, model=1))
    node.broadcast(model=Config(Trainer, model=2))
    assert node.model == Config(Trainer, model=2)


def test_what_is_broadcast_is_shared():
    node = Config(dict, a=Config(Trainer, model=1), b=Config(Trainer, model=2)).broadcast(model=Model(5))
    assert node.a.model is node.b.model
    built = build(node)
    assert built["a"].model is built["b"].model


def test_nodes_that_lack_a_value_or_a_name_are_left_alone():
    node = Config(dict, a=Config(needs), b=Config(Trainer, 1), c=Config(unnamed=1)).broadcast(hidden=5, other=6)
    assert node == Config(dict, a=Config(needs, other=6), b=Config(Trainer, 1, hidden=5), c=Config(unnamed=1))


def test_an_unknown_name_changes_nothing_unless_it_is_strict():
    node = tree()
    assert node.broadcast(hiden=5).walk(hiden=lambda inner: 5) == tree()
    with pytest.raises(NoSuchParameter, match="no node has 'hiden'; did you mean 'hidden'"):
        node.broadcast(strict=True, hidden=9, hiden=5)
    with pytest.raises(NoSuchParameter, match="no node has 'hiden'"):
        node.walk(strict=True, hiden=lambda inner: 5)
    assert node == tree()
    assert node.broadcast(strict=True, width=5).named["m"].width == 5


@pytest.mark.parametrize("kind", [ValueError, AttributeError])
def test_an_error_of_a_function_tells_at_which_node(kind):
    def fail(node):
        raise kind("bad")

    with pytest.raises(kind, match="bad") as refused:
        Config(Trainer, model=1, layers=[Config(Model)]).walk(seq=fail)
    assert refused.value.__notes__ == ["in walk(seq=...) at <root>.layers[0]"]


def test_a_name_that_is_not_imported_yet_is_walked_as_if_it_were(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "walked_lazily.py").write_text(
        "from neox_core.config.nodes import OptionalDefaultConfig\nclass M:\n    def __init__(self, hidden=1): self.hidden = hidden\n"
        "class T:\n    def __init__(self, m: OptionalDefaultConfig[M] = None): self.m = m\n"
    )
    assert build(Config("walked_lazily.T").broadcast(hidden=5)).m.hidden == 5


def test_nodes_come_once_and_parents_first():
    node = tree()
    node.model = node.layers[0]
    found = list(nodes(node))
    assert found[0] is node
    assert len(found) == len({id(inner) for inner in found}) == 4
    assert list(nodes({"a": [node]})) == found


def test_a_node_that_holds_itself_is_walked_once():
    node = Config(Trainer, model=1)
    node.model = [node]
    node.walk(hidden=lambda inner: inner.hidden + 1)
    assert node.hidden == 2


def test_walk_says_that_values_are_for_broadcast():
    node = tree()
    with pytest.raises(WrongArguments, match=r"walk\(hidden=3\): that is no function of a node; broadcast sets values"):
        node.walk(hidden=3)


def test_nodes_are_selected_by_class_and_subclass():
    node = tree()
    assert select(node, Model).get("hidden") == [100] * 4
    assert select(node, Wide).set(hidden=5, width=6).get("width") == [6]
    assert select(node, Model).get("hidden") == [100, 100, 100, 5]
    assert len(select(node, int)) == 0


def test_nodes_are_selected_by_function_or_name():
    node = [Config(needs, 1), Config(Model), Partial(needs, 2), Config(a=1)]
    assert select(node, needs).get("hidden") == [1, 2]
    assert list(select(node, needs)) == [node[0], node[2]]
    assert select(Config("fractions.Fraction"), "numbers.Rational").get("numerator") == [0]
    with pytest.raises(NoSuchParameter, match="needs has no parameter 'seq'"):
        select(node, needs).set(seq=1)
