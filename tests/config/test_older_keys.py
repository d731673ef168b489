"""Keys of earlier files: mapped with a notice, or explained with what to write."""

from __future__ import annotations

import pytest

from neox_core.config import NeoXArgs, read_text
from neox_core.config.entry import merge
from neox_core.config.older import OLDER
from neox_core.config.overrides import Override
from neox_core.errors import SettingsError
from neox_core.plugins import PluginManager, Switches

PLUGINS = PluginManager(Switches())
MODEL = """\
num_layers: 2
hidden_size: 16
num_attention_heads: 2
seq_length: 8
max_position_embeddings: 8
train_iters: 100
train_micro_batch_size_per_gpu: 4
"""


def load(text: str) -> NeoXArgs:
    return NeoXArgs(read_text(MODEL + text, "old.yml"), PLUGINS)


def overridden(text: str, *overrides: str) -> NeoXArgs:
    entries = merge([read_text(MODEL + text, "old.yml")])
    for override in overrides:
        Override.parse(override).apply(entries)
    return NeoXArgs(entries.values(), PLUGINS)


def refusal(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("save_interval: 10", "checkpoint_factor", 10),
        ("save-interval: 10", "checkpoint_factor", 10),
        ("save_iters: [1, 2]", "extra_save_iters", [1, 2]),
        ("slurm_comment: x", "comment", "x"),
        ("max_tokens: 5", "maximum_tokens", 5),
        ("gas: 3", "gradient_accumulation_steps", 3),
        ("num_experts: 8", "moe_num_experts", 8),
        ("expert_interval: 2", "moe_expert_interval", 2),
        ("expert_parallel_size: 2", "moe_expert_parallel_size", 2),
        ("geglu: true", "activation", "geglu"),
    ],
)
def test_what_another_key_says_today_is_mapped_with_a_notice(text, key, value):
    args = load(text)
    assert getattr(args, key) == value
    assert key in args
    old = text.partition(":")[0].replace("-", "_")
    (notice,) = args.notices
    assert str(notice).startswith(f"old.yml:8: {old}: ")
    assert key in notice.message


@pytest.mark.parametrize(
    "text",
    [
        "geglu: false",
        "openai_gelu: false",
        "sparsity: none",
        "attention_type: multihead",
        "mlp_type: regular",
        "apply_residual_connection_post_layernorm: false",
        "detect_nvlink_pairs: true",
        "greedy: true",
    ],
)
def test_what_says_nothing_new_is_dropped_with_a_notice(text):
    args = load(text)
    assert args == load("")
    assert [notice.keys for notice in args.notices] == [(text.partition(":")[0],)]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("geglu: true\nactivation: relu", "write activation: geglu"),
        ("openai_gelu: true", "write bias_gelu_fusion: true"),
        ("sparsity: interspersed", "write attention_config"),
        ("attention_type: linear", "num_kv_heads"),
        ("attention_type: multiquery", "write num_kv_heads: 1"),
        ("attention_type: groupedquery", "write num_kv_heads, the number of key/value heads"),
        ("attention_type: groupedquery\nnum_kv_heads: null", "write num_kv_heads, the number"),
        ("mlp_type: llama", "write activation: swiglu"),
        ("label_data_paths: [a]", "write train_label_data_paths"),
        ("out_seq_length: 5", "write maximum_tokens"),
        ("genfile: x", "write sample_output_file"),
        ("greedy: false", "temperature > 0"),
        ("greedy: true\ntemperature: 0.7", "remove greedy, or temperature: 0.7"),
        ("greedy: true\ntop_k: 3\ntop_p: 0.9", "remove greedy, or top_k: 3, top_p: 0.9"),
        ("warmup_iters: 5", "write warmup: 0.05"),
        ("warmup_iters: 500", "write warmup, the share from 0 to 1 of 100 steps"),
        (f"warmup_iters: {10**400}", "write warmup, the share from 0 to 1 of 100 steps"),
        ("warmup_iters: true", "write warmup, the share from 0 to 1 of 100 steps"),
        ("lr_decay_iters: 50\nwarmup-iters: 5", "write warmup: 0.1"),
        ("optimizer: {type: adam, params: {lr: 1.0e-3}}\ndecay_lr_to: 0.1", "write min_lr: 0.0001"),
        ("decay_lr_to: 0.1", "write min_lr: 0.1 x optimizer.params.lr"),
        (f"optimizer: {{type: adam, params: {{lr: 1.0e-3}}}}\ndecay_lr_to: {10**400}", "write min_lr, the rate"),
        ("decay_lr_to: true", "write min_lr, the rate to fall to"),
        ("autotuning_config: {}", "write autotuning"),
    ],
)
def test_what_cannot_be_mapped_is_explained_at_its_line(text, remedy):
    said = refusal(text)
    line = 9 if text.startswith(("optimizer", "lr_decay_iters", "train")) else 8
    assert said.startswith(f"old.yml:{line}: ")
    assert remedy in said


