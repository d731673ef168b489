"""Equality of trees, and how they differ."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from neox_core.config.nodes import Config, Partial, diff


@dataclass
class Model:
    hidden: Any = 100
    act: str = "gelu"


@dataclass
class Trainer:
    model: Any = field(default_factory=Model)
    layers: list[Any] = field(default_factory=list)
    lock: Any = None


class Act(StrEnum):
    GELU = "gelu"


def needs(size: int) -> int:
    return size


def test_what_is_not_given_equals_its_default():
    assert Config(Model) == Config(Model, hidden=100, act="gelu")
    assert Config(Trainer) == Config(Trainer, model=Model(), layers=[])
    assert Config(Trainer) != Config(Trainer, model=Model(hidden=1))
    assert Config(needs) != Config(needs, size=1)


def test_a_config_is_no_partial_and_targets_matter():
    assert Config(Model) != Partial(Model)
    assert Config(Model) != Config(Trainer)
    assert Config(Model, hidden=Config(Model)) != Config(Model, hidden=Partial(Model))
    assert Config(a=1) == Config(a=1) != Config(dict, a=1)
    assert Config(Model) != Model()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (0, False),
        (1, 1.0),
        ([1], (1,)),
        ("gelu", Act.GELU),
        ({1: 2}, {1: 3}),
        ([1, 2], [1]),
        (None, 0),
        (int, float),
        ({}, Config(dict)),
        (np.zeros(2), np.ones(2)),
        (np.zeros(2), np.zeros(3)),
        (threading.Lock(), threading.Lock()),
    ],
)
def test_values_of_another_kind_or_value_differ(one, other):
    assert Config(Model, hidden=one) != Config(Model, hidden=other)
    assert diff(Config(Model, hidden=one), Config(Model, hidden=other))


@pytest.mark.parametrize("value", [math.nan, [1, {"a": (2,)}], Act.GELU, int, {1, 2}])
def test_values_of_the_same_kind_that_are_equal_are(value):
    import copy

    assert Config(Model, hidden=value) == Config(Model, hidden=copy.deepcopy(value))


def test_arrays_are_compared_item_by_item():
    assert Config(Model, hidden=np.arange(3)) == Config(Model, hidden=np.arange(3))


def test_the_order_of_names_does_not_matter():
    assert Config(Model, hidden={"a": 1, "b": 2}, act="x") == Config(Model, act="x", hidden={"b": 2, "a": 1})


def test_sharing_matters():
    model = Config(Model)
    shared, apart = Config(Trainer, model=model, layers=[model]), Config(Trainer, Config(Model), [Config(Model)])
    assert shared != apart
    assert apart != shared
    assert diff(shared, apart) == f"- layers[0] = the node at model\n+ layers[0] = {Config(Model)!r}"
    assert diff(apart, shared) == f"- layers[0] = {Config(Model)!r}\n+ layers[0] = the node at model"


def test_the_same_nodes_must_be_shared():
    one, two = Config(Model), Config(Model)
    assert Config(dict, a=one, b=two, c=one) != Config(dict, a=one, b=two, c=two)
    assert Config(dict, a=one, b=two, c=one) == Config(dict, a=two, b=one, c=two)


def test_nodes_that_hold_themselves_are_compared():
    def ring(size: int) -> Config[Any]:
        node = Config(Model, act="x")
        node.hidden = [node, size]
        return node

    assert ring(1) == ring(1)
    assert ring(1) != ring(2)
    numbers: list[Any] = []
    numbers.append(numbers)
    others: list[Any] = []
    others.append(others)
    assert Config(Model, hidden=numbers) == Config(Model, hidden=others)


def test_a_difference_is_a_line_for_each_path():
    old = Config(Trainer, Config(Model, hidden=1), [1, {"a": 2}], lock="x")
    new = Config(Trainer, Config(Model, hidden=2, act="relu"), [1, {"a": 3, "b-c": 4}, 5], lock="x")
    assert old.diff(new).splitlines() == [
        "- model.hidden = 1",
        "+ model.hidden = 2",
        "- model.act = 'gelu'",
        "+ model.act = 'relu'",
        "- layers[1]['a'] = 2",
        "+ layers[1]['a'] = 3",
        "+ layers[1]['b-c'] = 4",
        "+ layers[2] = 5",
    ]
    assert diff(old, old.clone()) == ""


def test_another_target_is_told_with_the_arguments_that_differ():
    lines = diff(Config(Model, hidden=1), Partial(needs, size=1)).splitlines()
    assert lines == [f"- <root> = {Config(Model, hidden=1)!r}", f"+ <root> = {Partial(needs, size=1)!r}"]
    name = __name__
    assert diff(Config(Model, hidden=1), Config(needs, size=1)).splitlines() == [
        f"- <root> = Config({name}.Model)",
        f"+ <root> = Config({name}.needs)",
        "- hidden = 1",
        "+ size = 1",
    ]


def test_names_that_are_not_imported_are_compared_with_what_is():
    assert Config("fractions.Fraction") == Config("fractions.Fraction", numerator=0)
    assert Config("nowhere.Thing", a=1) == Config("nowhere.Thing", a=1)
    assert Config("nowhere.Thing", a=1) != Config("nowhere.Thing")
