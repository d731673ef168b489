"""Targets of pydantic's."""

from __future__ import annotations

import pydantic.dataclasses
import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from neox_core.config.nodes import Config, NotSet, Partial, WrongArguments, build


class Optimizer(BaseModel):
    lr: float = 0.1
    tags: list[str] = []


class Two(BaseModel):
    a: int
    b: str = "x"


class Settings(BaseModel):
    optimizer: Optimizer = Field(default_factory=Optimizer)
    other: Optimizer = Optimizer(lr=2)
    num_layers: int = Field(1, alias="num-layers")
    size: int = Field(1, validation_alias=AliasChoices("width", "size"))
    double: int = Field(default_factory=lambda data: 2 * data["size"])


class ByName(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="allow")
    num_layers: int = Field(1, alias="num-layers")


class Own(BaseModel):
    size: int = 1

    def __init__(self, width: int = 2, **data):
        super().__init__(size=width, **data)


@pydantic.dataclasses.dataclass
class Point:
    x: int
    rest: list[int] = Field(default_factory=list)
    long_name: int = Field(3, alias="long-name")


def test_a_default_of_a_model_is_changed_for_this_node_alone():
    node = Config(Settings)
    node.optimizer.lr = 3
    node.other.lr = 4
    node.other.tags.append("a")
    built = build(node)
    assert (built.optimizer.lr, built.other, Config(Settings).other.lr) == (3, Optimizer(lr=4, tags=["a"]), 2)
    assert Settings().other == Optimizer(lr=2)
    assert Settings().optimizer == Optimizer()


def test_a_list_that_is_a_default_is_changed_for_this_node_alone():
    node = Config(Optimizer)
    node.tags.append("a")
    assert build(node).tags == ["a"]
    assert Optimizer().tags == Config(Optimizer).tags == []


def test_fields_are_set_by_their_names_whatever_their_aliases():
    node = Config(Settings, num_layers=3)
    node.size = 5
    built = build(node)
    assert (built.num_layers, built.size, built.double) == (3, 5, 10)
    assert build(Partial(Settings, num_layers=3))() == build(Config(Settings, num_layers=3))
    with pytest.raises(WrongArguments, match="did you mean 'num_layers'"):
        Config(Settings, **{"num-layers": 3})


def test_models_that_take_names_or_any_name_get_them():
    assert build(Config(ByName, num_layers=3, more=4)).model_dump() == {"num_layers": 3, "more": 4}


def test_a_default_that_needs_other_fields_is_not_known_before():
    with pytest.raises(NotSet, match="'double' is not set"):
        _ = Config(Settings).double
    assert build(Config(Settings, double=7)).double == 7


def test_models_with_two_fields_are_as_any_other():
    assert build(Config(Two, a=1, b="y")) == Two(a=1, b="y")
    with pytest.raises(WrongArguments, match="Two needs 'a'"):
        build(Config(Two))


def test_models_take_no_values_without_a_name():
    with pytest.raises(WrongArguments, match="takes no arguments without a name, and 1 is given"):
        Config(Two, 1)


def test_a_model_with_an_init_of_its_own_takes_what_that_takes():
    assert build(Config(Own, 5)).size == build(Config(Own, width=5)).size == 5


def test_dataclasses_of_pydantic_are_targets_too():
    node = Config(Point, 1, long_name=4)
    node.rest.append(2)
    assert build(node) == Point(1, [2], **{"long-name": 4})
    assert Config(Point, 1).long_name == 3


@pytest.mark.parametrize(
    "instance",
    [Two(a=1), Settings(**{"num-layers": 3}), ByName(num_layers=2, more=[1]), Point(1, [2], **{"long-name": 4})],
)
def test_instances_become_nodes_which_make_the_same(instance):
    node = Config(dict, it=instance)
    assert isinstance(node.it, Config)
    assert build(node)["it"] == instance
    node.it = instance
    assert isinstance(node.it, Config)


def test_what_a_model_refuses_is_told_with_the_node():
    with pytest.raises(ValidationError, match="valid integer") as refused:
        build(Config(dict, models=[Config(Two, a="x")]))
    assert refused.value.__notes__[0].startswith("while building <root>.models[0]: Config(")
