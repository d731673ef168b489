"""Overrides of nodes by words of a command line."""

from __future__ import annotations

import builtins
import contextlib
import enum
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest
from hypothesis import given, strategies as st

from neox_core.config.nodes import (
    Config,
    Edit,
    NodeError,
    NoSuchParameter,
    NotSet,
    Partial,
    WrongArguments,
    autoconvert,
    build,
    explain,
    validate,
)
from neox_core.config.nodes.edits import apply
from neox_core.config.overrides import Override
from neox_core.errors import SettingsError, UserError


class Color(enum.Enum):
    RED = 1
    DARK_BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Model:
    hidden: int = 100
    act: Literal["gelu", "relu"] = "gelu"
    name: str = "m"


@dataclass
class Adam:
    lr: float = 1.0
    betas: tuple[float, float] = (0.9, 0.95)


@dataclass
class Trainer:
    model: Model
    num_layers: int = 4
    name: str = "run"
    note: str | None = None
    missing: dict[str, int] | None = None
    color: Color = Color.RED
    level: Level | None = None
    path: Path | None = None
    either: str | Path = ""
    flag: bool = False
    scale: float = 1.0
    count: int | str = 0
    pair: tuple[int, str] = (1, "a")
    names: list[str] = field(default_factory=list)
    paths: tuple[Path, ...] = ()
    tags: set[str] = field(default_factory=set)
    layers: list[Model] = field(default_factory=list)
    named: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    options: dict[str, Any] | None = None
    optimizer: Adam | None = None
    make: Callable[..., Model] | None = None
    free: Any = None


def my_model(hidden: int, name: str = "mine", act: str = "gelu") -> Config[Model]:
    return Config(Model, hidden=hidden, name=name, act=act)


def default_model() -> Config[Model]:
    return Config(Model, hidden=7)


def my_trainer(model: Model, *more: Model, scale: float = 1.0) -> Config[Trainer]:
    return Config(Trainer, model, layers=list(more), scale=scale)


@autoconvert
def converted(hidden: int = 3) -> Model:
    return Model(hidden)


RECIPES = {"my_model": my_model, "default_model": default_model, "my_trainer": my_trainer, "converted": converted}


def edited(*words: str, **arguments: Any) -> Config[Trainer]:
    """A trainer after some words."""
    return apply(Config(Trainer, Config(Model)), words, recipes=RECIPES, **arguments)


def value(word: str, **arguments: Any) -> Any:
    """What a word sets, of an argument of the trainer."""
    return edited(word, **arguments)._arguments[word.partition("=")[0].rstrip("+-*/|")]


# Paths


def test_values_are_set_by_path():
    node = edited("model.hidden=3", "layers=[my_model(1)]", "layers[0].hidden=5", "layers[1]=my_model(6)", "named.k=1")
    assert (node.model.hidden, [layer.hidden for layer in node.layers], node.named) == (3, [5, 6], {"k": 1})


@pytest.mark.parametrize("word", ["named['a=b']=1", 'named["a=b"]=1', "named[a=b]=1", "named['a=b'] = 1"])
def test_keys_of_mappings_may_have_signs_in_them(word):
    assert edited(word).named == {"a=b": 1}


def test_names_may_be_spelt_with_hyphens_as_those_of_settings_are():
    assert edited("num-layers=3").num_layers == 3
    assert edited("num-layers-=3").num_layers == 1
    assert edited("named.num-layers=3").named == {"num-layers": 3}
    assert Override.parse("num-layers=3").key == "num_layers"


def test_mappings_on_the_way_are_made():
    node = edited("named.params.lr=1e-5", "options.params.lr=2", "options.params.eps=3")
    assert node.named == {"params": {"lr": 1e-5}}
    assert node.options == {"params": {"lr": 2, "eps": 3}}
    with pytest.raises(NodeError, match=r"optimizer.lr: optimizer is None, which has no parts"):
        edited("optimizer.lr=1")


def test_a_word_on_a_default_changes_a_copy():
    edited("named.k=1", "names+=[a]")
    assert Trainer(Model()).named == {}
    assert edited("names+=[b]").names == ["b"]


def test_a_container_can_be_edited():
    assert apply([Config(Model)], ["[0].hidden=3"])[0].hidden == 3
    assert apply({"a": Config(Model)}, ["a.hidden*=3", "b=[1]"]) == {"a": Config(Model, 300), "b": [1]}


# Order


