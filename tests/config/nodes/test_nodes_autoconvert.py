"""Functions that return nodes for what they would make."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import math
import os
import pickle
import sys
import traceback
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import pydantic
import pytest

from neox_core.config.nodes import (
    Config,
    NodeError,
    NoSuchParameter,
    Partial,
    Script,
    WrongArguments,
    autoconvert,
    build,
    explain,
    lazy,
    now,
)

T = TypeVar("T")


@dataclass
class Model:
    hidden: int = 100
    act: str = "gelu"


@dataclass
class Trainer:
    model: Model
    layers: list[Model] = field(default_factory=list)
    make: Any = None
    path: Path | None = None


@dataclass
class Box(Generic[T]):
    item: T


class Checked(pydantic.BaseModel):
    hidden: int


class Color(enum.Enum):
    RED = 1


class Trouble(Exception):
    pass


def double(node: Any) -> Any:
    return node.hidden * 2


def make_model(hidden: int) -> Model:
    return Model(hidden)


def model() -> Config[Model]:
    return Config(Model, hidden=5)


@autoconvert
def automodel() -> Model:
    return Model(hidden=5)


def test_calls_of_classes_become_nodes():
    @autoconvert
    def trainer():
        return Trainer(model=Model(3), layers=[Model(act="relu")])

    assert trainer() == Config(Trainer, model=Config(Model, 3), layers=[Config(Model, act="relu")])
    assert build(trainer()) == trainer.wrapped() == Trainer(Model(3), [Model(act="relu")])


def test_it_gives_what_one_would_write_out():
    assert model() == automodel()
    assert automodel() is not automodel()


def test_pydantic_models_and_generic_classes_become_nodes():
    @autoconvert
    def both():
        return [Checked(hidden="3"), Box[int](4)]

    assert both() == [Config(Checked, hidden="3"), Config(Box, 4)]
    assert build(both()) == [Checked(hidden=3), Box(4)]


def test_modules_of_torch_become_nodes():
    nn = pytest.importorskip("torch.nn")

    @autoconvert
    def mlp(width):
        return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 2))

    made = mlp(8)
    assert made._target.object is nn.Sequential
    assert [type(module) for module in build(made)] == [nn.Linear, nn.ReLU, nn.Linear]


def test_the_outermost_call_becomes_a_partial():
    @autoconvert(partial=True)
    def trainer(hidden):
        return Trainer(Model(hidden))

    made = trainer(4)
    assert made == Partial(Trainer, model=Config(Model, 4))
    assert build(made)() == Trainer(Model(4))
    assert autoconvert(lambda_free_config, partial=True)() == Partial(Model, hidden=1)


def lambda_free_config():
    return CONSTANT


CONSTANT = Config(Model, hidden=1)


def test_a_partial_of_a_node_that_is_used_elsewhere_is_another_object():
    made = autoconvert(lambda_free_config, partial=True)()
    made.hidden = 9
    assert CONSTANT.hidden == 1


def test_functools_partial_becomes_a_partial():
    @autoconvert
    def trainer():
        return Trainer(Model(), make=functools.partial(make_model, hidden=Model(2)))

    assert trainer().make == Partial(make_model, hidden=Config(Model, 2))
    assert build(trainer()).make().hidden == Model(2)


def test_a_config_that_is_written_out_stays_one():
    @autoconvert
    def trainer():
        return Config[Trainer](Trainer, model=Config(Model, 2), layers=[Model(3)])

    assert trainer() == Config(Trainer, Config(Model, 2), [Config(Model, 3)])


def test_control_flow_runs():
    @autoconvert
    def trainer(count, wide=False):
        layers = []
        for number in range(count):
            if number % 2:
                layers.append(Model(number))
            else:
                layers += [Model(hidden=number) for _ in range(2)]
        while len(layers) > 4:
            layers.pop()
        try:
            raise Trouble("x")
        except Trouble as trouble:
            act = trouble.args[0]
        match count:
            case 3:
                top = Model(7, act=act)
            case _:
                top = Model(1) if wide else Model(2)
        return Trainer(top, layers)

    assert trainer(3).layers == [Config(Model, number) for number in (0, 0, 1, 2)]
    assert trainer(3).model == Config(Model, 7, act="x")
    assert (trainer(1, wide=True).model.hidden, trainer(1).model.hidden) == (1, 2)
    assert build(trainer(3)) == trainer.wrapped(3)


def test_functions_methods_and_classes_of_python_run():
    @autoconvert
    def trainer(**settings):
        settings.update(hidden=max(1, math.isqrt(16)))
        names = "a_b".lower().split("_")
        ordered = OrderedDict(zip(names, [Model(1), Model(2)], strict=True))
        path = Path("a") / os.path.join("b", f"{Color(1).name}")  # noqa: PTH118
        return Trainer(Model(**settings), list(ordered.values()), path=path, make=double(Model(3)))

    made = trainer(act="relu")
    assert made == Config(Trainer, Config(Model, 4, "relu"), [Config(Model, 1), Config(Model, 2)], 6, Path("a/b/RED"))


def test_helper_functions_run_and_what_they_make_becomes_a_node():
    @autoconvert
    def trainer():
        return Trainer(make_model(3))

    assert trainer() == Config(Trainer, Config(Model, 3, "gelu"))
    assert autoconvert(calls_make_model)() == Config(Model, 3)


def calls_make_model():
    return make_model(3)


def test_a_converted_function_within_another_gives_its_nodes():
    @autoconvert
    def trainer():
        return Trainer(automodel(), layers=[automodel()])

    assert trainer() == Config(Trainer, model(), [model()])


def test_arguments_of_nodes_are_read_and_set():
    @autoconvert
    def trainer():
        made = Trainer(Model(3))
        made.model.hidden *= 2
        made.path = Path(made.model.act)
        return made

    assert trainer() == Config(Trainer, Config(Model, 6), path=Path("gelu"))


def test_what_is_shared_stays_shared():
    @autoconvert
    def trainer():
        one = Model(3)
        return Trainer(one, [one, one])

    made = build(trainer())
    assert made.layers[0] is made.layers[1] is made.model


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_containers_of_nodes_are_returned(kind):
    @autoconvert
    def several():
        return kind(a=Model(1)) if kind is dict else kind([Model(1), Model(2)])

    expected = {"a": Config(Model, 1)} if kind is dict else kind([Config(Model, 1), Config(Model, 2)])
    assert several() == expected


def test_lazy_makes_a_node_of_a_function_and_now_calls_a_class():
    @autoconvert
    def trainer():
        return Trainer(lazy(make_model)(3), make=now(Box)(Model(4)).item.hidden)

    assert trainer() == Config(Trainer, Config(make_model, 3), make=4)
    assert lazy(make_model)(3) == Config(make_model, hidden=3)


def test_every_kind_of_argument_and_star_works():
    @autoconvert
    def several(first, /, second=Model(2), *rest, third: Model = Model(3), **others):  # noqa: B008
        pairs = {"hidden": 5}
        return [first, second, third, *rest, Model(*[4]), Model(**pairs, **others)]

    made = several(Model(1), Model(9), Model(8), act="x")
    assert [node.hidden for node in made] == [1, 9, 3, 8, 4, 5]
    assert made[-1].act == "x"
    assert [node.hidden for node in several(1)[1:]] == [2, 3, 4, 5]


def test_variables_are_those_of_the_source_alone():
    @autoconvert
    def made(hidden, act="relu"):
        return Model(**locals())

    assert made(3) == Config(Model, 3, "relu")
    width = 3

    @autoconvert
    def names():
        return {name: Model(width) for name in dir()}

    assert names().keys() == names.wrapped().keys() == {"width"}


def test_variables_from_outside_are_the_same_ones():
    count = 0

    @autoconvert
    def counted():
        nonlocal count
        count += 1
        return Model(count)

    assert [counted().hidden, counted().hidden, count] == [1, 2, 2]
    count = 10
    assert counted().hidden == 11


def test_a_function_that_calls_itself():
    assert recursive(2) == Config(Box, Config(Box, Config(Model)))


@autoconvert
def recursive(depth: int) -> Any:
    return Box(recursive(depth - 1)) if depth else Model()


class Base:
    def name(self) -> str:
        return "base"


class Maker(Base):
    __hidden = 3

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def name(self) -> str:
        return "maker"

    @autoconvert
    def method(self, more: int = 1) -> Model:
        return Model(self.__hidden * self.factor * more, act=super().name())

    @staticmethod
    @autoconvert
    def static(hidden: int) -> Model:
        return Model(hidden)

    @autoconvert
    @staticmethod
    def static_within(hidden: int) -> Model:
        return Model(hidden)

    @autoconvert
    @classmethod
    def of_class(cls, factor: int) -> Any:
        """Make one."""
        return cls(factor)


def test_methods():
    assert Maker(2).method() == Config(Model, 6, "base")
    assert Maker(2).method(more=2).hidden == 12
    assert Maker.static(4) == Maker.static_within(4) == Maker(1).static(4) == Config(Model, 4)
    assert Maker.of_class(5) == Config(Maker, 5)
    assert build(Maker.of_class(5)).factor == 5
    assert Maker.method.wrapped(Maker(2)) == Model(6, "base")


def test_functions_within_take_part_until_the_outer_one_returns():
    @autoconvert
    def trainer():
        def layer(hidden: int) -> Model:
            return Model(hidden)

        return Trainer(layer(1), [layer(number) for number in (2, 3)], make=lambda: Model(4))

    made = trainer()
    assert (made.model, made.layers) == (Config(Model, 1), [Config(Model, 2), Config(Model, 3)])
    assert build(made).make() == made.make() == Model(4)


def test_what_with_and_for_need_is_made_at_once():
    class Managed(contextlib.ContextDecorator):
        def __enter__(self) -> int:
            return 3

        def __exit__(self, *exception: object) -> None:
            return None

    class Numbers:
        def __iter__(self) -> Iterator[int]:
            return iter([1, 2])

    @autoconvert
    def several():
        found = []
        with Managed() as hidden:
            found.append(Model(hidden))
        for number in Numbers():
            found.append(Model(number))
        return found + [Model(number) for number in Numbers()]

    assert [node.hidden for node in several()] == [3, 1, 2, 1, 2]


def test_classes_within_stay_as_they_are():
    @autoconvert
    def trainer():
        class Wide(Model):
            inner = Model(3)

        return Trainer(Wide(4))

    assert build(trainer()).model.inner == Model(3)
    assert isinstance(trainer().model._target.object.inner, Model)


def test_a_process_and_a_script_is_made_of_nodes():
    @autoconvert
    def script(steps):
        return Script("train.py", args=["--steps", steps], entrypoint="python")

    assert isinstance(script(3), Config)
    assert build(script(3)).command() == ["python", "train.py", "--steps", "3"]


def test_nodes_know_the_line_that_made_them():
    line = automodel.wrapped.__code__.co_firstlineno + 2
    assert str(explain(automodel()).origin) == f"{__file__}:{line}"


def test_tracebacks_have_the_lines_of_the_source():
    @autoconvert
    def failing():
        return Model(
            1 // 0,
        )

    with pytest.raises(ZeroDivisionError) as raised:
        failing()
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.name, last.line) == (__file__, "failing", "1 // 0,")
    assert last.lineno == failing.wrapped.__code__.co_firstlineno + 3


def test_a_name_that_a_class_does_not_take_is_refused_where_it_is_given():
    @autoconvert
    def wrong():
        return Model(hiden=3)

    with pytest.raises(WrongArguments, match="did you mean 'hidden'"):
        wrong()

    @autoconvert
    def read():
        return Trainer(Model().hiden)

    with pytest.raises(NoSuchParameter, match="did you mean 'hidden'"):
        read()


@pytest.mark.parametrize("value", [3, "text", None, Color.RED, Trouble("x")])
def test_what_is_no_node_is_refused(value):
    @autoconvert
    def returns():
        return value

    with pytest.raises(
        NodeError, match=r"returns returns .*; a function under @autoconvert returns an object, or a list"
    ):
        returns()


def test_none_is_returned_where_it_is_annotated():
    assert spare(None) is None
    assert spare(3) == Config(Model, 3)


@autoconvert
def spare(hidden: int | None) -> Model | None:
    return None if hidden is None else Model(hidden)


def test_a_partial_of_several_is_refused():
    @autoconvert(partial=True)
    def several():
        return [Model()]

    with pytest.raises(NodeError, match=r"under @autoconvert\(partial=True\) returns one object"):
        several()


async def later() -> Model:
    await asyncio.sleep(0)
    return Model()


def one_by_one() -> Iterator[Model]:
    yield Model()


@functools.cache
def cached() -> Model:
    return Model()


@functools.wraps(make_model)
def decorated(hidden: int) -> Model:
    return make_model(hidden)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (later, r"autoconvert\(later\): it has `async` or `yield`"),
        (one_by_one, r"autoconvert\(one_by_one\): it has `async` or `yield`"),
        (lambda: Model(), "none of the functions that `def` makes"),
        (Model, r"autoconvert\(Model\): that is none of the functions"),
        (len, "none of the functions that `def` makes"),
        (cached, r"autoconvert\(cached\): that is none of the functions"),
        (decorated, r"autoconvert\(make_model\): it is decorated; put @autoconvert below"),
        (automodel, r"autoconvert\(automodel\): it is decorated"),
    ],
)
def test_what_cannot_be_converted_is_refused_at_once(function, sentence):
    with pytest.raises(WrongArguments, match=sentence):
        autoconvert(function)


def test_a_function_without_a_source_is_refused_when_it_is_called():
    scope: dict[str, Any] = {"Model": Model}
    exec("def typed_in():\n    return Model()", scope)
    converted = autoconvert(scope["typed_in"])
    with pytest.raises(
        NodeError, match="typed_in: autoconvert needs its source, and <string> does not have it at line 1"
    ):
        converted()
    assert converted.wrapped() == Model()


def test_a_source_that_is_not_that_of_the_function_any_more_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "recipes_that_change.py"
    file.write_text(
        "import dataclasses\n\n\n@dataclasses.dataclass\nclass M:\n    x: int = 0\n\n\ndef made():\n    return M()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__("recipes_that_change")
    file.write_text("'''\n" * 9)
    with pytest.raises(NodeError, match=r"made: autoconvert needs its source, and .*recipes_that_change.py does not"):
        autoconvert(module.made)()
    del sys.modules["recipes_that_change"]


def test_annotations_of_other_modules_and_text_over_several_lines_do_no_harm(tmp_path, monkeypatch):
    source = '''
import dataclasses
import neox_core.config.nodes as nodes

@dataclasses.dataclass
class M:
    text: str = ""

class Holder:
    if True:
        @nodes.autoconvert(
            partial=False,
        )
        def made(self, more: "Unknown | None" = None):
            def inner(x: M): return M("""
less indented
""")
            return inner(3)
'''
    (tmp_path / "recipes_with_text.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__("recipes_with_text")
    assert module.Holder().made() == Config(module.M, "\nless indented\n")


def test_a_converted_function_keeps_its_name_and_can_be_pickled():
    assert (automodel.__name__, automodel.__module__) == ("automodel", __name__)
    assert Maker.of_class.__doc__ == "Make one."
    assert pickle.loads(pickle.dumps(Config(Model, hidden=1))) == Config(Model, hidden=1)


def test_a_converted_function_can_be_a_target():
    made = Config(automodel)
    assert made._target.name == f"{__name__}.automodel"
    assert build(made) == model()
