"""`NeoXArgs`: validation with all problems at once, the flat namespace, changing and saving it."""

from __future__ import annotations

import copy
import math

import pytest
from hypothesis import given, strategies as st

from neox_core.config import CORE_GROUPS, ModelSettings, NeoXArgs, PluginSettings, dump_yaml, read_text
from neox_core.errors import SettingsError

MODEL = {
    "num_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "seq_length": 8,
    "max_position_embeddings": 8,
    "train_iters": 5,
}


def args(**changes) -> NeoXArgs:
    return NeoXArgs.from_dict({**MODEL, **changes})


def problems(values: dict) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        NeoXArgs.from_dict(values)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_layer", 3, "there is no such setting (did you mean 'num_layers'?)"),
        ("Num_Layers", 3, "there is no such setting (did you mean 'num_layers'?)"),
        ("zzz", 3, "there is no such setting (`neox plugins` lists what is installed)"),
        ("num_layers", "two", "'two' is not a whole number > 0"),
        ("num_layers", 0, "0 is not a whole number > 0"),
        ("num_layers", 2.5, "2.5 is not a whole number > 0"),
        ("num_layers", True, "True is not a whole number > 0"),
        ("num_layers", None, "None is not a whole number > 0"),
        ("rotary_pct", 1.5, "1.5 is not a number > 0 and <= 1"),
        ("attention_dropout", 1, "1 is not a number >= 0 and < 1"),
        ("gpt_j_residual", "yes", "'yes' is not true or false"),
        ("norm", 3, "3 is not text"),
        ("run_name", 3, "3 is not text or null"),
        ("train_data_paths", "x", "'x' is not a list of texts or null"),
        ("train_data_paths", ["x", 1], "['x', 1] is not a list of texts or null"),
        ("train_data_weights", ["x"], "['x'] is not a list of numbers or null"),
        ("train_data_weights", [math.nan], "[nan] is not a list of numbers or null"),
        ("weight_decay", math.nan, "nan is not a number >= 0"),
        ("gradient_clipping", math.inf, "inf is not a number >= 0"),
        ("optimizer", "adam", "'adam' is not a mapping or null"),
        ("precision", "bf61", "'bf61' is not one of fp32, fp16, bfloat16 or null"),
        ("precision", "bfloat32", "(did you mean 'bfloat16'?)"),
        ("precision", "BF16", "(did you mean 'bfloat16'?)"),
        ("init_method", "xavier", "did you mean 'xavier_normal'?"),
        ("master_port", 70000, "70000 is not a whole number >= 0 and <= 65535"),
        ("plugin_prefer", {"attention.x": 1}, "is not a mapping"),
    ],
)
def test_each_mistake_is_said_with_value_and_what_is_allowed(key, value, message):
    (problem,) = problems({**MODEL, key: value})
    assert problem.startswith(f"dictionary: {key}: ")
    assert message in problem


def test_all_problems_are_found_in_one_pass():
    found = problems({"num_layers": "x", "hiden_size": 3, "seed": -1, "warmup": 2, "precision": "fp8"})
    about = {problem.removeprefix("dictionary: ").partition(":")[0] for problem in found}
    required = {"hidden_size", "num_attention_heads", "seq_length", "max_position_embeddings"}
    assert about == {"num_layers", "hiden_size", "seed", "warmup", "precision"} | required


def test_a_key_that_must_be_given_says_what_it_means():
    missing = {key: value for key, value in MODEL.items() if key != "num_layers"}
    assert problems(missing) == ["num_layers: must be given (Transformer blocks; a whole number > 0)"]


def test_problems_point_to_their_lines(tmp_path):
    file = tmp_path / "run.yml"
    file.write_text("\n".join(f"{key}: {value}" for key, value in MODEL.items()) + "\n\nseed: no\n")
    with pytest.raises(SettingsError, match=r"run.yml:8: seed: False is not a whole number > 0"):
        NeoXArgs.from_ymls([file])
    with pytest.raises(SettingsError, match=r"^command line \(seed=x\): seed: 'x' is not"):
        NeoXArgs.from_ymls([file], overrides=["seed=x"])