def test_words_apply_strictly_from_left_to_right():
    assert edited("num_layers=5", "num_layers+=1", "num_layers=7").num_layers == 7
    assert edited("num_layers+=1", "num_layers+=1").num_layers == 6
    assert edited("model.hidden=3", "model=default_model").model.hidden == 7
    assert edited("model=default_model", "model.hidden*=2").model.hidden == 14


def test_nothing_changes_where_a_word_has_no_form():
    node = Config(Trainer, Config(Model))
    with pytest.raises(NodeError, match="'nonsense'"):
        apply(node, ["num_layers=3", "nonsense"])
    assert node == Config(Trainer, Config(Model))


def test_values_know_the_word_that_set_them():
    node = edited("model.hidden=3", "layers=[my_model(1)]", "named.k=1", "num_layers*=2", "layers[0].hidden+=1")
    assert str(explain(node, "model.hidden").origin) == "command line (model.hidden=3)"
    assert str(explain(node, "num_layers").origin) == "command line (num_layers*=2)"
    assert str(explain(node, "named['k']").origin) == "command line (named.k=1)"
    assert str(explain(node, "layers[0].hidden").origin) == "command line (layers[0].hidden+=1)"
    assert Edit.parse("a=1").origin == Override.parse("a=1").origin


# Values


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("name=123", "123"),
        ("name=007", "007"),
        ("name=1e5", "1e5"),
        ("name=yes", "yes"),
        ("name=null", "null"),
        ("name=", ""),
        ("name='a b'", "a b"),
        ("name=a=b", "a=b"),
        ("name=my_model", "my_model"),
        ("name=my_model(3)", "my_model(3)"),
        ("name=f(a: b)", "f(a: b)"),
        ("name=os.getcwd", "os.getcwd"),
        ("name=__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("name=${x}", "${x}"),
        ("name=@", None),
        ("note=null", None),
        ("note=", None),
        ("note=12", "12"),
        ("num_layers=3", 3),
        ("num_layers=1e2", 100),
        ("num_layers=320_000", 320_000),
        ("num_layers=0x10", 16),
        ("scale=3", 3.0),
        ("scale=1e-5", 1e-5),
        ("scale=.inf", math.inf),
        ("flag=true", True),
        ("flag=yes", True),
        ("flag=off", False),
        ("flag=1", True),
        ("count=12", 12),
        ("count=x12", "x12"),
        ("path=12", Path("12")),
        ("path=a/b.txt", Path("a/b.txt")),
        ("path=my-model", Path("my-model")),
        ("path=null", None),
        ("path=None", None),
        ("path='None'", Path("None")),
        ("note=None", "None"),
        ("either=a/b", "a/b"),
        ("color=RED", Color.RED),
        ("color=1", Color.RED),
        ("color=red", Color.RED),
        ("color=DARK_BLUE", Color.DARK_BLUE),
        ("color=blue", Color.DARK_BLUE),
        ("level=LOW", Level.LOW),
        ("level=1", Level.LOW),
        ("level=null", None),
        ("level=None", None),
        ("pair=[3, 4]", (3, "4")),
        ("names=[1, yes, a, '2']", ["1", "yes", "a", "2"]),
        ("paths=[a, b/c]", (Path("a"), Path("b/c"))),
        ("tags=[a, 1]", {"a", "1"}),
        ("named={a: 1, b: [yes, null, x]}", {"a": 1, "b": [True, None, "x"]}),
        ("options={lr: 1e-5}", {"lr": 1e-5}),
        ("free=123", 123),
        ("free=[1, {a: b}]", [1, {"a": "b"}]),
        ("free=null", None),
        ("free=no_recipe(3)", "no_recipe(3)"),
        ("free=1:30", "1:30"),
    ],
)
def test_values_are_yaml_and_what_the_annotation_wants(word, expected):
    if word == "name=@":
        with pytest.raises(NodeError, match="no file is named after @"):
            value(word)
    else:
        found = value(word)
        assert (found, type(found)) == (expected, type(expected))
        validate(edited(word))


def test_what_no_set_can_hold_is_left_to_validation():
    node = edited("tags=[[1], my_model(3)]")
    with pytest.raises(SettingsError, match=r"command line \(tags=.*\): tags: .* is not set"):
        validate(node)


def test_literals_are_found_whatever_their_case():
    assert edited("model.act=RELU").model.act == "relu"


