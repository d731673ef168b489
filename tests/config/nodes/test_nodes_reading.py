"""Reading nodes: what each form of text means, and what is said of what means nothing."""

from __future__ import annotations

import copy
import enum
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from neox_core import Config as PublicConfig, NeoXArgs, from_yaml as public_from_yaml
from neox_core.config.nodes import (
    Config,
    Partial,
    WrongArguments,
    build,
    explain,
    from_json,
    from_toml,
    from_yaml,
    set_value,
    to_json,
    to_toml,
    to_yaml,
    walk,
)
from neox_core.errors import Origin, SettingsError, UserError


class Act(enum.Enum):
    RELU = "relu"


@dataclass
class Model:
    hidden: int = 100
    sizes: tuple[int, ...] = ()
    act: Act = Act.RELU
    path: Path | None = None
    any: Any = None


@dataclass
class Trainer:
    model: Model
    layers: list[Model] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)


@dataclass
class Lists:
    paths: list[Path]
    words: list[str]


M, T = f"{__name__}.Model", f"{__name__}.Trainer"


def read(text: str, **options: Any) -> Any:
    return from_yaml(text, allow=[__name__], **options)


def problems(text: str, **options: Any) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        read(text, **options)
    return [str(problem) for problem in refused.value.problems]


def test_the_page_of_nemo_run_is_read():
    node = read(f"_target_: {T}\nmodel:\n    _target_: {M}\n    hidden: 16384\n")
    assert node == Config(Trainer, model=Config(Model, hidden=16384))
    node.model.hidden *= 2
    assert to_yaml(node) == f"_target_: {T}\nmodel:\n  _target_: {M}\n  hidden: 32768\n"
    assert read(f"{{_target_: {M}, _partial_: true, hidden: 5}}") == Partial(Model, hidden=5)


def test_broadcast_and_walk_change_what_was_read():
    node = read("_target_: builtins.dict\na: 5\nb: {_target_: builtins.dict, a: 10}\n")
    assert node.broadcast(a=20) == Config(dict, a=20, b=Config(dict, a=20))
    assert walk(node, a=lambda node: node.a * 2) == Config(dict, a=40, b=Config(dict, a=40))


def test_arguments_without_a_name_are_bound_to_their_names():
    assert read(f"_target_: {M}\n_args_: [5, [1]]\nact: RELU\n") == Config(Model, 5, (1,), Act.RELU)


def test_a_node_without_a_target_takes_the_class_that_is_annotated():
    text = f"_target_: {T}\nmodel: {{_partial_: false, hidden: 5}}\nlayers: [{{_partial_: false}}]\n"
    assert read(text) == Config(Trainer, Config(Model, hidden=5), [Config(Model)])
    assert to_yaml(read(text)).count(M) == 2


def test_plain_lists_and_text_are_what_annotations_say():
    node = read(f"_target_: {M}\nsizes: [1, 2]\npath: a/b\nact: RELU\nany: [a/b]\n")
    assert (node.sizes, node.path, node.act, node.any) == ((1, 2), Path("a/b"), Act.RELU, ["a/b"])
    assert read(f"_target_: {T}\nmodel: {{_target_: {M}}}\ntags: [a, a]\n").tags == {"a"}


def test_markers_say_it_where_annotations_do_not():
    text = """
        _target_: builtins.dict
        tuple: {_tuple_: [1, {_path_: a/b}]}
        set: {_set_: [{_tuple_: [1]}]}
        frozen: {_frozenset_: [1]}
        items: {_items_: [[1, a], [{_tuple_: [2]}, b], [_x_, c]]}
        float: {_float_: nan}
        text: {_text_: a}
        function: {_target_: builtins.dict, _call_: false}
    """
    built = build(from_yaml(text))
    assert math.isnan(built.pop("float"))
    assert built == {
        "tuple": (1, Path("a/b")),
        "set": {(1,)},
        "frozen": frozenset({1}),
        "items": {1: "a", (2,): "b", "_x_": "c"},
        "text": "a",
        "function": dict,
    }
    assert from_yaml("_target_: builtins.dict\na: {1: b, 2.5: c, null: d}").a == {1: "b", 2.5: "c", None: "d"}