@pytest.mark.parametrize("kind", ["groupedquery", "multiquery"])
def test_the_kind_of_attention_is_said_by_the_number_of_heads(kind):
    args = load(f"attention_type: {kind}\nnum_kv_heads: 1")
    assert args == load("num_kv_heads: 1")
    assert [notice.keys for notice in args.notices] == [("attention_type",)]


def test_greedy_agrees_with_what_samples_or_not():
    for text in ("greedy: true\ntemperature: 0.0\ntop_k: 0", "greedy: false\ntemperature: 0.7"):
        assert [notice.keys for notice in load(text).notices] == [("greedy",)]


def test_a_gate_gives_way_to_an_activation_that_overrides_it():
    assert overridden("geglu: true", "activation=gelu").activation == "gelu"
    assert overridden("activation: gelu", "geglu=true").activation == "geglu"
    assert overridden("", "activation=gelu", "geglu=true").activation == "geglu"
    assert overridden("", "geglu=true", "activation=gelu").activation == "gelu"


def test_each_older_key_has_a_meaning_and_is_no_key_today():
    known = load("").ownership
    for name, older in OLDER.items():
        assert older.meaning
        assert name not in known.by_key
        assert name not in known.aliases


@pytest.mark.parametrize("key", [*(f"{part}_data_path" for part in ("train", "valid", "test"))])
def test_a_single_path_is_a_list_of_one(key):
    assert getattr(load(f"{key}: a"), f"{key}s") == ["a"]
    assert getattr(load(f"{key}: [a, b]"), f"{key}s") == ["a", "b"]


def test_all_single_paths_are_known():
    parts = ("train", "valid", "test")
    names = [f"{part}{kind}_data_path" for part in parts for kind in ("", "_label", "_reward")]
    names += [f"{side}_{part}{kind}_data_path" for side in ("pos", "neg") for part in parts for kind in ("", "_label")]
    assert len(names) == 21
    args = load("\n".join(f"{name}: {name}" for name in names))
    assert all(getattr(args, f"{name}s") == [name] for name in names)
    assert [(notice.keys, notice.message) for notice in args.notices] == [
        ((name,), f"is {name}s with one path") for name in names
    ]


def test_a_path_and_its_list_are_the_same_key():
    said = refusal("train_data_path: a\ntrain_data_paths: [b]")
    assert said == "old.yml:9: train_data_paths: is given twice, first in old.yml:8 (remove one)"


def test_an_older_name_and_todays_are_the_same_key():
    assert "checkpoint_factor: is given twice" in refusal("checkpoint_factor: 5\nsave_interval: 6")


def test_an_override_takes_the_place_of_either_name():
    for text in ("checkpoint_factor: 5", "save_interval: 5"):
        for override in ("checkpoint_factor=6", "save_interval=6"):
            args = overridden(text, override)
            assert args.checkpoint_factor == 6
            args.update_value("save_interval", 7)
            assert args.checkpoint_factor == 7


ACCUMULATION = ("gas", "gradient_accumulation_steps")


