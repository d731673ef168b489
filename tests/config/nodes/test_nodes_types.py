"""Holding arguments against annotations, and instances from plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from neox_core.config.nodes import (
    Config,
    OptionalDefaultConfig,
    OptionalDefaultPartial,
    Partial,
    from_dict,
    set_value,
    validate,
)
from neox_core.errors import Origin, SettingsError


class Color(Enum):
    RED = "red"


@dataclass
class Model:
    hidden: int = 100
    dropout: float = 0.1
    act: Literal["gelu", "relu"] = "gelu"


@dataclass
class Wide(Model):
    width: int = 1


class Settings(BaseModel):
    lr: Annotated[float, Field(gt=0)] = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    model: Model | None = None
    more: dict[str, list[Model]] = {}
    long_name: int = Field(1, alias="long-name")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    size: int = 1


@dataclass
class Trainer:
    model: Model
    layers: list[Model] = field(default_factory=list)
    settings: Settings | None = None
    make: Callable[..., Model] | None = None
    table: dict[str, int] = field(default_factory=dict)
    color: Color = Color.RED
    path: Path | None = None
    filled: OptionalDefaultConfig[Model] = None
    maker: OptionalDefaultPartial[Model] = None
    anything: Any = None
    unknown: Nowhere = None  # noqa: F821


def model(hidden: int) -> Model:
    return Model(hidden)


def untyped(a):
    return a


def problems(node: Any) -> dict[str, str]:
    with pytest.raises(SettingsError) as refused:
        validate(node)
    return {problem.keys[0]: problem.message for problem in refused.value.problems}


FITTING = [
    {"model": Config(Wide)},
    {"model": Config(model, 1), "layers": [Config(Model), Config(Wide)]},
    {"model": Config(Model, dropout=1), "make": Partial(Model), "anything": Config(Trainer, Config(Model))},
    {"model": Config(untyped, 1), "table": Config(dict, a=1), "color": Color.RED, "path": Path("a"), "unknown": 3},
    {"model": Model(), "settings": Config(Settings, lr="3", betas=[1, 2], more={"a": [Config(Model)]})},
    {"model": Config(Model), "filled": None, "maker": None},
]


@pytest.mark.parametrize("arguments", FITTING)
def test_what_fits_is_accepted(arguments):
    validate(Config(Trainer, **arguments))


@pytest.mark.parametrize(
    ("arguments", "path", "message"),
    [
        ({"model": Config(Model, hidden="x")}, "model.hidden", "'x' is not a whole number"),
        ({"model": Config(Model, hidden=1.5)}, "model.hidden", "1.5 is not a whole number"),
        ({"model": Config(Model, hidden=True)}, "model.hidden", "true is not a whole number"),
        ({"model": Config(Model, act="gelo")}, "model.act", "'gelo' is not one of gelu, relu"),
        ({"model": 3}, "model", "3 is not Model"),
        ({"model": Config(Path)}, "model", "Config(pathlib.Path) is not Model"),
        ({"model": Partial(Model)}, "model", "is not Model"),
        ({"model": Config(Model), "make": Config(Model)}, "make", "or null"),
        ({"model": Config(Model), "layers": [Config(Model), 3]}, "layers[1]", "3: input should be"),
        ({"model": Config(Model), "layers": [Config(Path)]}, "layers[0]", "Config(pathlib.Path): input should be"),
        ({"model": Config(Model), "table": {"a": "x"}}, "table['a']", "'x': input should be a valid integer"),
        ({"model": Config(Model), "settings": Config(Settings, lr=-1)}, "settings.lr", "-1 is not a number > 0"),
        ({"model": Config(Model), "settings": Config(Settings, betas=[1])}, "settings.betas", "is not 2 numbers"),
        ({}, "model", "is not set, and Trainer needs it"),
        ({"model": Config(Model), "anything": Config(a=1)}, "anything", "has no target"),
    ],
)
def test_what_does_not_fit_is_told_with_its_path(arguments, path, message):
    found = problems(Config(dict, t=Config(Trainer, **arguments)))
    assert message in found.pop(f"t.{path}")
    assert found == {}


def test_everything_is_told_at_once_and_where_it_was_written():
    node = Config(Trainer, model=Config(Model, hidden="x"), layers=[1, Config(Model, dropout=None)])
    set_value(node, "model.hidden", "y", Origin(source="run.yml", line=4))
    with pytest.raises(SettingsError) as refused:
        validate(node)
    told = str(refused.value).splitlines()
    assert told[-2] == "run.yml:4: model.hidden: 'y' is not a whole number"
    assert [line.split(": ")[1] for line in told] == ["layers[0]", "model.hidden", "layers[1].dropout"]


def test_arguments_of_a_name_are_held_against_it():
    assert "did you mean 'numerator'" in problems(Config("fractions.Fraction", numerater=1))["<root>"]


def test_partials_need_not_have_all_arguments():
    validate(Partial(Trainer))


# Instances from plain data


def test_an_instance_is_made_of_plain_data_with_all_that_it_holds():
    raw = {
        "model": {"hidden": 5},
        "layers": [{"act": "relu"}],
        "settings": {"long-name": 2, "more": {"a": [{"hidden": 6}]}},
        "path": "a/b",
        "color": "red",
    }
    assert from_dict(raw, Typed) == Typed(
        Model(5), [Model(act="relu")], Settings(**{"long-name": 2}, more={"a": [Model(6)]}), Path("a/b"), Color.RED
    )


@dataclass
class Typed:
    model: Model
    layers: list[Model] = field(default_factory=list)
    settings: Settings | None = None
    path: Path | None = None
    color: Color = Color.RED


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"modle": {}}, "modle: Typed has no 'modle'; did you mean 'model'?"),
        ({"model": {"hiden": 1}}, "model.hiden: Model has no 'hiden'; did you mean 'hidden'?"),
        ({"model": {}, "layers": [{}, {"hiden": 1}]}, "layers[1].hiden: Model has no 'hiden'; did you mean 'hidden'?"),
        (
            {"model": {}, "settings": {"more": {"a": [{"hiden": 1}]}}},
            "settings.more['a'][0].hiden: Model has no 'hiden'; did you mean 'hidden'?",
        ),
        ({}, "model: must be given"),
        ({"model": {"hidden": "x"}}, "model.hidden: 'x': input should be a valid integer"),
    ],
)
def test_plain_data_that_does_not_fit_is_refused_with_the_path(raw, told):
    with pytest.raises(SettingsError) as refused:
        from_dict(raw, Typed)
    assert str(refused.value).startswith(told)


def test_names_that_a_model_takes_besides_its_fields_are_kept():
    assert from_dict({"size": 2, "more": 3}, Open).more == 3
