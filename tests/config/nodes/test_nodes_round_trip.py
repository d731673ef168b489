"""What is written as YAML, JSON or TOML is read back the same, with the same sharing."""

from __future__ import annotations

import enum
import json
import math
import pickle
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from held_values import held
from hypothesis import given, settings as hypothesis_settings, strategies as st
from pydantic import BaseModel

from neox_core.config.nodes import (
    Config,
    Node,
    Partial,
    build,
    from_json,
    from_toml,
    from_yaml,
    to_json,
    to_toml,
    to_yaml,
)
from neox_core.config.nodes.tree import children

FORMS = {"yaml": (to_yaml, from_yaml), "json": (to_json, from_json), "toml": (to_toml, from_toml)}
every_form = pytest.mark.parametrize("form", FORMS)
quick = hypothesis_settings(max_examples=40)


class Act(enum.Enum):
    RELU = "relu"
    GELU = "gelu"
    SAME = "gelu"


class Word(enum.StrEnum):
    ONE = "one"


@dataclass
class Model:
    hidden: Any = 100
    layers: Any = None

    @dataclass
    class Inner:
        size: int = 1


@dataclass
class Typed:
    act: Act = Act.RELU
    size: tuple[int, int] = (1, 2)
    sizes: list[tuple[int, ...]] = field(default_factory=list)
    path: Path | None = None
    paths: dict[str, Path] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    either: tuple[int, ...] | list[int] = ()
    words: str | Path = ""
    call: Callable[..., Any] = print


@dataclass
class Nested:
    pair: tuple[list[tuple[int, int]]]


class Two(BaseModel):
    one: int = 1
    two: int = 2


def double(one: Any, two: Any = 2, /, three: Any = 3, *rest: Any, four: Any = 4, **others: Any) -> tuple[Any, ...]:
    return one, two, three, rest, four, others


def again(form: str, value: Any, **options: Any) -> Any:
    write, read = FORMS[form]
    return read(write(value), allow=[__name__, "math"], **options)


HARD_TEXTS = [
    "os.getcwd",
    "${x}",
    "1e5",
    "1E-5",
    "yes",
    "no",
    "null",
    "~",
    "true",
    "0x1F",
    "010",
    "1_000",
    "2020-01-01",
]
HARD_TEXTS += [
    "1:30",
    "|",
    "-",
    "=",
    "<<",
    "[]",
    "{}",
    "#",
    "*a",
    "&a",
    "!!x",
    "%x",
    "@x",
    "`x",
    '"q"',
    "'q'",
    "\\n",
    "a:",
]
HARD_VALUES = [
    *HARD_TEXTS,
    "",
    " ",
    " leading",
    "a: b",
    "a #b",
    "trailing ",
    "a\nb",
    "a\n\n b\n",
    "\n",
    " \n a",
    "a\n",
    "a\n\n\n",
    "tab\tand\rreturn",
    "ümläut 漢字 \U0001f600",
    "\x85\u2028\u2029\x00\x1b\x7f\ufeff\uffff",
    "x" * 3000,
    "word " * 100,
    True,
    0,
    -1,
    10**30,
    1.0,
    -0.0,
    1e-300,
    1e22,
    math.inf,
    -math.inf,
    math.nan,
    [],
    {},
    (),
    [[]],
    [()],
    (1, (2, [3])),
    {1, 2},
    frozenset({"a"}),
    {"a": {"b": {}}},
    {1: 2, "1": 3, (1, 2): 4, 1.5: 5},
    {"_target_": "os.getcwd", "_x_": 1, "_": 2, "": 3},
    {"a.b": 1, "a-b": 2, "<<": 3, "yes": 4, "k" * 2000: 5, "ü\n": 6},
    Path("a/b"),
    Path(),
    Act.GELU,
    Word.ONE,
    Model,
    Model.Inner,
    double,
    math.isqrt,
    [Config(Model), Partial(Model, hidden=0)],
    ({"a": (Config(Model.Inner, 5),)},),
    Config(Two, one=3, two=4),
    Config({}, a=1, **{"a-b": 2, "_x_": 3}),
    Config(dict[str, int]),
    Config(double, 1, 2, 3, 4, Config(Model), four=5, z=6),
    Partial(double, 1),
    Config(hidden=5),
    Partial(),
]