def test_fields_of_pydantic_models_are_known_by_their_annotations():
    class Checked(pydantic.BaseModel):
        name: Annotated[str, pydantic.Field(min_length=1)] = "x"
        width: pydantic.PositiveInt = pydantic.Field(1, alias="Width")

    node = apply(Config(Checked), ["name=12", "width=1e1"])
    assert build(node) == Checked(name="12", Width=10)


def test_values_of_the_wrong_type_are_found_by_validation_with_the_word():
    node = edited("num_layers=3.14", "flag=maybe", "model.hidden=abc")
    with pytest.raises(SettingsError) as refused:
        validate(node)
    assert [str(problem) for problem in refused.value.problems] == [
        "command line (num_layers=3.14): num_layers: 3.14 is not a whole number",
        "command line (flag=maybe): flag: 'maybe' is not true or false",
        "command line (model.hidden=abc): model.hidden: 'abc' is not a whole number",
    ]


@pytest.mark.parametrize(
    "name", ["os.getcwd", "builtins.eval", "antigravity", "antigravity.x()", "neox_core.files.os.getcwd"]
)
@pytest.mark.parametrize("key", ["name", "model", "free", "make", "path", "color", "layers", "optimizer.x"])
def test_no_text_is_ever_imported_or_run(key, name, monkeypatch):
    node = edited("name=x", "model.hidden=1")
    with contextlib.suppress(NodeError):
        edited(f"{key}=x")  # what is needed for reading is imported by now, and annotations are evaluated
    called = []
    monkeypatch.setattr(
        builtins, "__import__", lambda name, *args: called.append(name) if name in IMPORTED else REAL(name, *args)
    )
    monkeypatch.setattr(importlib, "import_module", called.append)
    for run in ("eval", "exec", "compile"):
        monkeypatch.setattr(builtins, run, lambda *args: called.append(args))
    for text in (name, f"[{name}]", f"{{a: {name}}}", f"{name}(1)"):
        with contextlib.suppress(NodeError):
            apply(node, [f"{key}={text}"], recipes=RECIPES)
    monkeypatch.undo()
    assert called == []


IMPORTED = ("antigravity", "os", "neox_core.files")
REAL = builtins.__import__


@given(st.text())
def test_quoted_text_is_text_whatever_it_is(text):
    quoted = "'" + text.replace("'", "''") + "'"
    try:
        edit = Edit.parse(f"free={quoted}")
    except NodeError:
        assert any(not character.isprintable() for character in text)
        return
    node = Config(Trainer, Config(Model))
    edit.apply(node, recipes={text: pytest.fail})
    assert isinstance(node.free, str)


# Operators


@pytest.mark.parametrize(
    ("words", "path", "expected"),
    [
        (["scale*=0.5"], "scale", 0.5),
        (["scale+=1"], "scale", 2.0),
        (["scale-=0.25"], "scale", 0.75),
        (["scale/=4"], "scale", 0.25),
        (["num_layers*=1.5"], "num_layers", 6),
        (["num_layers/=2"], "num_layers", 2),
        (["num_layers/=3"], "num_layers", 4 / 3),
        (["num_layers-=1"], "num_layers", 3),
        (["name+=_2"], "name", "run_2"),
        (["name+=2"], "name", "run2"),
        (["count+=2"], "count", 2),
        (["count=a", "count+=2"], "count", "a2"),
        (["names=[a]", "names+=[1]"], "names", ["a", "1"]),
        (["paths=[a]", "paths+=[b]"], "paths", (Path("a"), Path("b"))),
        (["named={a: 1, b: 2}", "named|={b: 3, c: 4}"], "named", {"a": 1, "b": 3, "c": 4}),
        (["named|={c: 4}"], "named", {"c": 4}),
        (["missing|={c: 4}"], "missing", {"c": 4}),
        (["named={a: {b: 4}}", "named.a.b*=2"], "named", {"a": {"b": 8}}),
        (["free=8", "free/=2"], "free", 4),
    ],
)
def test_operators_change_what_is_there(words, path, expected):
    found = edited(*words)._arguments[path]
    assert (found, type(found)) == (expected, type(expected))


def test_lists_are_extended_by_nodes_without_changing_other_lists():
    layers = [Config(Model, 1)]
    node = Config(Trainer, Config(Model), layers=layers)
    apply(node, ["layers+=[my_model(2), {hidden: 3}]"], recipes=RECIPES)
    assert [getattr(layer, "hidden", None) for layer in node.layers] == [1, 2, None]
    assert len(layers) == 1
    assert node.layers[0] is layers[0]