def test_a_list_of_nodes_and_a_mapping_of_them_are_read():
    assert read(f"- {{_target_: {M}}}\n- 1\n") == [Config(Model), 1]
    assert read(f"_items_: [[a, {{_target_: {M}}}]]") == {"a": Config(Model)}


def test_aliases_share_and_merges_share_what_they_bring():
    node = from_yaml("_target_: builtins.dict\na: &a {x: [1]}\nb: *a\nc: {<<: *a, y: 2}\n")
    assert node.a is node.b
    assert node.c == {"x": [1], "y": 2}
    assert node.c["x"] is node.a["x"]


def test_what_is_used_in_two_places_is_not_what_one_of_them_wants():
    node = read(f"_target_: {__name__}.Lists\npaths: &a [x]\nwords: *a\n", check=False)
    assert node.paths is node.words
    assert node.words == ["x"]
    assert read(f"_target_: {__name__}.Lists\npaths: [x]\nwords: [x]\n").paths == [Path("x")]


@pytest.mark.parametrize("order", [("_id_", "_same_"), ("_same_", "_id_")])
def test_a_number_may_be_used_before_it_is_given(order):
    parts = {"_id_": '{"_id_": 7, "x": 1}', "_same_": '{"_same_": 7}'}
    node = from_json(f'{{"_target_": "builtins.dict", "a": {parts[order[0]]}, "b": {parts[order[1]]}}}')
    assert node.a == {"x": 1}
    assert node.a is node.b


def test_json_may_be_indented_by_tabs_and_escape_what_it_wants():
    node = from_json('{\n\t"_target_": "builtins.dict",\n\t"a": "\\ud83d\\ude00\\/\\u00e9",\n\t"b": 1E5\n}\n')
    assert build(node) == {"a": "\U0001f600/é", "b": 1e5}
    with pytest.raises(SettingsError, match="half of a character"):
        from_json('{"a": "\\ud83d"}')


def test_names_are_public():
    assert public_from_yaml is from_yaml
    assert PublicConfig is Config


# Where things were written

YAML = f"""\
_target_: {T}   # a trainer
model:
  _target_: {M}
  hidden: 5
layers:
- _target_: {M}
  hidden: 6
- {{_target_: {M},
   hidden: 7}}
"""
TOML = f"""\
_target_ = "{T}"
tags = [
  "a",
]

[model]
_target_ = "{M}"
any.deep.er = 1
hidden = 5

[[layers]]
_target_ = "{M}"
[[layers]]
_target_ = "{M}"
any = '''
text = 1
[no.header]
'''
hidden = 7
[layers.any2]
"""


def test_every_argument_knows_its_line(tmp_path):
    (tmp_path / "run.yml").write_text(YAML)
    node = read(str(tmp_path / "run.yml"))
    lines = {path: explain(node, path).origin.line for path in ("model", "model.hidden", "layers", "layers[0].hidden")}
    assert lines == {"model": 2, "model.hidden": 4, "layers": 5, "layers[0].hidden": 7}
    assert explain(node, "layers[1]").origin.line == 8
    assert explain(node, "layers[1].hidden").origin == Origin(
        str(tmp_path / "run.yml"), 9, "   hidden: 7}", key_start=3, key_end=9, value_start=11, value_end=12
    )
    assert explain(node).origin.line == 1
    assert explain(node, "model.act").origin is None


def test_toml_knows_its_lines_too():
    with pytest.raises(SettingsError, match=r"<text>:20: Model has no parameter 'any2'"):
        from_toml(TOML, allow=[__name__])
    node = from_toml(TOML.replace("[layers.any2]", ""), allow=[__name__])
    paths = ("tags", "model", "model.any", "model.any['deep']['er']", "model.hidden", "layers[0]", "layers[1].any")
    assert [explain(node, path).origin.line for path in paths] == [2, 6, 8, 8, 9, 11, 15]
    assert explain(node, "layers[1].hidden").origin.line == 19


