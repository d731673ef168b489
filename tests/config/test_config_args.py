"""`NeoXArgs`: validation with all problems at once, the flat namespace, changing and saving it."""

from __future__ import annotations

import copy
import datetime
import enum
import io
import math
import pickle
import re
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st
from small_settings import MODEL

from neox_core.config import CORE_GROUPS, ModelSettings, NeoXArgs, Ownership, World, dump_yaml, elsewhere, read_text
from neox_core.config.derived import DERIVED
from neox_core.config.groups import PluginSettings
from neox_core.config.ownership import Owner
from neox_core.config.translation import is_spelling
from neox_core.errors import SettingsError
from neox_core.plugins import PluginManager, Switches


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
        ("num_layers", True, "true is not a whole number > 0"),
        ("num_layers", None, "null is not a whole number > 0"),
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
        ("precision", "float32", "(did you mean 'fp32'?)"),
        ("precision", "half", "(did you mean 'fp16'?)"),
        ("deepspeed", False, "false is not true"),
        ("extra_save_iters", [-1], "[-1] is not a list of whole numbers >= 0 or null"),
        ("init_method", "xavier", "did you mean 'xavier_normal'?"),
        ("checkpoint_factor", "log", "(did you mean 'checkpoint_scale: log'?)"),
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
    with pytest.raises(SettingsError, match=r"run.yml:9: seed: false is not a whole number > 0"):
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
    assert found.groups[ModelSettings].num_layers == 4
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
    assert other.num_layers == 4
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


# Values are copied on their way in and out

MAPPED: dict = {"fp16": {"enabled": False}, "attention_config": [[["global"], "all"]], "train_data_paths": ["a"]}