@every_form
@pytest.mark.parametrize("value", HARD_VALUES, ids=lambda value: ascii(value).partition(" at 0x")[0][:40])
def test_a_value_survives(form, value):
    node = Config(Model, hidden=value, layers=[value])
    read = again(form, node)
    assert node.diff(read) == ""
    assert read == node


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_none_survives(form):
    node = Config(Model, hidden=None, layers=[None, {"a": None}, {None: 1}])
    assert again(form, node) == node


@every_form
def test_annotations_make_plain_lists_and_text_what_they_are(form):
    node = Config(
        Typed,
        act=Act.GELU,
        size=(3, 4),
        sizes=[(1,), ()],
        path=Path("a/b"),
        paths={"a": Path("c")},
        tags={"x", "y"},
        either=(1, 2),
        words=Path("d"),
        call=double,
    )
    assert again(form, node) == node
    plain = yaml.safe_load(to_yaml(node))
    assert plain["act"] == "GELU"
    assert plain["size"] == [3, 4]
    assert plain["sizes"] == [[1], []]
    assert (plain["path"], plain["paths"]) == ("a/b", {"a": "c"})
    assert plain["tags"] == ["x", "y"]
    assert plain["either"] == {"_tuple_": [1, 2]}, "it might be a list"
    assert plain["words"] == {"_path_": "d"}, "it might be text"


def named_like_markers(_path_: Path = Path(), _sizes_: tuple[int, ...] = ()) -> None:
    """Has parameters whose names are none in a text."""


@every_form
def test_annotations_hold_for_parameters_that_are_named_like_markers_too(form):
    node = Config(named_like_markers, _path_=Path("a"), _sizes_=(1, 2))
    assert again(form, node) == node


@every_form
def test_what_does_not_fit_its_annotation_is_not_made_to_fit(form):
    node = Config(Typed, act="GELU", size=[3, 4], sizes=([1],), path="a/b", paths={"a": "c"}, tags=["x"], either=[1])
    assert again(form, node, check=False) == node


@every_form
def test_what_is_shared_is_shared_again(form):
    leaf, numbers, table, tags = Config(Model, 1), [1, (2,)], {"a": 1}, {1}
    node = Config(
        Model, hidden=[leaf, numbers, table, tags], layers={"b": (leaf, numbers), "c": [table, tags, [1, (2,)]]}
    )
    read = again(form, node)
    assert read == node
    assert read.hidden[0] is read.layers["b"][0]
    assert read.hidden[1] is read.layers["b"][1]
    assert read.hidden[2] is read.layers["c"][0]
    assert read.hidden[3] is read.layers["c"][1]
    assert read.hidden[1] is not read.layers["c"][2]
    built = build(read)
    assert built.hidden[0] is built.layers["b"][0]


@every_form
def test_what_is_shared_under_annotations_is_one_object_too(form):
    numbers = [(1, 2)]
    node = Config(dict, a=Config(Typed, sizes=numbers), b=[numbers], c=Config(Typed, sizes=numbers))
    read = again(form, node)
    assert read == node
    assert read.a.sizes is read.b[0] is read.c.sizes


@every_form
def test_what_is_shared_within_a_tuple_that_is_there_twice_is_one_object(form):
    pair = ([(1, 2)],)
    node = Config(dict, a=Config(Nested, pair), b=Config(Nested, pair))
    read = again(form, node)
    assert read == node
    assert read.a.pair[0] is read.b.pair[0]


@every_form
def test_equal_but_separate_things_stay_separate(form):
    read = again(form, Config(Model, hidden=Config(Model), layers=Config(Model)))
    assert read.hidden is not read.layers
    assert read.hidden == read.layers


@every_form
def test_two_readings_share_nothing(form):
    write, read = FORMS[form]
    text = write(Config(Model, hidden=Config(Model, hidden=4), layers=[Config(Model, hidden=5), {"a": [1]}]))
    one, other = (read(text, allow=[__name__]) for _ in range(2))
    assert (one.hidden.hidden, one.layers[0].hidden) == (4, 5)
    one.hidden.hidden = one.layers[1]["a"][0] = 7
    one.layers.append(8)
    assert other.hidden.hidden == 4
    assert other.layers[1:] == [{"a": [1]}]
    assert not held(one).keys() & held(other).keys()


@every_form
def test_partials_make_what_configs_make(form):
    node = again(form, Partial(Model, hidden=Config(Model, 5)))
    assert isinstance(node, Partial)
    assert build(node)() == Model(Model(5))