def test_an_error_of_building_names_the_line():
    node = read(f"_target_: builtins.dict\na:\n  _target_: {T}\n", check=False)
    with pytest.raises(WrongArguments, match=r"<root>\.a: Trainer needs 'model', which is not set \(<text>:2\)"):
        build(node)


def test_what_is_set_later_in_python_is_known_to_be():
    node = read(f"_target_: {M}\nhidden: 5\n")
    node.hidden = 6
    assert explain(node, "hidden").origin.source == __file__


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"_target_: {M}\nhiden: 5", "<text>:2: Model has no parameter 'hiden'; did you mean 'hidden'?"),
        (
            f"_target_: {M}\n_recursive_: false",
            "<text>:2: '_recursive_' is not known (leave it out: what is within a node",
        ),
        (f"_target_: {M}\n_convert_: all", "<text>:2: '_convert_' is not known (leave it out: lists and mappings are"),
        (f"_targte_: {M}", "<text>:1: '_targte_' is not known (did you mean '_target_'? A key like that is written"),
        (f"_target_: {M}\nany: {{_x_: 1}}", "<text>:2: '_x_' is not known"),
        (f"_target_: {M}\nany: {{_tuple_: [1], a: 1}}", "<text>:2: 'a' cannot stand beside '_tuple_'"),
        (f"_target_: {M}\n_tuple_: []", "<text>:2: '_tuple_' cannot stand beside '_target_'"),
        (f"_target_: {M}\n_call_: false\nhidden: 5", "<text>:3: 'hidden' cannot stand beside '_call_: false'"),
        (f"_target_: {M}\n_partial_: 1", "<text>:2: _partial_ is true or false, not 1"),
        (f"_target_: {M}\n_partial_: 'true'", "<text>:2: _partial_ is true or false, not 'true'"),
        ("_target_: 5", "<text>:1: _target_ takes a dotted name"),
        ("_target_: [a.b]", "<text>:1: _target_ takes a dotted name"),
        ("_call_: false", "<text>:1: _call_ needs a _target_"),
        (f"_target_: {M}\n_args_: 5", "<text>:2: _args_ takes a list"),
        (f"_target_: {M}\n_args_: [1, [], RELU, a, 5, 6]", "<text>:1: Model takes 5 arguments without a name"),
        (f"_target_: {M}\n_args_: [1]\nhidden: 2", "<text>:1: Model: 'hidden' is given twice"),
        (f"_target_: {M}\n1: 2", "<text>:2: 1 is no name of an argument"),
        (f"_target_: {M}\n_items_: [[1, 2]]", "<text>:2: 1 is no name of an argument"),
        (f"_target_: {M}\n_items_: [[_x_, 2]]", "<text>:2: Model has no parameter '_x_'"),
        ("_partial_: false\n_args_: [1]", "<text>:1: arguments without a name need a target"),
        ("_tuple_: 5", "<text>:1: _tuple_ takes a list"),
        ("_set_: [[1]]", "<text>:1: a list or a mapping cannot be in a set"),
        ("_path_: 5", "<text>:1: _path_ takes text"),
        ("_float_: 5", "<text>:1: _float_ takes nan, inf or -inf"),
        ("_items_: {a: 1}", "<text>:1: _items_ takes a list of keys with their values"),
        ("_items_: [[1, 2, 3]]", "<text>:1: _items_ takes a list of keys with their values"),
        ("_items_: [[[1], 2]]", "<text>:1: a list or a mapping cannot be a key"),
        ("_items_: [[1, 2], [1, 3]]", "<text>:1: the key 1 is given twice"),
        ("_same_: 1", "<text>:1: _same_: 1 stands for nothing"),
        ("_items_: [[a, {_id_: 1}], [b, {_id_: 1}]]", "<text>:1: _id_: 1 is there twice"),
        ("_items_: [[a, {_id_: x}]]", "<text>:1: _id_ takes a whole number, not 'x'"),
        ("_id_: 1\n_items_: [[a, {_same_: 1}]]", "<text>:1: this holds itself"),
        ("_items_: [[a, {_id_: 1}], [b, {_same_: 1, c: 2}]]", "<text>:1: beside _same_ there is nothing"),
        ("_items_: [[a, {_id_: 1, _same_: 2}], [b, {_id_: 2, _same_: 1}]]", "<text>:1: _same_: 2 stands for nothing"),
        ("a: 1\na: 2", "<text>:2: the key 'a' is given twice"),
        ("a: [1", "<text>:1: the '[' that begins here is not closed"),
        ("? [1]\n: 2", "<text>:1: a list or a mapping cannot be a key"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(text, message):
    (found,) = problems(text)
    assert found.startswith(message)


def test_all_mistakes_of_a_file_are_told_at_once():
    text = f"_target_: {T}\nmodel: {{_target_: {M}, hiden: 1}}\nlayers:\n- {{_target_: os.getcwd}}\n- {{_y_: 1}}\n"
    assert [line.split(": ")[0] for line in problems(text)] == ["<text>:2", "<text>:4", "<text>:5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = 2020-01-01\n", "<text>:2: 2020-01-01 is a date or time, which nothing here takes"),
        ("a = 1\nb = \n", "<text>:2: not valid TOML: Invalid value"),
        ("a = 1\na = 2\n", "<text>:2: not valid TOML: Cannot overwrite a value"),
        ("a = " + "[" * 60 + "]" * 60, "<text>:1: lists and mappings are nested more than 50 deep"),
        ("a = " + "[" * 5000 + "]" * 5000, "<text>: lists and mappings are nested more than 50 deep"),
    ],
)
def test_toml_that_cannot_be_meant_is_refused(text, message):
    with pytest.raises(SettingsError) as refused:
        from_toml(text)
    assert str(refused.value).startswith(message)