def spoil(value) -> None:
    """Change everything within a value that can be changed."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        spoil(item)
    if isinstance(value, dict):
        value["spoilt"] = True
    elif isinstance(value, list):
        value.append("spoilt")


@pytest.mark.parametrize(
    "given_out",
    [
        lambda found: [found.fp16, found.attention_config, found.train_data_paths],
        lambda found: found.to_dict(),
        lambda found: [entry.value for entry in found.entries],
        lambda found: [value for group in found.groups.values() for value in vars(group).values()],
        lambda found: [value for group in found.resolve().groups.values() for value in vars(group).values()],
        lambda found: [dict(found.resolve().values), found.resolve().deepspeed],
        lambda found: [copy.copy(found).to_dict(), copy.deepcopy(found).fp16],
    ],
)
def test_nobody_changes_settings_by_what_they_give_out(given_out):
    found = args(train_micro_batch_size_per_gpu=1, **MAPPED)
    spoil(given_out(found))
    assert {key: found.to_dict()[key] for key in MAPPED} == MAPPED
    assert {key: getattr(found, key) for key in MAPPED} == MAPPED
    assert found == args(train_micro_batch_size_per_gpu=1, **MAPPED)


def test_nobody_changes_settings_by_what_they_took():
    given = copy.deepcopy(MAPPED)
    found = args(**given)
    found.bf16 = bf16 = {"enabled": True}
    spoil(given)
    spoil(bf16)
    assert {key: getattr(found, key) for key in MAPPED} == MAPPED
    assert found.bf16 == {"enabled": True}


def test_what_was_resolved_stays_as_it_was():
    found = args(train_micro_batch_size_per_gpu=1, **MAPPED)
    resolved = found.resolve()
    before = copy.deepcopy((resolved.groups, resolved.values, resolved.deepspeed))
    found.attention_config = [[["global"], 2]]
    found.train_data_paths = ["b"]
    assert (resolved.groups, resolved.values, resolved.deepspeed) == before


def test_copies_are_changed_alone():
    found = args(**MAPPED)
    found.note = ["mine"]
    for twin in (copy.copy(found), copy.deepcopy(found)):
        twin.fp16 = {"enabled": True}
        twin.seed = 5
        assert {key: getattr(found, key) for key in MAPPED} == MAPPED
        assert found.seed == 1234
    assert copy.copy(found).note is found.note
    assert copy.deepcopy(found).note == ["mine"]
    assert copy.deepcopy(found).note is not found.note


class Word(str):
    __slots__ = ()


class Size(enum.IntEnum):
    SMALL = 3


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", np.int64(3), 3),
        ("seed", Size.SMALL, 3),
        ("hidden_dropout", np.float32(0.5), 0.5),
        ("gpt_j_residual", np.bool_(True), True),
        ("run_name", Word("x"), "x"),
        ("run_name", "\ud83d\ude00", "\U0001f600"),
        ("train_data_paths", ("a", "b"), ["a", "b"]),
        ("fp16", {Word("x"): (np.float64(1.5), [()])}, {"x": [1.5, [[]]]}),
    ],
)
def test_what_means_plain_data_becomes_plain(tmp_path, key, value, expected):
    found = args(**{key: value})
    assert repr(getattr(found, key)) == repr(expected)
    found.save_yml(tmp_path / "saved.yml")
    assert NeoXArgs.from_ymls([tmp_path / "saved.yml"]) == found


PLAIN = "is not plain data: text, numbers, true/false, null, lists and mappings with text keys"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("run_name", b"x", f"run_name: b'x' {PLAIN}"),
        ("run_name", datetime.date(2024, 1, 2), f"run_name: datetime.date(2024, 1, 2) {PLAIN}"),
        ("fp16", {"a": {"b": {1}}}, f"fp16: {{1}} {PLAIN}"),
        ("fp16", {"a": {1: 2}}, f"fp16: the key 1 {PLAIN}"),
        ("seed", np.zeros(2), f"seed: array([0., 0.]) {PLAIN}"),
        ("run_name", "\ud83d", "run_name: '\\ud83d' is not text: it has half of a character"),
    ],
)
def test_what_is_no_plain_data_is_refused_by_name(key, value, message):
    assert problems({**MODEL, key: value}) == [f"dictionary: {message}"]
    found = args()
    with pytest.raises(SettingsError, match=f"set in Python: {re.escape(message)}"):
        found.update_value(key, value)


def test_a_value_that_holds_itself_is_refused():
    endless: dict = {}
    endless["again"] = endless
    assert problems({"fp16": endless}) == ["dictionary: fp16: is nested too deeply, or holds itself"]


def test_keys_are_text_and_given_once():
    assert problems({1: 2}) == ["dictionary: 1: is a key that is not text (keys are words)"]
    assert "num_layers: is given twice" in problems({**MODEL, "num-layers": 3})[0]


# Settings as a Python object


def test_settings_are_pickled_with_the_choice_of_plugins():
    plugins = PluginManager(Switches(allow=("neox-toolkit",), disable={"logger.jsonl": "test"}))
    found = NeoXArgs.from_dict({**MODEL, "save_interval": 5, **MAPPED}, plugins=plugins)
    found.note, found.world = "mine", World.local(2)
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again.groups == found.groups
    assert again.notices == found.notices
    assert again.plugins.switches == plugins.switches
    assert (again.note, again.world) == ("mine", World.local(2))
    assert again.origin("checkpoint_factor") == found.origin("checkpoint_factor")


@pytest.mark.parametrize("name", ["resolve", "plugins", "entries", "ownership", "groups", "notices", "to_dict"])
def test_parts_of_settings_are_not_set(name):
    found = args()
    with pytest.raises(AttributeError, match=f"{name} is a part of NeoXArgs itself"):
        setattr(found, name, 1)
    assert found == args()


def test_an_earlier_spelling_is_set_like_any_key():
    found = args()
    found.save_interval = 5
    found.geglu = True
    found.train_data_path = "x"
    assert (found.checkpoint_factor, found.activation, found.train_data_paths) == (5, "geglu", ["x"])
    with pytest.raises(SettingsError, match="set in Python: warmup_iters: is no setting"):
        found.warmup_iters = 5


def test_a_repeated_notice_is_told_once():
    found = args()
    for interval in (5, 6, 7):
        found.save_interval = interval
        found.train_data_path = f"{interval}"
        found.deepscale = True
    assert sorted(notice.keys for notice in found.notices) == [("deepscale",), ("save_interval",), ("train_data_path",)]


def test_a_fact_of_the_process_gives_way_to_what_is_set():
    found = args()
    vars(found).update(rank=3)
    assert found.rank == 3
    found.rank = 4
    assert found.rank == 4


def test_an_origin_is_as_near_as_it_is_known(tmp_path):
    file = tmp_path / "run.yml"
    file.write_text(dump_yaml(MODEL) + "optimizer:\n  type: adam\n  params:\n    lr: 0.1\n")
    found = NeoXArgs.from_ymls([file], overrides=["optimizer.params.betas=[0.9, 0.95]"])
    lines = {
        path: found.origin(path).line for path in ("optimizer.type", "optimizer.params.lr", "optimizer.params.eps")
    }
    assert lines == {"optimizer.type": 9, "optimizer.params.lr": 11, "optimizer.params.eps": 10}
    assert str(found.origin("optimizer.params.betas")).startswith("command line (optimizer.params.betas=")
    assert found.origin("fp16.enabled") is None


def test_validation_says_true_or_what_is_wrong():
    found = args(train_micro_batch_size_per_gpu=1)
    assert found.validate_keys() is True
    assert found.validate_types() is True
    assert found.validate_values() is True
    found.seq_length = 9
    assert found.validate_types() is True
    with pytest.raises(SettingsError, match="max_position_embeddings 8 is less than seq_length 9"):
        found.validate_values()
    found.train_data_paths = ["x"]
    twice = Owner(found.ownership.by_key["train_data_paths"][0].group, "acme-neox 1.0")
    vars(found)["_ownership"] = Ownership([*found.ownership.owners, twice])
    with pytest.raises(SettingsError, match=r"is claimed by neox_core and acme-neox 1\.0"):
        found.validate_keys()


def test_output_is_copied_to_files_with_and_without_bytes_below(tmp_path, monkeypatch):
    with (tmp_path / "terminal").open("w") as terminal:
        notebook = io.StringIO()
        monkeypatch.setattr("sys.stdout", notebook)
        monkeypatch.setattr("sys.stderr", terminal)
        found = args(log_dir=str(tmp_path / "logs"))
        found.enable_logging()
        found.enable_logging()
        print("seen")
        print("wrong", file=sys.stderr)
    assert notebook.getvalue() == "seen\n"
    assert (tmp_path / "terminal").read_text() == "wrong\n"
    files = {path.name.partition("_")[2]: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert files == {"stdout.txt": "seen\n", "stderr.txt": "wrong\n"}


def test_output_is_not_copied_without_a_directory(capsys):
    before = sys.stdout
    args().enable_logging()
    assert sys.stdout is before


@pytest.mark.parametrize(
    "later",
    [
        {"overwrite_values": {"compat": "gpt-neox"}},
        {"overrides": ["compat=gpt-neox"]},
        {"overrides": ["compat='gpt-neox'"]},
        {"overrides": ["compat=null", 'compat="gpt-neox"']},
    ],
)
def test_compat_decides_about_spellings_wherever_it_is_given(tmp_path, later):
    (tmp_path / "a.yml").write_text(dump_yaml(MODEL))
    (tmp_path / "b.yml").write_text("num-layers: 4")
    files = [tmp_path / "a.yml", tmp_path / "b.yml"]
    assert NeoXArgs.from_ymls(files, **later).num_layers == 4
    for refused in ({}, {"overrides": ["compat=gpt-neox", "compat=null"]}):
        with pytest.raises(SettingsError, match="num_layers: is given twice"):
            NeoXArgs.from_ymls(files, **refused)


def test_overwriting_is_by_key_and_after_the_files(tmp_path):
    (tmp_path / "a.yml").write_text(dump_yaml({**MODEL, "save_interval": 3}))
    found = NeoXArgs.from_ymls([tmp_path / "a.yml"], {"checkpoint-factor": 5})
    assert found.checkpoint_factor == 5
    with pytest.raises(SettingsError, match="num_layers: is given twice"):
        NeoXArgs.from_ymls([tmp_path / "a.yml"], {"num-layers": 5, "num_layers": 6})


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("n_head", "num_attention_heads"),
        ("micro_batch_size", "train_micro_batch_size_per_gpu"),
        ("n_embd", "hidden_size"),
    ],
)
def test_the_names_of_other_tools_find_their_keys(name, key):
    assert problems({**MODEL, name: 2}) == [f"dictionary: {name}: there is no such setting (did you mean '{key}'?)"]


def test_names_of_other_tools_lead_to_keys_and_are_none():
    ownership = args().ownership
    assert set(elsewhere.KEYS.values()) <= set(ownership.by_key)
    assert not any(is_spelling(name, ownership) or name in DERIVED for name in elsewhere.KEYS)
    for key, values in elsewhere.VALUES.items():
        for value in values.values():
            args(**{key: value})


def test_attributes_that_a_running_program_sets_are_none_before():
    assert args().tokenizer is None
    assert not hasattr(args(), "no_such_thing")


def test_older_names_read_what_they_are_called_today():
    found = args(save="out", checkpoint_factor=7)
    assert found.save_interval == 7


def test_an_unknown_attribute_is_told_in_a_sentence():
    with pytest.raises(AttributeError) as caught:
        _ = args().zzz
    assert len(str(caught.value)) < 100


def test_a_key_of_no_plugin_in_use_has_the_default_that_is_asked_for():
    found = args()
    assert (found.get("seed"), found.get("no_such_key"), found.get("lr", 3)) == (1234, None, 3)


def test_a_notice_goes_with_its_cause():
    found = args()
    found.onnx_safe = True
    assert [notice.keys for notice in found.notices] == [("onnx_safe",)]
    found.onnx_safe = False
    assert found.notices == ()


def test_what_deepspeed_has_given_up_is_told_once():
    assert [notice.keys for notice in args(amp={"enabled": False}).notices] == [("amp",)]
    asked = args(amp={"enabled": True}, data_path="x", train_micro_batch_size_per_gpu=2)
    assert asked.notices == ()
    assert [problem.keys for problem in asked.resolve().limitations] == [("amp",)]


def test_settings_that_hold_themselves_can_be_copied():
    found = args()
    found.me = found
    twin = copy.deepcopy(found)
    assert twin.me is twin


def test_one_file_needs_no_list(tmp_path):
    (tmp_path / "a.yml").write_text(dump_yaml(MODEL))
    assert NeoXArgs.from_ymls(tmp_path / "a.yml") == NeoXArgs.from_ymls(str(tmp_path / "a.yml")) == args()