def test_keys_are_put_into_a_node_as_into_a_mapping():
    node = edited("model|={hidden: 3, act: relu, name: 12}")
    assert node.model == Config(Model, 3, "relu", "12")
    with pytest.raises(
        NoSuchParameter, match=r"'model\|=\{hiden: 3\}': model.hiden: Model has no parameter 'hiden'; did you mean"
    ):
        edited("model|={hiden: 3}")


def test_a_value_is_unset_so_that_its_default_holds_again():
    node = edited(
        "num_layers=9",
        "~num-layers",
        "named={a: 1, b: 2}",
        "~named.a",
        "layers=[my_model(1), my_model(2)]",
        "~layers[0]",
    )
    assert (node.num_layers, node.named, [layer.hidden for layer in node.layers]) == (4, {"b": 2}, [2])
    assert edited("num_layers=9", "~num_layers") == edited()


# Recipes and files


def test_the_name_of_a_recipe_is_what_it_makes():
    assert value("model=default_model") == Config(Model, 7)
    assert value("model=default_model()") == Config(Model, 7)
    assert value("model=converted") == Config(Model, 3)
    assert value("free=default_model") == Config(Model, 7)
    assert value("models={a: default_model}")["a"] == Config(Model, 7)


def test_arguments_of_recipes_are_yaml_and_what_their_annotations_want():
    assert value("model=my_model(3, name=12)") == Config(Model, 3, "gelu", "12")
    assert value("model= my_model( hidden = 1e2 , name='a, (b' ) ") == Config(Model, 100, "gelu", "a, (b")
    assert value('model=my_model(3, act="re\\"lu")').act == 're"lu'
    assert value("free=my_trainer(my_model(1), default_model, converted(hidden=5), scale=2)") == Config(
        Trainer, Config(Model, 1, "gelu", "mine"), layers=[Config(Model, 7), Config(Model, 5)], scale=2.0
    )
    assert value("layers=[default_model, converted()]") == [Config(Model, 7), Config(Model, 3)]


def test_a_recipe_is_called_for_each_place():
    node = edited("layers=[default_model, default_model]")
    assert node.layers[0] is not node.layers[1]


def test_a_quoted_name_is_text():
    assert value("free='default_model'") == "default_model"


def test_what_is_in_a_file_comes_from_the_function_that_is_given():
    asked = []

    def load(name: str) -> Any:
        asked.append(name)
        return {"lr": 3} if name.endswith(":section") else Config(Model, hidden=9)

    node = edited(
        "model=@a.yml", "options=@dir/b.yml:section", "named=@b.yml:section", "named|=@c.yml:section", load=load
    )
    assert (node.model, node.options, node.named) == (Config(Model, 9), {"lr": 3}, {"lr": 3})
    assert asked == ["a.yml", "dir/b.yml:section", "b.yml:section", "c.yml:section"]
    assert value("free=my_trainer(@a.yml)", load=load).model.hidden == 9
    with pytest.raises(NodeError, match=r"'model=@a\.yml': @a\.yml: values are not taken from files here"):
        edited("model=@a.yml")