def test_numbers_cannot_stand_for_more_than_anybody_writes():
    chain = ", ".join(
        f'[{n}, {{"_id_": {n}, "_list_": [{{"_same_": {n - 1}}}, {{"_same_": {n - 1}}}]}}]' for n in range(2, 30)
    )
    with pytest.raises(SettingsError, match="stands for more than 100000 values"):
        from_json(f'{{"_items_": [[1, {{"_id_": 1, "_list_": [1]}}], {chain}]}}')
    chain = ", ".join(f'[{n}, {{"_id_": {n}, "_list_": [{{"_same_": {n - 1}}}]}}]' for n in range(2, 200))
    with pytest.raises(SettingsError, match="nested more than 50 deep"):
        from_json(f'{{"_items_": [{chain}, [1, {{"_id_": 1, "_list_": [1]}}]]}}')


def test_arguments_are_held_against_their_annotations():
    text = f"_target_: {T}\nmodel:\n  _target_: {M}\n  hidden: many\n  sizes: [1, x]\n"
    assert problems(text) == [
        "<text>:4: model.hidden: 'many' is not a whole number",
        "<text>:5: model.sizes[1]: 'x': input should be a valid integer",
    ]
    assert read(text, check=False).model.sizes == (1, "x")
    text = f"_target_: {T}\nmodel: {{hidden: 3}}\n"
    (said,) = problems(text)
    assert said.startswith("<text>:2: model: {hidden: 3} is not Model (write `_target_: ")


def test_what_lacks_may_come_later():
    node = read(f"_target_: {T}\n")
    node.model = Config(Model, hidden=3)
    assert build(node).model.hidden == 3


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.yml: cannot be read: No such file"):
        from_yaml(tmp_path / "no.yml")
    with pytest.raises(UserError, match=r"no\.yml: cannot be read"):
        from_yaml("no.yml")


