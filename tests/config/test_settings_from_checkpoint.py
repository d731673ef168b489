"""Settings from a checkpoint: whose value wins, by each policy, and what may be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from plugin_runs import MODEL

from neox_core.config import NeoXArgs, SettingsFrom, dump_yaml, load_settings_from_checkpoint
from neox_core.config.checkpoint_policies import (
    BIOBERT_OVERRIDE_PARENT_FIELDS,
    BIONEMO_OVERRIDE_PARENT_FIELDS,
    POLICIES,
    Choice,
    Policy,
    kept_keys,
    none,
)
from neox_core.config.ownership import Ownership
from neox_core.errors import SettingsError, UserError
from neox_core.plugins import PluginManager

BATCH = {"train_batch_size": 4, "train_iters": 6}
PLUGINS = PluginManager()


@pytest.fixture
def checkpoint(tmp_path):
    """A directory with the settings of a checkpoint, as a run leaves them."""

    def make(name: str = "saved", **given: Any) -> Path:
        directory = tmp_path / name / "global_step3"
        directory.mkdir(parents=True)
        (directory / "manifest.json").write_text("{}")
        (directory / "settings.yml").write_text(dump_yaml({**MODEL, **BATCH, **given}))
        return directory

    return make


def args(**given: Any) -> NeoXArgs:
    return NeoXArgs.from_dict({**MODEL, **BATCH, **given}, plugins=PLUGINS)


DEFAULT = object()
"""A key that is not given."""

ACTIVATION, EPSILON, SEED = "activation", "layernorm_epsilon", "seed"

# key: declared match (activation), take (layernorm_epsilon) or keep (seed)
# case -> mine, the checkpoint's, keys listed, (value, told, problem)
CASES: dict[str, tuple[str, Any, Any, tuple[str, ...], tuple[Any, bool, bool]]] = {
    "take: left open": (EPSILON, DEFAULT, 1e-3, (), (1e-3, False, False)),
    "take: given": (EPSILON, 1e-4, 1e-3, (), (1e-4, True, False)),
    "take: given, the same": (EPSILON, 1e-3, 1e-3, (), (1e-3, False, False)),
    "take: given, and the default there": (EPSILON, 1e-4, DEFAULT, (), (1e-4, True, False)),
    "take: given as the default, and the default there": (EPSILON, 1e-5, DEFAULT, (), (1e-5, False, False)),
    "take: listed, left open": (EPSILON, DEFAULT, 1e-3, (EPSILON,), (1e-5, False, False)),
    "take: listed, given": (EPSILON, 1e-4, 1e-3, (EPSILON,), (1e-4, False, False)),
    "match: left open": (ACTIVATION, DEFAULT, "relu", (), ("relu", False, False)),
    "match: given": (ACTIVATION, "gelu", "relu", (), ("gelu", False, True)),
    "match: given, the same": (ACTIVATION, "ReLU", "relu", (), ("ReLU", False, False)),
    "match: given, and another default there": (ACTIVATION, "relu", DEFAULT, (), ("relu", False, True)),
    "match: given as the default, and the default there": (ACTIVATION, "gelu", DEFAULT, (), ("gelu", False, False)),
    "match: listed, given": (ACTIVATION, "gelu", "relu", (ACTIVATION,), ("gelu", False, False)),
    "match: listed, left open": (ACTIVATION, DEFAULT, "relu", (ACTIVATION,), ("gelu", False, False)),
    "keep: left open": (SEED, DEFAULT, 7, (), (1234, False, False)),
    "keep: given": (SEED, 8, 7, (), (8, False, False)),
    "neither": (EPSILON, DEFAULT, DEFAULT, (), (1e-5, False, False)),
}

# The rule of BioNeMo: the checkpoint wins for each common key that is not listed; listed are, if nothing else is, those that say keep
BIONEMO_CASES: dict[str, tuple[str, Any, Any, tuple[str, ...] | None, tuple[Any, bool]]] = {
    "take: left open": (EPSILON, DEFAULT, 1e-3, None, (1e-3, False)),
    "take: given": (EPSILON, 1e-4, 1e-3, None, (1e-3, True)),
    "take: given, and the default there": (EPSILON, 1e-4, DEFAULT, None, (1e-5, True)),
    "take: listed": (EPSILON, 1e-4, 1e-3, (EPSILON,), (1e-4, False)),
    "take: listed, left open": (EPSILON, DEFAULT, 1e-3, (EPSILON,), (1e-5, False)),
    "match: given": (ACTIVATION, "gelu", "relu", None, ("relu", True)),
    "match: given, and the default there": (ACTIVATION, "relu", DEFAULT, None, ("gelu", True)),
    "match: listed": (ACTIVATION, "gelu", "relu", (ACTIVATION,), ("gelu", False)),
    "keep: given": (SEED, 8, 7, None, (8, False)),
    "keep: left open": (SEED, DEFAULT, 7, None, (1234, False)),
    "keep, but other keys are listed": (SEED, 8, 7, (EPSILON,), (7, True)),
    "keep, and nothing is listed": (SEED, DEFAULT, 7, (), (7, False)),
}


def one(key: str, value: Any) -> dict[str, Any]:
    return {} if value is DEFAULT else {key: value}


@pytest.mark.parametrize("case", CASES)
def test_the_explicit_policy(checkpoint, case):
    key, mine, saved, listed, (value, told, problem) = CASES[case]
    directory, found = checkpoint(**one(key, saved)), args(**one(key, mine))
    before = found.to_dict()
    if problem:
        with pytest.raises(SettingsError) as error:
            found.load_settings_from_checkpoint(directory, listed)
        assert [p.keys for p in error.value.problems] == [(key,)]
        assert found.to_dict() == before, "nothing changed"
        return
    report = found.load_settings_from_checkpoint(directory, listed)
    assert getattr(found, key) == value
    assert [notice.keys for notice in report.notices if notice.keys] == [(key,)] * told


@pytest.mark.parametrize("case", BIONEMO_CASES)
def test_the_policy_of_bionemo(checkpoint, case):
    key, mine, saved, listed, (value, told) = BIONEMO_CASES[case]
    found = args(**one(key, mine))
    report = found.load_settings_from_checkpoint(checkpoint(**one(key, saved)), listed, policy="bionemo")
    assert getattr(found, key) == value
    assert [notice.keys for notice in report.notices if notice.keys] == [(key,)] * told
    assert found.num_layers == MODEL["num_layers"]


def test_a_mismatch_shows_both_values_and_both_places_and_all_of_them(checkpoint):
    directory = checkpoint(activation="relu", norm="rmsnorm")
    found = args(activation="gelu", norm="layernorm", num_kv_heads=1)
    with pytest.raises(SettingsError) as error:
        found.load_settings_from_checkpoint(directory)
    activation, norm, heads = sorted(error.value.problems, key=lambda problem: problem.keys)
    line = (directory / "settings.yml").read_text().splitlines().index("activation: relu") + 1
    assert str(activation) == (
        f"dictionary: activation: 'gelu' does not match 'relu' in checkpoint {directory}/settings.yml:{line} "
        "(remove it, or keep it with `--keep activation` (override_parent_fields in Python))"
    )
    assert [str(place) for place in activation.others] == [f"checkpoint {directory}/settings.yml:{line}"]
    assert (norm.keys, heads.keys) == (("norm",), ("num_kv_heads",))
    assert "1 does not match the default null, to which checkpoint" in str(heads)


def test_taken_keys_have_the_checkpoint_as_their_origin(checkpoint):
    directory, found = checkpoint(activation="relu"), args()
    report = load_settings_from_checkpoint(found, directory)
    assert str(found.origin("activation")).startswith(f"checkpoint {directory}/settings.yml:")
    assert str(found.origin("num_layers")) == "dictionary"
    assert (report.path, report.policy, report.taken) == (directory / "settings.yml", "explicit", ("activation",))
    assert [str(notice) for notice in found.notices] == [
        f"from checkpoint {directory}/settings.yml, by policy explicit: activation"
    ]


def test_a_run_needs_not_say_what_the_checkpoint_says(checkpoint):
    mine = {**BATCH, "optimizer": {"type": "adamw", "params": {"lr": 0.5}}}
    found = NeoXArgs.from_dict(mine, plugins=PLUGINS, settings_from=checkpoint(num_kv_heads=1))
    assert {key: getattr(found, key) for key in MODEL} == MODEL
    assert (found.num_kv_heads, found.optimizer["params"]["lr"]) == (1, 0.5)
    again = NeoXArgs.from_dict(found.to_dict(), plugins=PLUGINS)
    assert again == found, "what was taken is given from now on"


def test_a_key_that_must_be_given_is_taken_even_if_mine_would_be_kept(checkpoint):
    assert Ownership.of(None).keys["seq_length"].from_checkpoint == "keep"
    source = SettingsFrom(checkpoint(), ["seq_length"])
    assert NeoXArgs.from_dict(BATCH, plugins=PLUGINS, settings_from=source).seq_length == MODEL["seq_length"]


def test_overrides_and_files_are_mine(checkpoint, tmp_path):
    (tmp_path / "mine.yml").write_text(dump_yaml({**BATCH, "rms_norm_epsilon": 1e-3}))
    directory = checkpoint(rms_norm_epsilon=1e-5, layernorm_epsilon=1e-5, scalenorm_epsilon=1e-2)
    found = NeoXArgs.from_ymls(
        tmp_path / "mine.yml", overrides=["layernorm_epsilon=1e-4"], plugins=PLUGINS, settings_from=directory
    )
    values = found.rms_norm_epsilon, found.layernorm_epsilon, found.scalenorm_epsilon
    assert values == (1e-3, 1e-4, 1e-2)


def test_keys_that_come_to_the_same_do_not_differ(checkpoint):
    directory = checkpoint(attention_config=[[["global"], "all"]], intermediate_size=64)
    found = args(attention_config=["global", "global"], expansion_factor=4.0, norm="LayerNorm", num_kv_heads=2)
    assert found.load_settings_from_checkpoint(directory).taken == ()
    assert "intermediate_size" not in found, "I said it in the other way"
    found.resolve()
    with pytest.raises(
        SettingsError, match=r"expansion_factor: 3\.0 does not match intermediate_size: 64 in checkpoint"
    ):
        args(expansion_factor=3.0).load_settings_from_checkpoint(directory)


def test_the_checkpoint_wins_in_the_way_in_which_it_says_it(checkpoint):
    found = args(expansion_factor=3.0)
    found.load_settings_from_checkpoint(checkpoint(intermediate_size=64), policy="bionemo")
    assert (found.intermediate_size, "expansion_factor" in found) == (64, False)
    found.resolve()


SOME_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "activation": st.sampled_from(["gelu", "relu", "GELU"]),
        "norm": st.sampled_from(["layernorm", "rmsnorm"]),
        "layernorm_epsilon": st.sampled_from([1e-5, 1e-3]),
        "num_kv_heads": st.sampled_from([None, 1, 2]),
        "intermediate_size": st.sampled_from([None, 64, 32]),
        "seed": st.integers(1, 3),
        "precision": st.sampled_from(["fp32", "bfloat16"]),
    },
)


@settings(max_examples=50)
@given(mine=SOME_KEYS, saved=SOME_KEYS, listed=st.sets(st.sampled_from(["activation", "seed", "norm"])))
def test_each_key_is_on_the_side_that_the_policy_says(tmp_path_factory, mine, saved, listed):
    file = tmp_path_factory.mktemp("saved") / "settings.yml"
    (file.parent / "manifest.json").touch()
    file.write_text(dump_yaml({**MODEL, **BATCH, **saved}))
    before, there, found = args(**mine), args(**saved), args(**mine)
    found.load_settings_from_checkpoint(file, listed, policy="bionemo")
    for key in {*mine, *saved}:
        assert getattr(found, key) == getattr(before if key in listed else there, key)
    once = found.to_dict()
    for policy in POLICIES:
        found.load_settings_from_checkpoint(file, [*listed, *mine], policy=policy)
        assert found.to_dict() == once, "a second time changes nothing"
    try:
        before.load_settings_from_checkpoint(file, listed)
    except SettingsError as error:
        differing = {key for problem in error.problems for key in problem.keys}
        assert differing <= mine.keys() - listed - {"layernorm_epsilon", "seed", "precision"}
    else:
        assert before.to_dict().items() >= args(**mine).to_dict().items(), "what is given stays"


def test_what_is_no_setting_any_more_is_left_out_and_listed(checkpoint):
    found = args()
    report = found.load_settings_from_checkpoint(checkpoint(removed_key=1, moved_key={"a": 2}, rotary_pct=0.5))
    assert (report.dropped, report.taken) == (("removed_key", "moved_key"), ("rotary_pct",))
    assert str(report.notices[0]).endswith("no such settings here: removed_key, moved_key")


def test_older_names_in_an_old_checkpoint_are_today_s_keys(checkpoint):
    directory = checkpoint()
    settings = directory / "settings.yml"
    settings.write_text(settings.read_text() + "no-weight-tying: true\nsave_interval: 5\n")
    found = args()
    assert found.load_settings_from_checkpoint(directory).taken == ("no_weight_tying",)
    assert found.no_weight_tying


def test_names_of_classes_are_left_out_and_never_looked_at(tmp_path):
    plain = {"_target_": "os.getcwd", "_partial_": True, "activation": "relu", "model_cls": "gone.away:Model"}
    (tmp_path / "a.yml").write_text(dump_yaml(plain))
    found = args()
    report = found.load_settings_from_checkpoint(tmp_path / "a.yml")
    assert (report.taken, report.dropped) == (("activation",), ("model_cls",))


@pytest.mark.parametrize("suffix", ["json", "yml"])
def test_a_part_of_a_nested_file_is_named_by_its_path(tmp_path, suffix):
    values = {"trainer": {"num_layers": 99}, "model": {"config": {"rotary-pct": 0.5, "moe_type": "x"}, "bias": True}}
    (tmp_path / f"a.{suffix}").write_text(json.dumps(values, indent=1))
    found = args()
    report = found.load_settings_from_checkpoint(tmp_path / f"a.{suffix}", name="model.config")
    assert report.taken == ("rotary_pct",)
    assert (found.rotary_pct, str(found.origin("rotary_pct"))) == (0.5, f"{tmp_path}/a.{suffix}:7")


def test_a_key_of_a_part_that_is_not_text_is_no_setting(tmp_path):
    (tmp_path / "a.yml").write_text("model:\n  rotary_pct: 0.5\n  7: 1\n")
    report = args().load_settings_from_checkpoint(tmp_path / "a.yml", name="model")
    assert (report.taken, report.dropped) == (("rotary_pct",), ("7",))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("modle", r"a.yml: modle: there is no 'modle'; did you mean 'model'\?"),
        ("model.confg", r"a.yml: model.confg: there is no 'confg'; did you mean 'config'\?"),
        ("model.bias", "a.yml: model.bias: 'bias' is True, and no mapping"),
        (None, "none of its keys is a setting .model.; name the part that holds settings, such as 'model'"),
    ],
)
def test_a_part_that_there_is_not_is_told(tmp_path, name, message):
    (tmp_path / "a.yml").write_text("model:\n  config: {rotary_pct: 0.5}\n  bias: true\n")
    with pytest.raises(UserError, match=message):
        args().load_settings_from_checkpoint(tmp_path / "a.yml", name=name)


def test_a_file_that_is_no_record_says_nothing_of_what_it_leaves_out(tmp_path):
    (tmp_path / "part.yml").write_text("rotary_pct: 0.5\n")
    found = args(activation="relu", layernorm_epsilon=1e-3)
    report = found.load_settings_from_checkpoint(tmp_path / "part.yml", policy="bionemo")
    assert (report.taken, found.activation, found.layernorm_epsilon) == (("rotary_pct",), "relu", 1e-3)


def test_directories_of_checkpoints_and_of_runs_stand_for_their_settings(checkpoint, tmp_path):
    directory = checkpoint(activation="relu")
    (directory.parent / "latest").write_text("global_step3\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "resolved.yml").write_text(dump_yaml({**MODEL, **BATCH, "activation": "relu"}))
    for path in (directory, directory.parent, directory / "settings.yml", tmp_path / "run", str(tmp_path / "run")):
        found = args(rotary_pct=0.5)
        with pytest.raises(SettingsError, match=r"rotary_pct: 0\.5 does not match the default 1\.0"):
            found.load_settings_from_checkpoint(path)
        found.load_settings_from_checkpoint(path, ["rotary_pct"])
        assert found.activation == "relu"


FOREIGN = {
    "NeMo": (["context/io.json", "context/model.yaml", "weights/metadata.json"], "is a checkpoint of NeMo 2"),
    "the context of NeMo": (["io.json"], "is a checkpoint of NeMo 2"),
    "GPT-NeoX, damaged": (["mp_rank_00_model_states.pt", "configs/a.yml"], "model_states.pt is damaged"),
    "DeepSpeed": (["zero_pp_rank_0_mp_rank_00_optim_states.pt"], "of DeepSpeed.* name its YAML file"),
    "nothing": (["notes.txt"], "neither that of a run"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_other_programs_wrote_is_refused_by_name(tmp_path, kind):
    files, message = FOREIGN[kind]
    for name in files:
        path = tmp_path / "theirs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    with pytest.raises(UserError, match=message):
        args().load_settings_from_checkpoint(tmp_path / "theirs")


def test_a_damaged_file_of_gpt_neox_is_named(tmp_path):
    (tmp_path / "save" / "global_step2").mkdir(parents=True)
    (tmp_path / "save" / "latest").write_text("global_step2")
    (tmp_path / "save" / "global_step2" / "layer_00-model_states.pt").touch()
    with pytest.raises(UserError, match=r"layer_00-model_states.pt is damaged"):
        args().load_settings_from_checkpoint(tmp_path / "save")


def test_what_is_not_there_or_not_yaml_is_told(tmp_path):
    with pytest.raises(UserError, match="there is no such file or directory"):
        args().load_settings_from_checkpoint(tmp_path / "gone")
    (tmp_path / "binary").write_bytes(b"\x80\x04\x95")
    with pytest.raises(UserError, match="is not text in UTF-8"):
        args().load_settings_from_checkpoint(tmp_path / "binary")


def test_a_policy_or_key_that_there_is_not_is_told(checkpoint):
    directory = checkpoint()
    with pytest.raises(UserError, match="there is no policy 'bionemmo'; did you mean 'bionemo'"):
        args().load_settings_from_checkpoint(directory, policy="bionemmo")
    for policy in POLICIES:
        with pytest.raises(UserError, match="there is no setting 'activatoin' to keep; did you mean 'activation'"):
            args().load_settings_from_checkpoint(directory, ["activatoin"], policy=policy)


def test_one_entry_in_the_table_is_one_more_policy(checkpoint, monkeypatch):
    never = Policy(lambda case: Choice(saved=False), none)
    monkeypatch.setitem(POLICIES, "never", never)
    found = args(rotary_pct=0.25)
    assert found.load_settings_from_checkpoint(checkpoint(rotary_pct=0.5), policy="never").mine == ("rotary_pct",)
    assert found.rotary_pct == 0.25


def test_the_lists_of_bionemo_are_accepted_as_they_are_and_shared_with_nobody(checkpoint):
    assert (len(BIONEMO_OVERRIDE_PARENT_FIELDS), len(BIOBERT_OVERRIDE_PARENT_FIELDS)) == (9, 21)
    names = [*BIONEMO_OVERRIDE_PARENT_FIELDS, *BIOBERT_OVERRIDE_PARENT_FIELDS, "loss_cls"]
    found = args(bias_gelu_fusion=True, initial_ckpt_path="mine")
    saved = checkpoint(bias_gelu_fusion=False, initial_ckpt_path="theirs", activation="relu")
    found.load_settings_from_checkpoint(saved, names, policy="bionemo")
    assert (found.initial_ckpt_path, found.activation, found.bias_gelu_fusion) == ("mine", "relu", False)
    ownership = Ownership.of(PLUGINS)
    kept_keys(ownership).append("leak")
    assert "leak" not in kept_keys(ownership)
    assert {"train_impl", "optimizer", "loggers", "launcher", "precision", "save", "load"} <= set(kept_keys(ownership))


def test_the_switches_of_plugins_are_mine(checkpoint):
    found = args(plugin_disable=["tensorboard"])
    found.load_settings_from_checkpoint(checkpoint(plugin_disable=["console"]), [], policy="bionemo")
    assert found.plugin_disable == ["tensorboard"]


def test_a_saved_value_that_its_key_does_not_take_is_an_error_with_its_place(checkpoint):
    found = args()
    directory = checkpoint(layernorm_epsilon="small", seed="kept, and so not looked at")
    with pytest.raises(SettingsError) as error:
        found.load_settings_from_checkpoint(directory)
    (problem,) = error.value.problems
    assert str(problem.origin).startswith(f"checkpoint {directory}/settings.yml:")
    assert problem.keys == ("layernorm_epsilon",)
