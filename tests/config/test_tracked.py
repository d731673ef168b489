"""`Tracked`: what an object was made with, beside what it has become."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field, fields
from typing import Any

import pytest

from neox_core.config.checkpoint_policies import BIONEMO_OVERRIDE_PARENT_FIELDS
from neox_core.config.plain import plain
from neox_core.config.tracked import Tracked, common_hparams, merge_hparams


@dataclass
class Base(Tracked):
    a: int
    b: int = 3
    c: int = 3


@dataclass
class Overriding(Base):
    c: int = 4

    def raise_b(self) -> None:
        self.set_hparam("b", self.b + 2)


@dataclass
class Model(Tracked):
    """`ffn_hidden_size` and `init_method` become something else after they were given."""

    hidden_size: int = 16
    ffn_hidden_size: int | None = None
    init_method: Any = None
    prefixes: list[str] = field(default_factory=list)
    initial_ckpt_path: str | None = None

    def __post_init__(self) -> None:
        if self.ffn_hidden_size is None:
            self.ffn_hidden_size = 4 * self.hidden_size
        if self.init_method is None:
            self.init_method = ("normal", self.hidden_size)


class Plain(Tracked):
    def __init__(self, first: int, *, width: int = 8, names: tuple[str, ...] = ()) -> None:
        self.first, self.width, self.names = first, width * 10, names


class Handing(Plain):
    def __init__(self, extra: str = "x", width: int = 9, **others: Any) -> None:
        super().__init__(width=width, **others)
        self.extra = extra


def test_what_was_given_is_told_apart_from_the_defaults():
    made = Base(1, c=5)
    assert [made.get_hparam(name) for name in made.hparam_names()] == [1, 3, 5]
    assert made.get_hparams() == {"a": 1, "c": 5}
    assert Base(1, b=3).get_hparams() == {"a": 1}, "a default that is given is the default"


def test_a_subclass_overrides_a_default_of_its_parent():
    assert (Base(1).get_hparam("c"), Overriding(1).get_hparam("c")) == (3, 4)
    assert Overriding(1, c=3).get_hparams() == {"a": 1, "c": 3}


def test_the_tracked_value_can_be_set_without_the_live_one():
    made = Base(1)
    made.set_hparam("b", 7, also_change_value=False)
    assert (made.b, made.get_hparam("b"), made.reinit().b) == (3, 7, 7)
    made.set_hparam("c", 9)
    assert (made.c, made.get_hparams()) == (9, {"a": 1, "b": 7, "c": 9})


def test_an_attribute_that_is_set_is_not_tracked():
    made = Base(1)
    made.b = 50
    assert (made.get_hparam("b"), made.reinit().b) == (3, 3)


def test_what_a_method_sets_survives_being_made_anew():
    made = Overriding(1)
    made.raise_b()
    again = made.reinit()
    assert (made.b, again.b, again.c, type(again)) == (5, 5, 4, Overriding)


@pytest.mark.parametrize("name", ["d", "hidden_size", "_given_hparams", "raise_b"])
def test_an_unknown_name_is_a_key_error_with_the_options(name):
    made = Overriding(1)
    for act in (lambda: made.get_hparam(name), lambda: made.set_hparam(name, 1)):
        with pytest.raises(KeyError, match=f"Overriding has no hparam '{name}'. Options: a, b, c"):
            act()
    assert made == Overriding(1)


def test_a_value_of_a_factory_that_was_never_set_is_made():
    made = Model()
    made.get_hparam("prefixes").append("leak")
    assert (made.get_hparam("prefixes"), made.get_hparams(), Model().prefixes) == ([], {}, [])


def test_containers_are_copied_in_and_out():
    prefixes = ["head"]
    made = Model(prefixes=prefixes)
    prefixes.append("leak")
    made.get_hparams()["prefixes"].append("leak")
    made.reinit().prefixes.append("leak")
    assert made.get_hparams() == {"prefixes": ["head"]}


def test_derived_values_are_live_and_the_given_ones_tracked():
    made = Model(hidden_size=32)
    assert (made.ffn_hidden_size, made.get_hparam("ffn_hidden_size")) == (128, None)
    assert made.get_hparams() == {"hidden_size": 32}
    made.set_hparam("hidden_size", 8)
    assert (made.ffn_hidden_size, made.reinit().ffn_hidden_size) == (128, 32), "only making it anew derives again"


def test_classes_that_are_no_dataclasses_are_tracked_too():
    made = Plain(3, names=("x",))
    assert (made.width, made.get_hparam("width"), made.get_hparams()) == (80, 8, {"first": 3, "names": ("x",)})
    handing = Handing(first=1, names=("y",))
    assert handing.hparam_names() == ("extra", "width", "first", "names")
    assert (handing.get_hparam("width"), handing.width) == (9, 90)
    handing.set_hparam("first", 2, also_change_value=False)
    again = handing.reinit()
    assert (again.first, again.names, again.extra, again.width) == (2, ("y",), "x", 90)


def test_an_argument_that_there_is_not_is_the_class_s_own_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'd'"):
        Base(1, d=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        Base()  # type: ignore[call-arg]


@pytest.mark.parametrize("twin_of", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_a_copy_has_hparams_of_its_own(twin_of):
    made = Base(1, b=5)
    twin = twin_of(made)
    twin.set_hparam("b", 6)
    assert (made.get_hparams(), twin.get_hparams()) == ({"a": 1, "b": 5}, {"a": 1, "b": 6})


def test_a_frozen_dataclass_keeps_its_live_values():
    @dataclass(frozen=True)
    class Frozen(Tracked):
        a: int = 1

    made = Frozen(2)
    with pytest.raises(AttributeError):
        made.set_hparam("a", 3)
    assert made.get_hparams() == {"a": 2}, "a value that could not be set is not tracked either"
    made.set_hparam("a", 4, also_change_value=False)
    assert (made.a, made.reinit().a) == (2, 4)


def test_values_whose_comparison_is_no_truth_are_given_ones():
    class Array:
        def __eq__(self, other: object) -> Any:
            return [True, False]

        __hash__ = None  # type: ignore[assignment]

    array = Array()
    assert Model(init_method=array).get_hparams() == {"init_method": array}


# The merge of BioNeMo: (mine, the checkpoint's, names kept) -> tracked and live values of ffn_hidden_size

MERGES = [
    ({"hidden_size": 8}, {"hidden_size": 32}, (), (None, 128)),
    ({"ffn_hidden_size": 7}, {"hidden_size": 32}, (), (None, 128)),
    ({}, {"hidden_size": 32, "ffn_hidden_size": 99}, (), (99, 99)),
    ({"hidden_size": 8}, {"hidden_size": 32}, ("ffn_hidden_size",), (None, 32)),
    ({"hidden_size": 8, "ffn_hidden_size": 5}, {"hidden_size": 32}, ("ffn_hidden_size",), (5, 5)),
]


@pytest.mark.parametrize(("mine", "saved", "kept", "expected"), MERGES)
def test_both_values_of_a_merged_hparam_are_the_checkpoint_s(mine, saved, kept, expected):
    target, source = Model(**mine), Model(**saved)
    merge_hparams(target, source, common_hparams(target, source, kept))
    assert (target.get_hparam("ffn_hidden_size"), target.ffn_hidden_size) == expected
    assert (target.get_hparam("hidden_size"), target.hidden_size) == (32, 32)
    assert target.init_method == ("normal", 32), "derived there, and not derived again"
    assert target.get_hparam("init_method") is None, "the next checkpoint derives it as this one did"


def test_the_next_checkpoint_derives_what_this_one_did():
    target, source = Model(hidden_size=8), Model(hidden_size=32)
    merge_hparams(target, source, common_hparams(target, source, BIONEMO_OVERRIDE_PARENT_FIELDS))
    assert target.get_hparams() == source.get_hparams() == {"hidden_size": 32}
    assert target.reinit() == source


def test_a_kept_hparam_is_mine_in_both_values():
    target, source = Model(initial_ckpt_path="mine"), Model(initial_ckpt_path="theirs", hidden_size=4)
    merge_hparams(target, source, common_hparams(target, source, BIONEMO_OVERRIDE_PARENT_FIELDS))
    assert (target.initial_ckpt_path, target.get_hparam("initial_ckpt_path"), target.hidden_size) == ("mine", "mine", 4)


def test_what_only_one_of_them_has_stays_out():
    @dataclass
    class Longer(Model):
        head: int = 2

    assert common_hparams(Longer(), Model()) == common_hparams(Model(), Longer()) == [f.name for f in fields(Model)]
    target = Longer(head=5)
    merge_hparams(target, Model(hidden_size=4), common_hparams(target, Model()))
    assert (target.head, target.hidden_size) == (5, 4)


def test_a_saved_object_is_plain_data_whatever_its_class_is_called_now():
    @dataclass
    class Renamed(Tracked):
        hidden_size: int = 1
        ffn_hidden_size: int | None = None
        initial_ckpt_path: str | None = None

    saved = plain(Model(hidden_size=32, prefixes=["head"]).get_hparams())
    assert saved == {"hidden_size": 32, "prefixes": ["head"]}
    assert Renamed(**{name: saved[name] for name in Renamed.hparam_names() if name in saved}) == Renamed(32)
