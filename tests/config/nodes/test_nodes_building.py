"""Building: what nodes make."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import pytest

from neox_core.config.nodes import Config, NodeError, Partial, WrongArguments, build
from neox_core.config.nodes.parameters import Parameter, Parameters
from neox_core.errors import Origin


@dataclass
class Model:
    hidden: int = 100
    layers: list[Any] = field(default_factory=list)


@dataclass
class Trainer:
    model: Any
    spare: Any = None


class Recorder:
    def __init__(self, one, two=2, /, three=3, *rest, four=4, **others):
        self.given = (one, two, three, rest, four, others)


def fail(value):
    raise ValueError(f"no {value}")


def test_a_partial_makes_what_a_config_makes_when_it_is_called():
    arguments = {"model": Config(Model, hidden=3), "spare": [1]}
    partial = build(Partial(Trainer, **arguments))
    assert isinstance(partial, functools.partial)
    assert partial() == build(Config(Trainer, **arguments)) == Trainer(Model(3), [1])
    assert partial(spare=2).spare == 2


def test_a_nested_value_is_changed_before_it_is_built():
    node = Config(Trainer, model=Config(Model, hidden=16384))
    node.model.hidden *= 2
    assert node == Config(Trainer, model=Config(Model, hidden=32768))
    assert build(node).model.hidden == 32768


def test_a_target_that_cannot_be_hashed_is_called():
    class Adder:
        __hash__ = None

        def __call__(self, one, two=2):
            return one + two

    adder = Adder()
    assert build(Config(adder, 1)) == 3
    assert Config(adder, 1) == Config(adder, 1) != Config(Adder(), 1)


def test_a_shared_node_is_built_once():
    model = Config(Model)
    built = build(Config(Trainer, model=model, spare={"a": [model]}))
    assert built.model is built.spare["a"][0]


def test_equal_nodes_are_built_one_by_one():
    built = build(Config(Trainer, model=Config(Model), spare=Config(Model)))
    assert built.model is not built.spare


def test_a_shared_list_is_built_once_and_is_a_new_one():
    numbers = [1, Config(Model)]
    node = Config(Trainer, model=numbers, spare=numbers)
    built, again = build(node), build(node)
    assert built.model is built.spare
    assert built.model is not numbers
    assert built.model is not again.model
    built.model.append(3)
    assert len(numbers) == 2


def test_containers_keep_their_classes():
    from collections import OrderedDict, defaultdict

    made = build([(Config(Model),), OrderedDict(a=Config(Model)), defaultdict(list, a=Config(Model)), {1}])
    assert made == [(Model(),), OrderedDict(a=Model()), {"a": Model()}, {1}]
    assert made[2]["new"] == []


def test_building_does_not_change_the_tree():
    node = Config(Trainer, model=Config(Model), spare=[Config(Model)])
    before = node.clone()
    build(node)
    assert node == before
    assert repr(node) == repr(before)


def test_arguments_are_passed_as_the_target_takes_them():
    assert build(Config(Recorder, 1)).given == (1, 2, 3, (), 4, {})
    assert build(Config(Recorder, one=1, four=5, z=6)).given == (1, 2, 3, (), 5, {"z": 6})
    assert build(Config(Recorder, 1, 2, 3, 4, Config(Model))).given == (1, 2, 3, (4, Model()), 4, {})
    assert build(Config(Recorder, two=7, one=1)).given == (1, 7, 3, (), 4, {})
    assert build(Partial(Recorder, 1, 2, 3, 9))(four=0).given == (1, 2, 3, (9,), 0, {})


def test_a_value_by_position_needs_those_before_it():
    with pytest.raises(WrongArguments, match="'one' must be set, since what comes after it is"):
        build(Partial(Recorder, two=5))


def test_a_missing_argument_is_named_with_its_path_and_where_the_node_was_set():
    node = Config(dict, trainers=[Config(Trainer, 1)])
    node.trainers.append(Config(Trainer))
    with pytest.raises(
        WrongArguments, match=r"<root>\.trainers\[1\]: Trainer needs 'model', which is not set"
    ) as refused:
        build(node)
    assert __file__ in str(refused.value)
    assert build(Partial(Trainer)).keywords == {}, "a partial is not called yet"


def test_where_a_node_was_written_is_named_when_it_lacks_something():
    node = Config(dict, trainer=Config(Trainer))
    node._origins["trainer"] = Origin(source="run.yml", line=3)
    with pytest.raises(WrongArguments, match=r"\(run.yml:3\)$"):
        build(node)


def test_an_error_of_a_target_tells_which_node_it_was():
    node = Config(Trainer, model=Config(Model, layers=[1, Config(fail, "heads")]))
    with pytest.raises(ValueError, match="no heads") as refused:
        build(node)
    (note,) = refused.value.__notes__
    assert note.startswith(f"while building <root>.model.layers[1]: Config({__name__}.fail, value='heads') (")
    assert __file__ in note


@pytest.mark.parametrize("holder", [dict, list])
def test_what_holds_itself_is_refused(holder):
    node = Config(Trainer, model=Config(Model))
    node.model.layers = [node] if holder is list else {"a": node}
    with pytest.raises(NodeError, match=r"<root>\.model\.layers\[.*\] is <root> itself"):
        build(node)


def test_a_list_that_holds_itself_is_refused():
    numbers: list[Any] = [1]
    numbers.append(numbers)
    with pytest.raises(NodeError, match="itself"):
        build(Config(Trainer, model=numbers))


class Own:
    """A class that says what it takes and how it is built."""

    def __init__(self, values, origins):
        self.values, self.origins = values, origins

    @classmethod
    def __node_parameters__(cls):
        return Parameters({"size": Parameter("size", required=True), "depth": Parameter("depth", 2)})

    @classmethod
    def __build_node__(cls, arguments, origins):
        return cls(arguments, origins)


def test_a_class_says_itself_what_it_takes_and_how_it_is_built():
    node = Config(Own, size=Config(Model))
    assert node.depth == 2
    assert build(node).values == {"size": Model()}
    assert build(node).origins["size"].source == __file__
    assert build(Partial(Own, size=1))(depth=3).values == {"size": 1, "depth": 3}
    with pytest.raises(WrongArguments, match="'sise'; did you mean 'size'"):
        Config(Own, sise=1)
    with pytest.raises(WrongArguments, match="Own needs 'size'"):
        build(Config(Own))


def test_methods_of_classes_are_targets():
    class Base:
        @classmethod
        def make(cls, size=1):
            return cls.__name__, size

    class Derived(Base):
        pass

    assert build(Config(Derived.make, size=2)) == ("Derived", 2)
    assert Config(Derived.make) == Config(Derived.make)
    assert Config(Derived.make) != Config(Base.make)