@pytest.mark.parametrize("first", ACCUMULATION)
@pytest.mark.parametrize("second", ACCUMULATION)
@pytest.mark.parametrize("text", ["", "gas: 2", "gradient_accumulation_steps: 2"])
def test_the_later_override_wins_whatever_the_name(text, first, second):
    assert overridden(text, f"{first}=8", f"{second}=16").gradient_accumulation_steps == 16


@pytest.mark.parametrize("override", ["bf16.enabled=true", "bfloat16.enabled=true"])
@pytest.mark.parametrize("key", ["bf16", "bfloat16"])
def test_an_override_of_a_part_keeps_the_rest_whatever_the_name(key, override):
    args = overridden(f"{key}: {{enabled: false, x: {{y: 1}}}}", override)
    assert args.bf16 == {"enabled": True, "x": {"y": 1}}
    assert str(args.origin("bf16.enabled")) == f"command line ({override})"
    assert str(args.origin("bf16.x.y")) == "old.yml:8"
    assert overridden(f"{key}: {{x: 1}}", "bfloat16={enabled: true}").bf16 == {"enabled": True}
    assert overridden(f"{key}: {{x: {{y: 1}}}}", "bfloat16.x={z: 1}").bf16 == {"x": {"z": 1}}
    assert overridden(f"{key}: {{a: 1}}", "bfloat16.x.y=1", "bfloat16.x=3").bf16 == {"a": 1, "x": 3}


def test_computed_values_are_not_taken_from_a_file():
    args = load("padded_vocab_size: 512\nzero_stage: 3\nlr: 1.0\nconfig_files: {a: b}")
    assert args == load("")
    assert [notice.keys[0] for notice in args.notices] == ["padded_vocab_size", "zero_stage", "lr", "config_files"]
    assert args.lr == 0.001
    assert args.padded_vocab_size is None


# The optimizer's options


def test_max_grad_norm_is_gradient_clipping():
    args = load("optimizer:\n  type: adam\n  params:\n    lr: 0.01\n    max_grad_norm: 0.5")
    assert args.gradient_clipping == 0.5
    assert args.optimizer == {"type": "adam", "params": {"lr": 0.01}}
    assert str(args.origin("gradient_clipping")) == "old.yml:12"
    assert [str(n) for n in args.notices] == ["old.yml:12: optimizer: params.max_grad_norm: 0.5 is gradient_clipping"]


def test_the_same_norm_twice_is_right():
    args = load("gradient_clipping: 1.0\noptimizer: {type: adam, params: {lr: 0.01, max_grad_norm: 1.0}}")
    assert args.gradient_clipping == 1.0
    assert args.notices == ()


NORM = "optimizer: {type: adam, params: {lr: 0.01, max_grad_norm: 0.5}}"


@pytest.mark.parametrize(
    ("text", "overrides", "norm"),
    [
        (NORM, ["gradient_clipping=0.25"], 0.25),
        (NORM, ["gradient_clipping=0.25", "optimizer.params.lr=0.1"], 0.25),
        ("gradient_clipping: 1.0", [NORM.replace(": ", "=", 1)], 0.5),
        (f"gradient_clipping: 1.0\n{NORM}", ["optimizer.params.max_grad_norm=0.75"], 0.75),
        (NORM, ["optimizer.params.max_grad_norm=0.75", "gradient_clipping=0.25"], 0.25),
        (NORM, ["gradient_clipping=0.25", "optimizer.params.max_grad_norm=0.75"], 0.75),
    ],
)
def test_an_override_of_either_norm_wins(text, overrides, norm):
    args = overridden(text, *overrides)
    assert args.gradient_clipping == norm
    assert "max_grad_norm" not in args.optimizer["params"]
    assert len(args.notices) == 1


