"""Making nodes, and reading and setting their arguments."""

from __future__ import annotations

import copy
import enum
import functools
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from neox_core.config.nodes import (
    Config,
    NodeError,
    NoSuchParameter,
    NotSet,
    OptionalDefaultConfig,
    OptionalDefaultPartial,
    Partial,
    WrongArguments,
    build,
)
from neox_core.errors import UserError


@dataclass
class Model:
    hidden: int = 100
    act: str = "gelu"
    dropout: float = 0.1


@dataclass
class Trainer:
    model: Model
    layers: list[Model] = field(default_factory=list)
    named: dict[str, Model] = field(default_factory=dict)
    spare: Model | None = None
    either: Model | Path | None = None


@dataclass
class Filled:
    model: OptionalDefaultConfig[Model] = None
    make: OptionalDefaultPartial[Model] = None


def train(steps: int, models: list[Model] = [Model()], *, tags: dict[str, int] = {}, **others: Any) -> tuple:  # noqa: B006, B008
    return steps, models, tags, others


def test_arguments_are_attributes():
    node = Config(Model, hidden=5)
    node.act = "relu"
    assert (node.hidden, node.act, node.dropout) == (5, "relu", 0.1)
    assert node.build() == Model(5, "relu")


@pytest.mark.parametrize("kind", [Config, Partial])
def test_an_unknown_name_is_refused_with_the_nearest(kind):
    with pytest.raises(WrongArguments, match=r"Model has no parameter 'hiden'; did you mean 'hidden'\?") as refused:
        kind(Model, hiden=3)
    assert isinstance(refused.value, TypeError)
    assert isinstance(refused.value, UserError)
    node = kind(Model)
    with pytest.raises(NoSuchParameter, match="did you mean 'hidden'"):
        node.hiden = 3
    with pytest.raises(AttributeError, match="did you mean 'hidden'"):
        _ = node.hiden
    with pytest.raises(NoSuchParameter, match="did you mean 'hidden'"):
        del node.hiden
    assert build(kind(Model)) is not None, "a refused name leaves nothing behind"


def test_a_required_argument_that_is_not_set_cannot_be_read():
    node = Config(Trainer)
    with pytest.raises(NotSet, match="Trainer: 'model' is not set, and has no default"):
        _ = node.model
    assert not hasattr(node, "model")


def test_an_argument_that_is_taken_away_has_its_default_again():
    node = Config(Model, hidden=5)
    del node.hidden
    assert node.hidden == 100
    with pytest.raises(NotSet, match="'hidden' is not set"):
        del node.hidden


@pytest.mark.parametrize("value", [0, False, "", None, 0.0, [], {}, ()])
def test_falsy_values_are_values(value):
    node = Config(Model, hidden=value)
    assert node.hidden == value
    assert type(build(node).hidden) is type(value)


def test_none_can_be_set_in_place_of_a_default():
    assert build(Config(Filled, model=None)).model is None
    node = Config(Filled)
    node.model = None
    assert build(node).model is None


def test_values_without_a_name_are_bound_to_names():
    node = Config(Model, 5, "relu")
    assert (node.hidden, node.act) == (5, "relu")
    assert node == Config(Model, hidden=5, act="relu")


def test_too_many_values_without_a_name_or_one_twice_are_refused():
    with pytest.raises(WrongArguments, match="takes 3 arguments without a name, and 4 are given"):
        Config(Model, 1, "a", 0.1, 4)
    with pytest.raises(WrongArguments, match="'hidden' is given twice"):
        Config(Model, 1, hidden=2)
    with pytest.raises(NodeError, match="need a target"):
        Config(None, 1)


def test_a_target_with_any_names_takes_them():
    node = Config(train, 3, seed=1)
    node.more = 2
    assert build(node)[3] == {"seed": 1, "more": 2}


@pytest.mark.parametrize("target", [{}, dict, dict[str, int], "builtins.dict"])
def test_mappings_are_made_with_any_names(target):
    node = Config(target, a=1)
    node.b = Config(Model)
    assert node.a == 1
    assert build(node) == {"a": 1, "b": Model()}
    assert node == Config(dict, a=1, b=Config(Model))


@pytest.mark.parametrize("target", [3, {"a": 1}, [], Config(Model)])
def test_what_cannot_be_called_is_no_target(target):
    with pytest.raises(WrongArguments, match="is no target: that is a class, a function"):
        Config(target)


# Defaults that can be changed in place


def test_changing_a_default_in_place_changes_only_this_node():
    first, second = Config(Trainer, model=Config(Model)), Config(Trainer, model=Config(Model))
    first.layers.append(Config(Model, hidden=1))
    assert build(first).layers == [Model(1)]
    assert build(second).layers == []
    assert Trainer(Model()).layers == []


