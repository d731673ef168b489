"""What nodes look like as text, and what cannot be written."""

from __future__ import annotations

import functools
import sys
import threading
import tomllib
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from typing import Any

import numpy
import pytest

from neox_core.config.nodes import Config, NodeError, Partial, from_yaml, to_json, to_toml, to_yaml
from neox_core.errors import UserError


@dataclass
class Model:
    hidden: int = 100
    act: Any = None
    sizes: list[int] = field(default_factory=list)


def train(model, data=None, *, steps: int = 1):
    return model, data, steps


Point = namedtuple("Point", "x y")
M, F = f"{__name__}.Model", f"{__name__}.train"


def test_yaml_has_the_target_and_what_was_given_in_the_order_of_the_signature():
    node = Partial(train, steps=5, model=Config(Model, act="gelu", hidden=4))
    assert (
        to_yaml(node)
        == f"""\
_target_: {F}
_partial_: true
model:
  _target_: {M}
  hidden: 4
  act: gelu
steps: 5
"""
    )


def test_defaults_are_not_written_even_when_they_were_read():
    node = Config(Model, hidden=100)
    assert node.sizes == []
    assert to_yaml(node) == f"_target_: {M}\nhidden: 100\n"
    node.sizes.append(1)
    assert to_yaml(node).endswith("sizes:\n- 1\n")


def test_a_target_that_is_a_name_is_written_as_what_it_names():
    assert to_yaml(Config(M, 4)) == to_yaml(Config(Model, 4))


def test_text_of_several_lines_is_written_in_several_lines():
    assert to_yaml(Config(Model, act="set -e\nls\n")).endswith("act: |\n  set -e\n  ls\n")


def test_shared_things_are_anchors_in_yaml_and_numbers_elsewhere():
    shared = [1]
    node = Config(train, shared, shared)
    assert to_yaml(node) == f"_target_: {F}\nmodel: &id001\n- 1\ndata: *id001\n"
    assert tomllib.loads(to_toml(node)) == {
        "_target_": F,
        "model": {"_id_": 1, "_list_": [1]},
        "data": {"_same_": 1},
    }
    assert '"data": {\n    "_same_": 1\n  }' in to_json(node)


def test_toml_has_tables():
    node = Config(train, Config(Model, 4), {"a b": {"c": [1.5, True]}}, steps=3)
    node.data["nodes"] = [Config(Model), Config(Model, sizes=[1])]
    assert tomllib.loads(to_toml(node)) == {
        "_target_": F,
        "model": {"_target_": M, "hidden": 4},
        "data": {"a b": {"c": [1.5, True]}, "nodes": [{"_target_": M}, {"_target_": M, "sizes": [1]}]},
        "steps": 3,
    }


def test_writing_twice_gives_the_same_text():
    node = Config(Model, act={"b", "a", "c"}, sizes=[1, 2])
    assert to_yaml(node) == to_yaml(node.clone()) == to_yaml(from_yaml(to_yaml(node), allow=[__name__]))


def test_toml_refuses_none_and_says_where():
    with pytest.raises(
        NodeError, match=r"^data\['a'\]\[1\] is None, which TOML has no word for: unset it, or write YAML"
    ):
        to_toml(Config(train, 1, {"a": [1, None]}))


def test_toml_refuses_a_list():
    with pytest.raises(NodeError, match="a file in TOML is a mapping, and this is a list: write YAML or JSON"):
        to_toml([Config(Model)])


def local():
    def inner():
        pass

    return inner


class Odd:
    def method(self):
        pass

    @classmethod
    def make(cls):
        return cls()


@pytest.mark.parametrize(
    "value",
    [
        lambda: 1,
        local(),
        sys.stdout,
        threading.Lock(),
        b"bytes",
        1j,
        object(),
        Odd(),
        Odd().method,
        Odd.make,
        functools.partial(print, 1),
        OrderedDict(a=1),
        Point(1, 2),
        numpy.float64(1),
        numpy.zeros(2),
        threading,
        list[int],
        int | None,
        "\ud83d",
        {"\ud83d": 1},
        type("Made", (), {}),
    ],
    ids=lambda value: ascii(value).partition(" at 0x")[0][:40],
)
@pytest.mark.parametrize("write", [to_yaml, to_json, to_toml])
def test_what_cannot_be_written_is_named_with_its_path(write, value):
    with pytest.raises(
        NodeError, match=r"^model\.act\[0\](\['a'\])? is .*, which cannot be written: .*What can be: text"
    ):
        write(Config(train, Config(Model, act=[value])))


def test_a_target_that_cannot_be_found_again_is_refused():
    with pytest.raises(NodeError, match=r"^model is <function .*: no module has it under its own name"):
        to_yaml(Config(train, Config(lambda: 1)))


def test_what_holds_itself_is_refused():
    node = Config(train, [])
    node.model.append(node)
    with pytest.raises(NodeError, match=r"^model\[0\] holds itself, and cannot be written"):
        to_yaml(node)


def test_values_without_a_name_after_one_that_is_not_set_are_refused():
    node = Config(lambda_free, 1, 2, 3)
    del node.one
    with pytest.raises(NodeError, match=r"^<root>: 'one' must be set, since what comes after it is"):
        to_yaml(node)


def lambda_free(one, *rest):
    return one, rest


def test_a_file_is_written_and_never_replaced_by_accident(tmp_path):
    path = tmp_path / "new" / "run.yml"
    text = to_yaml(Config(Model, 1), path)
    assert path.read_text() == text
    with pytest.raises(UserError, match=r"run\.yml exists; remove it or choose another name"):
        to_json(Config(Model, 2), path)
    assert path.read_text() == text
    assert to_toml(Config(Model, 3), path, replace=True) == path.read_text() != text


def test_nothing_is_written_when_something_cannot_be(tmp_path):
    with pytest.raises(NodeError):
        to_yaml(Config(Model, act=object()), tmp_path / "run.yml")
    assert list(tmp_path.iterdir()) == []