def test_every_key_of_the_core_says_what_it_means_and_has_one_owner():
    seen: dict[str, str] = {}
    for group in CORE_GROUPS:
        assert group.__doc__
        for key, field in group.model_fields.items():
            assert field.description, key
            assert seen.setdefault(key, group.group_name) == group.group_name
            assert {"from_checkpoint", "origin"} <= set(field.json_schema_extra)


def test_keys_and_defaults_read_flat():
    found = args(seed=7)
    assert (found.seed, found.norm) == (7, "layernorm")
    assert "seed" in found
    assert "norm" not in found
    assert found.groups[ModelSettings].num_layers == 2
    with pytest.raises(AttributeError, match="there is no setting 'sed'; did you mean 'seed'"):
        _ = found.sed


def test_values_are_set_and_validated():
    found = args()
    found.seed = 9
    found.update_value("log-interval", 3)
    assert (found.seed, found.log_interval) == (9, 3)
    assert str(found.origin("seed")) == "set in Python"
    assert found.origin("norm") is None


@pytest.mark.parametrize(("key", "value"), [("seed", "x"), ("sed", 3), ("num_layers", 0)])
def test_a_refused_change_leaves_everything_as_it_was(key, value):
    found = args(seed=7)
    before, groups = found.to_dict(), found.groups
    with pytest.raises(SettingsError):
        found.update_value(key, value)
    assert found.to_dict() == before
    assert found.groups == groups
    assert found.seed == 7


def test_groups_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        args().groups[ModelSettings].num_layers = 3


def test_a_copy_is_independent():
    found = args()
    other = copy.copy(found)
    deep = copy.deepcopy(found)
    deep.seed = 3
    assert other.num_layers == 2
    assert found.seed == 1234


# Round trips through a file

PRINTABLE = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff￾￿"), max_size=12)
TRICKY = st.sampled_from(
    [
        "1e5",
        "1E-5",
        ".5",
        "5.",
        "yes",
        "null",
        "~",
        "",
        "=",
        "<<",
        "2024-01-01",
        "1_0",
        "010",
        "0x1",
        "1:30",
        "a: b",
        "#x",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | PRINTABLE | TRICKY
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PRINTABLE | TRICKY, inner, max_size=3)
)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), VALUES, max_size=4))
def test_what_is_dumped_is_read_back(values):
    found = {entry.key: entry.value for entry in read_text(dump_yaml(values), "x.yml")}
    assert found == values
    assert repr(found) == repr(values)  # types too: 1 is not 1.0 and not True


GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(1, 10**9),
        "rotary_pct": st.floats(0, 1, exclude_min=True),
        "gpt_j_residual": st.booleans(),
        "run_name": st.none() | PRINTABLE | TRICKY,
        "train_data_paths": st.lists(PRINTABLE | TRICKY, max_size=3),
        "optimizer": st.dictionaries(PRINTABLE, VALUES, max_size=3),
        "lr_decay_iters": st.none() | st.integers(1, 10**6),
    },
)


@given(GIVEN)
def test_saved_settings_are_read_back(tmp_path_factory, given):
    file = tmp_path_factory.mktemp("saved") / "settings.yml"
    one = args(**given)
    one.save_yml(file)
    two = NeoXArgs.from_ymls([file])
    assert two.to_dict() == one.to_dict()
    assert two.groups == one.groups


def test_repeated_values_are_written_in_full():
    shared = [1, 2]
    assert "&" not in dump_yaml({"a": shared, "b": shared})


def test_plugin_switches_are_a_group_like_any_other():
    assert args(plugin_disable=["logger.jsonl"]).groups[PluginSettings].plugin_disable == ["logger.jsonl"]