def test_changing_a_default_of_a_function_in_place_leaves_the_function_alone():
    node = Config(train, steps=1)
    node.models[0].hidden = 7
    node.models.append(Config(Model, hidden=8))
    node.tags["a"] = 1
    assert build(node)[1:3] == ([Model(7), Model(8)], {"a": 1})
    assert train(1)[1:3] == ([Model()], {})


def test_a_default_that_is_only_read_still_counts_as_not_set():
    read, untouched = Config(train, steps=1), Config(train, steps=1)
    assert read.models == [Config(Model)]
    assert read == untouched
    assert repr(read) == repr(untouched)
    assert build(read)[1] is train.__defaults__[0]


NOT_GIVEN = object()


def ask(value: Any = NOT_GIVEN, when: float = 1.5) -> bool:
    return value is NOT_GIVEN


@dataclass
class Stamped:
    number: int = field(default_factory=iter(range(100)).__next__)


def test_a_default_that_says_nothing_was_given_is_kept_as_it_is():
    node = Config(ask)
    assert node.value is NOT_GIVEN
    assert build(node)
    assert build(Config(ask, NOT_GIVEN).clone())


def test_what_a_factory_made_when_it_was_read_is_what_is_built():
    node = Config(Stamped)
    assert build(node) != build(node)
    assert node.number == node.number == build(node).number == build(node).number


# Instances become nodes


def test_instances_become_nodes_whenever_they_are_set():
    node = Config(Trainer, model=Model(1))
    assert node.model == Config(Model, hidden=1, act="gelu", dropout=0.1)
    node.spare = Model(2)
    node.spare.hidden = 3
    node.layers = [Model(4)]
    node.named = {"a": Model(5)}
    assert isinstance(node.layers[0], Config)
    assert isinstance(node.named["a"], Config)
    assert build(node) == Trainer(Model(1), [Model(4)], {"a": Model(5)}, Model(3))


def test_all_arguments_of_an_instance_are_explicit():
    assert set(Config(Trainer, model=Model()).model._arguments) == {"hidden", "act", "dropout"}


def test_an_instance_in_two_arguments_becomes_one_node():
    model = Model()
    node = Config(Trainer, model=model, layers=[model])
    assert node.model is node.layers[0]


def test_containers_without_instances_stay_the_same_objects():
    numbers = [1, 2]
    node = Config(dict, a=numbers, b=numbers)
    assert node.a is node.b is numbers


def test_partial_functions_become_partial_nodes():
    node = Config(dict, make=functools.partial(Model, act="relu"))
    assert node.make == Partial(Model, act="relu")
    assert build(node)["make"](3) == Model(3, "relu")


def test_partial_functions_with_values_by_position_are_called_as_before():
    make = build(Config(dict, make=functools.partial(Model, 3)))["make"]
    assert make("relu") == Model(3, "relu")


def test_a_class_says_itself_what_its_instances_become():
    class Handle:
        def __as_node__(self):
            return Config(Model, hidden=9)

    assert Config(Trainer, model=Handle()).model == Config(Model, hidden=9)


@dataclass
class WithInitVar:
    size: int
    seed: InitVar[int] = 0


@dataclass
class Letter:
    code: int


class Letters(Letter, enum.Enum):
    A = 1


@pytest.mark.parametrize("value", [WithInitVar(1), Letters.A, Model, Path("a"), {1, 2}, range(3), enum.Enum])
def test_what_its_class_could_not_make_again_stays_as_it_is(value):
    assert Config(dict, a=value).a is value


def test_named_tuples_keep_their_class():
    from typing import NamedTuple

    class Pair(NamedTuple):
        one: Any
        two: Any

    made = build(Config(dict, a=Pair(Model(1), 2)))["a"]
    assert made == Pair(Model(1), 2)
    assert type(made) is Pair


# Optional defaults


def test_optional_defaults_are_filled_when_they_are_not_given():
    node = Config(Filled)
    node.model.hidden = 3
    built = build(node)
    assert built.model == Model(3)
    assert built.make() == Model()
    assert Config(Filled).model.hidden == 100


def test_optional_defaults_that_are_given_are_kept():
    assert Config(Filled, model=Config(Model, hidden=3)).model.hidden == 3
    assert Config(Filled, None).model is None


# Nodes without a target


def test_a_node_without_a_target_takes_the_class_of_its_parameter():
    node = Config(Trainer, model=Config(hidden=1), spare=Config(hidden=2))
    node.layers = [Config(hidden=3)]
    node.named = {"a": Config(hidden=4)}
    assert build(node) == Trainer(Model(1), [Model(3)], {"a": Model(4)}, Model(2))


def test_a_partial_without_a_target_takes_the_class_that_is_to_be_called():
    @dataclass
    class Loop:
        make: Callable[..., Model] | None = None

    Loop.__annotations__["make"] = Callable[..., Model] | None
    assert build(Config(Loop, make=Partial(hidden=3))).make() == Model(3)