# Mistakes


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("nonsense", "'nonsense': an override is written key=value, a.b[0].c=value or ~key"),
        ("=3", "'=3': an override is written key=value"),
        (" =3", "' =3': nothing is named before the sign"),
        ("~", "'~': an override is written key=value"),
        ("~name=3", "'~name=3': an override is written key=value"),
        ("", "'': an override is written key=value"),
        ("name%=2", "'name%=2': there is no operator %=; there are: = += -= *= /= |="),
        ("name&=2", "there is no operator &="),
        ("a..b=2", "'a..b=2': 'a..b' is no path, from '..b' on"),
        ("scale=[", "'scale=[': in the value: the '[' that begins here is not closed"),
        ("scale={a: 1, a: 2}", "the key 'a' is given twice"),
        ("scale=!!python/name:os.getcwd x", "'!!python/name:os.getcwd' is not known"),
        ("scale=@", "no file is named after @; write @file.yml"),
    ],
)
def test_words_without_a_form_are_refused_when_they_are_read(word, sentence):
    with pytest.raises(UserError) as refused:
        Edit.parse(word)
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(f"'{word}': ")
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("nam=x", "nam: Trainer has no parameter 'nam'; did you mean 'name'?"),
        ("model.hiden=3", "model.hiden: Model has no parameter 'hiden'; did you mean 'hidden'?"),
        ("model.hiden*=3", "model.hiden: Model has no parameter 'hiden'; did you mean 'hidden'?"),
        ("~nam", "did you mean 'name'?"),
        ("~name", "'name' is not set"),
        ("layers[3].hidden=3", "layers[3]: there are 0 items"),
        ("model.hidden.x=3", "model.hidden is 100, which has no parts"),
        ("named.lr*=2", "named.lr: there is no such key"),
        ("scale/=0", "1.0 cannot be divided by 0"),
        ("num_layers/=0", "4 cannot be divided by 0"),
        ("scale*=abc", "*= multiplies numbers; there is 1.0, and 'abc' is given"),
        ("name*=2", "*= multiplies numbers; there is 'run', and '2' is given"),
        ("name+=[a]", "+= adds numbers, joins text"),
        ("names+=a", "puts the items of a list after those of another; there is [], and 'a' is given"),
        ("flag+=1", "there is False"),
        ("note+=a", "there is None"),
        ("named+={a: 1}", "+= adds numbers"),
        ("named|=3", "|= puts the keys of a mapping into another"),
        ("model|=3", "|= puts the keys of a mapping into another"),
        ("model+=3", "+= adds numbers"),
        ("color=GREEN", "'GREEN' is none of those that are allowed; there is: DARK_BLUE, RED"),
        ("color=REDD", "did you mean 'RED'?"),
        ("level=7", "'7' is none of those that are allowed; there is: LOW"),
        ("model.act=gelo", "'gelo' is none of those that are allowed; did you mean 'gelu'?"),
        ("model.act=null", "'null' is none of those that are allowed"),
        ("model=my_modl", "'my_modl' is neither Model nor the name of a recipe; did you mean 'my_model'?"),
        ("model=other(3)", "'other' is neither Model nor the name of a recipe"),
        ("model=my_model", "my_model needs 'hidden'; write my_model(hidden=...)"),
        ("model=my_model(hiden=3)", "my_model has no parameter 'hiden'; did you mean 'hidden'?"),
        ("model=my_model(1, 2, 3, 4)", "my_model takes 3 arguments without a name, and 4 are given"),
        ("model=my_model(1, hidden=2)", "'hidden' is given twice"),
        ("model=my_model(hidden=1, hidden=2)", "'hidden' is given twice"),
        ("free=" + "my_trainer(" * 60 + ")" * 60, "...: brackets are nested more than 50 deep"),
        ("model=my_model(hidden=1, 2)", "'2' comes after a value with a name"),
        ("model=my_model(hidden=[1)", "']' is missing"),
        (
            "model=my_model(1",
            "my_model(1: the ')' at the end is missing; write a recipe as name or name(value, name=value)",
        ),
        ("model=my_model(1))", "')' closes nothing"),
        ("model=my_model(hidden={a: )", "'}' is missing"),
        ("model={_target_: os.getcwd}", "what has a _target_ is read from a file; write key=@file.yml"),
        ("layers=[{_target_: os.getcwd}]", "what has a _target_ is read from a file"),
    ],
)
def test_mistakes_are_sentences_with_the_word(word, sentence):
    with pytest.raises(UserError) as refused:
        edited(word)
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(f"'{word[:200]}")


def test_an_operator_on_what_is_not_set_says_so():
    with pytest.raises(
        NotSet, match=r"'model\*=2': model: Trainer: 'model' is not set, and has no default; set it with = first"
    ):
        apply(Config(Trainer), ["model*=2"])


def test_a_number_beyond_all_measure_is_a_sentence():
    with pytest.raises(NodeError, match=r"10+\.\.\.0+ \* 0\.5 is too large"):
        apply(Config(Trainer, free=10**400), ["free*=0.5"])


def test_mistakes_keep_their_kinds_and_long_words_are_cut():
    with pytest.raises(WrongArguments):
        edited("model=my_model(hiden=3)")
    with pytest.raises(NoSuchParameter):
        edited("nam=3")
    with pytest.raises(NodeError) as refused:
        Edit.parse("x" * 10_000)
    assert len(str(refused.value)) < 400


def test_a_partial_is_edited_as_a_config_is():
    node = apply(Partial(Trainer, model=Config(Model)), ["model.hidden*=2", "num_layers=1"])
    assert build(node)().model.hidden == 200


def test_a_node_whose_target_is_a_name_is_edited():
    made = apply(Config("fractions.Fraction", numerator=6), ["denominator=4", "numerator/=2"])
    assert str(build(made)) == "3/4"