def test_a_file_may_have_any_name_when_it_is_said_to_be_one(tmp_path):
    (tmp_path / "run").write_text("_target_: builtins.dict\na: 1\n")
    assert from_yaml(tmp_path / "run").a == 1
    assert from_yaml("_target_: builtins.dict # not run.yml").build() == {}
    assert from_yaml("data: run.yml").data == "run.yml"


# A file without a target is the settings of a run

FLAT = """\
num-layers: 2
hidden_size: 64
num_attention_heads: 2
seq_length: 32
max_position_embeddings: 32
optimizer:
  type: Adam
  params:
    lr: 1e-4
"""


def test_a_flat_file_is_a_config_of_settings():
    node = from_yaml(FLAT)
    assert node == Config(NeoXArgs, **NeoXArgs.from_dict(node._arguments).to_dict())
    assert node.num_layers == 2
    assert node.optimizer["params"]["lr"] == 1e-4
    assert node.fp16 == NeoXArgs.from_dict(node._arguments).fp16, "defaults can be read"
    assert build(node) == NeoXArgs.from_dict({"num_layers": 2, **node._arguments})
    assert from_yaml(f"_target_: neox_core.NeoXArgs\n{FLAT}") == node


@pytest.mark.parametrize(("write", "read"), [(to_yaml, from_yaml), (to_json, from_json), (to_toml, from_toml)])
def test_settings_are_written_as_a_flat_file(write, read, tmp_path):
    node = from_yaml(FLAT)
    text = write(node)
    assert "_target_" not in text
    assert read(text) == node
    if write is not to_toml:
        (tmp_path / "run.yml").write_text(text)
        assert NeoXArgs.from_ymls(tmp_path / "run.yml") == build(node)


def test_settings_within_a_tree_keep_their_target():
    node = Config(dict, args=from_yaml(FLAT))
    assert "_target_: neox_core.NeoXArgs" in to_yaml(node)
    assert from_yaml(to_yaml(node)) == node


def test_instances_of_settings_become_nodes():
    args = build(from_yaml(FLAT))
    node = Config(dict, args=args)
    assert node.args == from_yaml(FLAT)
    assert str(explain(node, "args.optimizer['params']['lr']").origin) == "<text>:9"
    assert build(copy.deepcopy(node))["args"] == args


def test_errors_of_settings_name_the_lines_of_the_file():
    node = from_yaml(
        FLAT.replace("hidden_size: 64", "hidden_sise: 64").replace("num_attention_heads: 2", "num_attention_heads: x")
    )
    with pytest.raises(SettingsError) as refused:
        build(node)
    found = {problem.keys[0]: str(problem.origin) for problem in refused.value.problems if problem.origin}
    assert found == {"hidden_sise": "<text>:2", "num_attention_heads": "<text>:3"}


def test_settings_know_where_they_were_written():
    node = from_yaml(FLAT)
    set_value(node, "seq_length", 64, Origin(source="override"))
    node.max_position_embeddings = 64
    args = build(node)
    assert [str(args.origin(key)) for key in ("num_layers", "optimizer.params.lr", "seq_length")] == [
        "<text>:1",
        "<text>:9",
        "override",
    ]
    assert args.origin("max_position_embeddings").source == __file__


def test_settings_with_a_key_that_is_no_word_are_refused_with_its_line():
    for key in ("a.b", "a b", "a[0]"):
        with pytest.raises(SettingsError) as refused:
            build(from_yaml(f"{FLAT}{key}: 1\n"))
        assert "<text>:10" in {str(problem.origin) for problem in refused.value.problems}


def test_a_key_in_two_spellings_is_given_twice():
    (found,) = problems("num-layers: 2\nnum_layers: 3\n")
    assert found == "<text>:2: 'num_layers' is given twice, first in <text>:1 (remove one)"


def test_partial_settings_are_made_when_they_are_called():
    assert build(Partial(NeoXArgs, **from_yaml(FLAT)._arguments))() == build(from_yaml(FLAT))


def test_an_empty_file_is_settings_without_keys():
    assert from_yaml("# nothing\n") == from_toml("") == Config(NeoXArgs)