def test_a_node_without_a_target_is_held_against_the_class_that_it_gets():
    with pytest.raises(WrongArguments, match="Model has no parameter 'hiden'"):
        Config(Trainer, model=Config(hiden=1))


def test_a_node_stays_without_a_target_where_none_is_meant():
    for node in (Config(hidden=1), Config(dict, a=Config(hidden=1)), Config(train, steps=Config(hidden=1))):
        with pytest.raises(NodeError, match=r"Config\(hidden=1\) has no target"):
            build(node)


# Targets by name


def test_a_name_is_imported_when_it_is_first_needed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lazily_imported.py").write_text(
        "class Outer:\n    class Inner:\n        def __init__(self, a=1): self.a = a\n"
    )
    node = Config("lazily_imported.Outer.Inner")
    node.a = 2
    assert "lazily_imported" not in sys.modules
    assert build(node).a == 2
    assert node == Config(sys.modules["lazily_imported"].Outer.Inner, a=2)


def test_a_name_is_the_same_target_as_what_it_names():
    assert Config("collections.OrderedDict") == Config("collections.OrderedDict")
    assert Config("pathlib.Path") == Config(Path)
    assert Config("pathlib.PurePath") != Config(Path)
    assert Config("nowhere.Thing") != Config(Path)


def test_wrong_arguments_of_a_name_are_refused_once_it_is_imported():
    node = Config("fractions.Fraction", numerater=1)
    with pytest.raises(WrongArguments, match="did you mean 'numerator'"):
        build(node)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.Thing", "there is no module 'nowhere'"),
        ("Thing", "there is no module 'Thing', or no name in it is given"),
        ("collections.OrderedDic", "'collections' has no 'OrderedDic'; did you mean 'OrderedDict'"),
        ("collections.OrderedDict.nothing", "'OrderedDict' has no 'nothing'"),
    ],
)
def test_a_name_of_nothing_is_refused_when_it_is_needed(name, message):
    with pytest.raises(NodeError, match=message):
        build(Config(name))


def test_a_module_that_lacks_another_says_which(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lacks_another.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        build(Config("lacks_another.Thing"))


def test_optional_defaults_of_a_name_are_filled_when_it_is_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = (
        "from neox_core.config.nodes import OptionalDefaultConfig as D\nclass M:\n    size = 3\n"
        "class T:\n    def __init__(self, m: D[M] = None): self.m = m\n"
    )
    (tmp_path / "filled_when_imported.py").write_text(source)
    assert build(Config("filled_when_imported.T")).m.size == 3
    assert Config("filled_when_imported.T").m == Config("filled_when_imported.M")


# Copies


@pytest.mark.parametrize(
    "again", [lambda node: node.clone(), copy.deepcopy, lambda node: pickle.loads(pickle.dumps(node))]
)
def test_copies_are_equal_and_share_nothing(again):
    model = Config(Model, hidden=5)
    node = Config(Trainer, model=model, layers=[model], named={"a": Config(Model)})
    made = again(node)
    assert made == node
    assert made.model is made.layers[0], "what is shared stays shared"
    made.model.hidden = 6
    made.layers.append(1)
    made.named["b"] = 2
    assert node == Config(Trainer, model=model, layers=[model], named={"a": Config(Model)})
    assert model.hidden == 5


def test_a_shallow_copy_has_arguments_of_its_own_and_shares_their_values():
    node = Config(Trainer, model=Config(Model))
    made = copy.copy(node)
    made.spare = None
    assert made.model is node.model
    assert "spare" not in node._arguments


def test_nodes_cannot_be_keys():
    with pytest.raises(TypeError, match="unhashable"):
        {Config(Model): 1}


def test_a_subscript_says_what_a_node_makes():
    assert Config[Model](Model, hidden=2) == Config(Model, hidden=2)
    assert build(Config[dict](dict, a=1)) == {"a": 1}


def test_the_repr_reads_like_python():
    node = Config(Trainer, model=Config(Model, hidden=5), layers=[Partial(Model)])
    name = Model.__module__
    assert repr(node) == f"Config({name}.Trainer, model=Config({name}.Model, hidden=5), layers=[Partial({name}.Model)])"


def test_the_names_of_arguments_are_listed():
    assert {"hidden", "act", "build"} <= set(dir(Config(Model)))


def test_nodes_need_neither_pydantic_nor_yaml_nor_torch():
    code = (
        "import sys\nfrom neox_core.config.nodes import Config, Partial, build, diff, get_value, select\n"
        "build(Config(dict, a=Config(dict))).keys()\n"
        "sys.exit(', '.join({'pydantic', 'yaml', 'torch', 'numpy'} & sys.modules.keys()) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