def test_a_norm_among_the_options_does_not_stand_against_a_later_one():
    args = load(NORM)
    for norm in (0.75, 1.5):
        args.optimizer = {"type": "adam", "params": {"lr": 0.01, "max_grad_norm": norm}}
        assert args.gradient_clipping == norm
    args.gradient_clipping = 0.1
    assert args.gradient_clipping == 0.1
    assert len(args.notices) == 1


def test_two_norms_are_refused_naming_both_lines():
    said = refusal("gradient_clipping: 1.0\noptimizer:\n  type: adam\n  params: {lr: 0.01, max_grad_norm: 0.5}")
    assert said.startswith("old.yml:8: gradient_clipping, optimizer: 1.0 in old.yml:8, but ")
    assert "optimizer.params.max_grad_norm is 0.5 in old.yml:11 (keep one of them)" in said


def test_a_number_with_a_stray_underscore_is_read():
    args = load("optimizer: {type: adam, params: {lr: 0.01, eps: 1.0e_8}}")
    assert args.optimizer["params"]["eps"] == 1e-8
    assert "'1.0e_8' is read as 1e-08" in str(args.notices[0])


# The two variables


def test_the_two_variables_are_put_into_paths(monkeypatch):
    monkeypatch.setenv("NEOX_DATA_PATH", "/data")
    monkeypatch.setenv("NEOX_CHECKPOINT_PATH", "/checkpoints")
    args = load("train_data_paths: ['${NEOX_DATA_PATH}/a', $NEOX_DATA_PATH/b]\nsave: $NEOX_CHECKPOINT_PATH")
    assert args.train_data_paths == ["/data/a", "/data/b"]
    assert args.save == "/checkpoints"


def test_the_two_variables_are_put_into_mappings_too(monkeypatch):
    monkeypatch.setenv("NEOX_DATA_PATH", "/data")
    monkeypatch.delenv("NEOX_CHECKPOINT_PATH", raising=False)
    args = load("zero_optimization: {stage: 1, offload: [{path: $NEOX_DATA_PATH/x}]}")
    assert args.zero_optimization == {"stage": 1, "offload": [{"path": "/data/x"}]}
    said = refusal("zero_optimization: {stage: 1, offload: {path: $NEOX_CHECKPOINT_PATH/x}}")
    assert "needs the environment variable NEOX_CHECKPOINT_PATH" in said


BFLOAT16 = "fp16: {enabled: true, type: bfloat16}\n"


def test_bfloat16_in_the_fp16_dictionary_stands_against_another_precision():
    for precision in ("fp16", "fp32"):
        said = refusal(f"{BFLOAT16}precision: {precision}")
        assert said.startswith(
            f"old.yml:9: precision, fp16: {precision} and bf16, which fp16's type: bfloat16 in old.yml:8"
        )
        assert "are both asked for" in said
    for precision in ("bfloat16", "null"):
        assert load(f"{BFLOAT16}precision: {precision}").precision == "bfloat16"


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("NEOX_DATA_PATH", raising=False)
    said = refusal("data_path: ${NEOX_DATA_PATH}/a")
    assert said == (
        "old.yml:8: data_path: '${NEOX_DATA_PATH}/a' needs the environment variable NEOX_DATA_PATH "
        "(export NEOX_DATA_PATH=/path)"
    )


def test_a_variable_that_is_not_set_is_named_once(monkeypatch):
    monkeypatch.delenv("NEOX_DATA_PATH", raising=False)
    said = refusal("train_data_paths: [$NEOX_DATA_PATH/a, $NEOX_DATA_PATH/b]\nvalid_data_paths: [$NEOX_DATA_PATH/c]")
    assert said == (
        "old.yml:8: train_data_paths, valid_data_paths: '$NEOX_DATA_PATH/a' needs the environment variable NEOX_DATA_PATH "
        "(export NEOX_DATA_PATH=/path)"
    )


def test_no_other_variable_is_looked_at(monkeypatch):
    monkeypatch.setenv("HOME", "/secret")
    assert load("data_path: $HOME/${USER}/$NEOX_DATA_PATHS").data_path == "$HOME/${USER}/$NEOX_DATA_PATHS"