# Properties


@st.composite
def trees(draw, leaves) -> Node[Any]:
    """Nodes and containers which hold what was drawn before them, so that much is shared."""
    drawn: list[Any] = [draw(leaves), draw(leaves)]
    for _ in range(draw(st.integers(1, 7))):
        earlier = st.sampled_from(drawn)
        kind = draw(st.sampled_from([Config, Partial]))
        drawn.append(
            draw(
                st.builds(kind, st.just(Model), hidden=earlier, layers=earlier)
                | st.builds(kind, st.just({}), a=earlier)
                | st.builds(kind, st.just(double), earlier, earlier, earlier, earlier, four=earlier)
                | st.lists(earlier, max_size=3)
                | st.lists(earlier, max_size=2).map(tuple)
                | st.dictionaries(st.text(max_size=3) | st.integers(0, 2), earlier, max_size=2)
            )
        )
    return Config(Model, *drawn[-2:])


TEXT = st.text(max_size=6) | st.text("\n \t'\":#-", max_size=6)
LEAVES = (
    st.booleans()
    | st.integers(-3, 3)
    | st.floats()
    | TEXT
    | st.sampled_from([Model, double, Act.GELU, Path("a")])
    | st.sets(st.integers(0, 3), max_size=2)
)


def sharing(value: Any) -> list[int]:
    """Which lists, mappings, sets and nodes of a tree are the same, as numbers in the order in which they are met."""
    numbers: dict[int, int] = {}
    found: list[int] = []

    def visit(item: Any) -> None:
        if isinstance(item, Node | list | dict | set):
            known = id(item) in numbers
            found.append(numbers.setdefault(id(item), len(numbers)))
            if known:
                return
        inner = dict(children(item))
        for key in sorted(inner, key=str):
            visit(inner[key])

    visit(value)
    return found


@quick
@given(trees(LEAVES | st.none()))
def test_any_tree_survives_yaml(tree):
    read = again("yaml", tree)
    assert tree.diff(read) == ""
    assert sharing(read) == sharing(tree)
    assert to_yaml(read) == to_yaml(tree)


@quick
@given(trees(LEAVES | st.none()))
def test_any_tree_survives_json(tree):
    read = again("json", tree)
    assert tree.diff(read) == ""
    assert sharing(read) == sharing(tree)
    json.loads(to_json(tree), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@quick
@given(trees(LEAVES))
def test_any_tree_without_none_survives_toml(tree):
    read = again("toml", tree)
    assert tree.diff(read) == ""
    assert sharing(read) == sharing(tree)
    tomllib.loads(to_toml(tree))


@st.composite
def annotated(draw) -> Node[Any]:
    """Arguments that fit their annotations and others, some of them shared."""
    words = st.sampled_from(["GELU", "a/b", "x", Path("a/b"), Act.GELU, 1])
    drawn: list[Any] = [draw(words), [draw(words)], (1, 2)]
    for _ in range(draw(st.integers(1, 6))):
        earlier = st.sampled_from(drawn)
        drawn.append(
            draw(
                st.lists(earlier, max_size=3)
                | st.lists(earlier, max_size=3).map(tuple)
                | st.dictionaries(words, earlier, max_size=2)
                | st.sets(words, max_size=2)
                | st.frozensets(words, max_size=2)
                | st.dictionaries(st.sampled_from(FIELDS), earlier, max_size=4).map(
                    lambda found: Config(Typed, **found)
                )
                | st.builds(Config, st.just(Nested), pair=earlier)
            )
        )
    return Config(Model, *drawn[-2:])


FIELDS = [field.name for field in fields(Typed)]


@quick
@given(annotated())
def test_any_annotated_tree_survives(tree):
    for form in FORMS:
        read = again(form, tree, check=False)
        assert tree.diff(read) == ""
        assert sharing(read) == sharing(tree)


@quick
@given(TEXT | st.text(max_size=50))
def test_any_text_survives(text):
    for form in FORMS:
        assert again(form, Config(dict, a=text, **{f"k{text}": 1})) == Config(dict, a=text, **{f"k{text}": 1})


@quick
@given(trees(LEAVES | st.none()))
def test_writing_leaves_the_tree_as_it_was(tree):
    before = pickle.dumps(tree.clone())
    to_yaml(tree)
    assert pickle.loads(before) == tree
