"""From settings to what a run uses: batch, precision, layers, vocabulary, DeepSpeed's configuration, and the rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st
from small_settings import MODEL

from neox_core.config import Host, ModelSettings, NeoXArgs, World
from neox_core.config.architecture import expand_attention
from neox_core.config.groups.fusions import FUSED, FusionSettings
from neox_core.errors import SettingsError

RUN = {**MODEL, "data_path": "data/tokens"}


def resolve(world: World | int = 1, vocabulary: int | None = None, **changes):
    values = {key: value for key, value in {**RUN, **changes}.items() if value is not ...}
    world = World.local(world) if isinstance(world, int) else world
    return NeoXArgs.from_dict(values).resolve(world, vocabulary)


def limitations(world: World | int = 1, **changes) -> list[str]:
    return [str(problem) for problem in resolve(world, **changes).limitations]


def problems(world: World | int = 1, **changes) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        resolve(world, **changes)
    return [str(problem) for problem in caught.value.problems]


# Batch

SIZES = st.none() | st.integers(1, 64)


@given(SIZES, SIZES, SIZES, st.integers(1, 8))
def test_an_accepted_batch_multiplies_out(total, micro, accumulation, ranks):
    given = {
        "train_batch_size": total,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": accumulation,
    }
    try:
        batch = resolve(ranks, **given).batch
    except SettingsError as error:
        (problem,) = error.problems
        written = [key for key, value in given.items() if value is not None]
        assert set(problem.keys) <= set(written) or "the batch size is not given" in problem.message
        assert (total is None and micro is None) or not divides(total, micro, accumulation, ranks)
        return
    assert batch.data_parallel == ranks
    assert batch.total == batch.micro * batch.accumulation * ranks
    assert min(batch.micro, batch.accumulation) >= 1
    for asked, found in ((total, batch.total), (micro, batch.micro), (accumulation, batch.accumulation)):
        assert asked in (None, found)


def divides(total: int | None, micro: int | None, accumulation: int | None, ranks: int) -> bool:
    """Whether some whole batch fits what was asked for."""
    if total is None:
        return micro is not None
    if micro is not None and accumulation is not None:
        return total == micro * accumulation * ranks
    return total % ((micro or accumulation or 1) * ranks) == 0


@pytest.mark.parametrize(
    ("total", "micro", "accumulation", "ranks", "expected"),
    [
        (None, 4, 8, 2, (4, 8, 64)),
        (64, 4, None, 2, (4, 8, 64)),
        (64, None, 8, 2, (4, 8, 64)),
        (64, None, None, 2, (32, 1, 64)),
        (None, 4, None, 2, (4, 1, 8)),
        (64, 4, 8, 2, (4, 8, 64)),
    ],
)
def test_what_is_not_given_of_a_batch_is_computed(total, micro, accumulation, ranks, expected):
    batch = resolve(
        ranks,
        train_batch_size=total,
        train_micro_batch_size_per_gpu=micro,
        gradient_accumulation_steps=accumulation,
    ).batch
    assert (batch.micro, batch.accumulation, batch.total) == expected


def test_a_batch_that_does_not_divide_says_what_would():
    (problem,) = problems(2, train_batch_size=63, train_micro_batch_size_per_gpu=4)
    assert "63 samples a step cannot be made of 4 a pass x 2 data-parallel ranks" in problem
    assert "(train_batch_size must be a multiple of 8, such as 64)" in problem
    (problem,) = problems(1, train_batch_size=64, train_micro_batch_size_per_gpu=4, gradient_accumulation_steps=3)
    assert "(write train_batch_size: 12, or leave one of the three out)" in problem


# Precision


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "fp32"),
        ({"precision": "fp32"}, "fp32"),
        ({"precision": "fp16"}, "fp16"),
        ({"precision": "bfloat16"}, "bf16"),
        ({"fp16": {"enabled": True}}, "fp16"),
        ({"bf16": {"enabled": True}}, "bf16"),
        ({"fp16": {"enabled": False}}, "fp32"),
        ({"fp16": {"fp16": True, "enabled": True}, "precision": "fp16"}, "fp16"),
    ],
)
def test_precision_table(given, expected):
    resolved = resolve(World.local(1, "cuda"), **given)
    assert resolved.precision == expected
    assert ("fp16" in resolved.deepspeed) == (expected == "fp16")
    assert ("bf16" in resolved.deepspeed) == (expected == "bf16")
    if expected != "fp32":
        assert resolved.deepspeed[expected]["enabled"] is True


@pytest.mark.parametrize(
    "given",
    [
        {"fp16": {"enabled": True}, "bf16": {"enabled": True}},
        {"precision": "bfloat16", "fp16": {"enabled": True}},
        {"precision": "fp32", "fp16": {"enabled": True}},
    ],
)
def test_two_precisions_are_refused(given):
    (problem,) = problems(World.local(1, "cuda"), **given)
    assert "are both asked for" in problem


def test_fp16_options_reach_deepspeed_without_gpt_neox_own_words():
    fp16 = {"fp16": True, "type": "fp16", "enabled": True, "loss_scale": 0, "hysteresis": 2}
    found = resolve(World.local(1, "cuda"), fp16=fp16).deepspeed["fp16"]
    assert found == {"enabled": True, "loss_scale": 0, "hysteresis": 2}


def test_a_precision_that_contradicts_a_dictionary_is_named_by_it():
    (found,) = problems(World.local(1, "cpu"), precision="bfloat16", fp16={"enabled": True})
    assert found == "dictionary: precision, fp16: bf16 and fp16 are both asked for (keep one)"


# Layers


@pytest.mark.parametrize(
    ("config", "num_layers", "expected"),
    [
        (None, 3, "g g g"),
        (["l", "g", "l"], 3, "l g l"),
        ([[["g", "l"], 3]], 6, "g l g l g l"),
        ([[["f"], "all"]], 4, "f f f f"),
        ([[["g", "l"], "all"]], 4, "g l g l"),
        ([[["g"], 2], [["l"], "all"]], 4, "l l l l"),
        ([[["g"], 1], [["l", "g"], 1]], 3, "g l g"),
    ],
)
def test_attention_config_expands(config, num_layers, expected):
    names = {"g": "global", "l": "local", "f": "flash"}

    def named(part):
        return (
            names.get(part, part)
            if isinstance(part, str)
            else [named(p) for p in part]
            if isinstance(part, list)
            else part
        )

    assert expand_attention(named(config), num_layers) == tuple(names[letter] for letter in expected.split())


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), st.integers(1, 4)), min_size=1, max_size=4
    )
)
def test_repeats_make_up_the_layers(groups):
    expected = [name for pattern, repeats in groups for name in pattern * repeats]
    config = [[pattern, repeats] for pattern, repeats in groups]
    assert expand_attention(config, len(expected)) == tuple(expected)
    with pytest.raises(SettingsError, match=f"describes {len(expected)} layers, num_layers is {len(expected) + 1}"):
        expand_attention(config, len(expected) + 1)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "describes 0 layers, num_layers is 4"),
        (["global"], "describes 1 layers, num_layers is 4"),
        (["global", [["local"], 3]], "'global' is not [[names], repeats]"),
        ([[["a", "b", "c"], "all"]], "['a', 'b', 'c'] cannot be repeated to make up num_layers 4"),
        ([[[], "all"]], "[[], 'all'] is not [[names], repeats]"),
        ([[["a"], "al"]], "[['a'], 'al'] is not"),
        ([["a", 4]], "['a', 4] is not"),
        ([[[1], 4]], "has entries that are not names"),
    ],
)
def test_malformed_attention_configs_are_refused(config, message):
    (problem,) = problems(attention_config=config)
    assert problem.startswith("dictionary: attention_config: ")
    assert message in problem
    assert "write one name a layer" in problem


def test_mixtures_are_in_every_nth_layer():
    assert resolve().mixtures == (None,) * 4
    found = resolve(moe_num_experts=2, moe_expert_interval=3, moe_type="soft").mixtures
    assert found == ("soft", None, None, "soft")


# Vocabulary


@pytest.mark.parametrize(
    ("tokenizer", "vocab_size", "known"), [(None, None, None), (100, None, 100), (None, 90, 90), (100, 300, 300)]
)
def test_the_vocabulary_is_the_tokenizers_or_what_is_asked_for_beyond(tokenizer, vocab_size, known):
    resolved = resolve(vocabulary=tokenizer, vocab_size=vocab_size)
    assert resolved.vocabulary == known
    assert resolved.padded_vocab_size == (None if known is None else -(-known // 128) * 128)


# DeepSpeed


# Optimizer and rules


def test_the_optimizer_has_a_default():
    found = resolve().optimizer
    assert (found.name, found.params, found.lr) == ("adam", {}, 0.001)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({}, "no `type` is given (write {type: adamw}; `neox plugins --kind optimizer` lists them)"),
        ({"type": 3}, "type: 3 is not a name (name one, such as adamw; `neox plugins --kind optimizer` lists them)"),
        (
            {"type": "adam", "params": None},
            "params: null is not a mapping of options (write {lr: 0.001}, or leave `params` out)",
        ),
        ({"type": "adam", "params": [1]}, "params: [1] is not a mapping of options"),
        ({"type": "adam", "lr": 0.1}, "has lr beside `type` and `params` (write {type: NAME, params: {lr: 0.1}})"),
        ({"type": "adam", "params": {"lr": 0}}, "params.lr: 0 is not a number > 0"),
        ({"type": "adam", "params": {"lr": "1e-3"}}, "params.lr: '1e-3' is not a number > 0"),
        ({"type": "adam", "params": {"lr": True}}, "params.lr: true is not a number > 0"),
        ({"type": "adam", "params": {"lr": math.nan}}, "params.lr: nan is not a number > 0"),
        ({"type": "adam", "params": {"lr": math.inf}}, "params.lr: inf is not a number > 0"),
    ],
)
def test_malformed_optimizers_are_refused(optimizer, message):
    (problem,) = problems(optimizer=optimizer)
    assert problem.startswith("dictionary: optimizer: ")
    assert message in problem


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"hidden_size": 15},
            "hidden_size 15 is not a multiple of num_attention_heads 2 (use a multiple of 2, such as 16)",
        ),
        ({"num_kv_heads": 3}, "num_attention_heads 2 is not a multiple of num_kv_heads 3"),
        ({"seq_length": 9}, "max_position_embeddings 8 is less than seq_length 9"),
        ({"min_lr": 0.0011}, "min_lr 0.0011 is more than optimizer.params.lr 0.001"),
        (
            {"checkpoint_factor": 0.5, "save": "s"},
            "0.5 is not a whole number of steps (round it, or set checkpoint_scale",
        ),
        (
            {"checkpoint_factor": 1, "checkpoint_scale": "log", "save": "s"},
            "1 is not > 1, as checkpoint_scale: log needs",
        ),
        ({"train_iters": None}, "the length of the run is not given"),
        ({"train_data_paths": ["a"]}, "data_path and train_data_paths are both given"),
        (
            {"data_path": ..., "train_data_paths": ["a"], "train_data_weights": [1.0, 2.0]},
            "2 weights for 1 paths (give one weight for each path)",
        ),
        ({"zero_optimization": {"stage": 4}}, "stage 4 is not one of the whole numbers 0, 1, 2, 3 (write one of them"),
        ({"zero_optimization": {"stage": True}}, "stage True is not one of the whole numbers 0, 1, 2, 3"),
        ({"zero_optimization": {"stage": [0, 1]}}, "stage [0, 1] is not one of the whole numbers 0, 1, 2, 3"),
        ({"zero_optimization": {"overlap_comm": True}}, "has no stage (add a stage, such as stage: 1)"),
        (
            {"zero_optimization": {"stage": 1, "reduce_buket_size": 1}},
            "'reduce_buket_size' is not an option of DeepSpeed's zero_optimization (did you mean 'reduce_bucket_size'?)",
        ),
        (
            {"zero_optimization": {"stage": 1, "reduce_bucket_size": "abc"}},
            "zero_optimization: reduce_bucket_size: 'abc' is not a whole number > 0",
        ),
        (
            {"zero_optimization": {"stage": 1, "offload_optimizer": [1]}},
            "offload_optimizer: [1] is not a mapping or null",
        ),
        (
            {"zero_optimization": {"stage": 1, "compute_grad_norm": False}},
            "compute_grad_norm: False would let steps with gradients",
        ),
        ({"zero_optimization": {"stage": 1, "compute_grad_norm": 0}}, "compute_grad_norm: 0 would let steps"),
        ({"zero_optimization": {"stage": 1, "compute_grad_norm": 5}}, "compute_grad_norm: 5 is not true or false"),
        (
            {"zero_optimization": {"stage": 1, "offload_optimizer": {"devise": "cpu"}}},
            "'devise' is not an option of DeepSpeed's zero_optimization.offload_optimizer (did you mean 'device'?)",
        ),
        (
            {"zero_optimization": {"stage": 1, "offload_param": {"device": "cpus"}}},
            "offload_param.device: 'cpus' is not one of none, cpu, nvme (did you mean 'cpu'?)",
        ),
        (
            {"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "nvme", "nvme_path": "/tmp"}}},
            "offload_optimizer.device: 'nvme' is for stage 3, and stage is 2 (write stage: 3, or device: cpu)",
        ),
        (
            {"zero_optimization": {"stage": 1, "offload_param": {"device": "nvme", "nvme_path": "/tmp"}}},
            "offload_param.device: 'nvme' is for stage 3, and stage is 1 (write stage: 3, or device: cpu)",
        ),
        (
            {"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "nvme"}}},
            "offload_optimizer.device: 'nvme' without nvme_path (add nvme_path, a directory of a local disk that every",
        ),
        (
            {"data_efficiency": {"data_sampling": {"enabld": True}}},
            "'enabld' is not an option of DeepSpeed's data_efficiency.data_sampling (did you mean 'enabled'?)",
        ),
        ({"checkpoint": {"parallel_write": {"x": 1}}}, "'x' is not an option of DeepSpeed's checkpoint.parallel_write"),
        ({"comms_logger": {"enabled": 5}}, "comms_logger: enabled: 5 is not true or false"),
        ({"flops_profiler": {"enabled": "no"}}, "flops_profiler: enabled: 'no' is not true or false"),
        ({"flops_profiler": {"profile_step": -1}}, "profile_step: -1 is not a whole number >= 0"),
        ({"aio": {"block_size": 1e6}}, "block_size: 1000000.0 is not a whole number > 0 (write 1000000)"),
        ({"optimizer": {"type": "adam", "params": {"lr": -1}}}, "params.lr: -1 is not a number > 0"),
        (
            {"split": "a,b,c"},
            "split: 'a,b,c' is no split (it takes up to three numbers that are not negative and not all",
        ),
        ({"split": "0,0,0"}, "split: '0,0,0' is no split"),
        ({"split": "-1,2,3"}, "split: '-1,2,3' is no split"),
        ({"split": ""}, "split: '' is no split"),
        ({"save": ""}, "save: '' is no path (write null, or leave it out)"),
        ({"data_path": ""}, "data_path: '' is no path"),
        (
            {"data_path": ..., "train_data_paths": ["a", ""]},
            "train_data_paths: ['a', ''] has an empty path (remove it)",
        ),
        (
            {"data_path": ..., "train_data_paths": ["a", "b"], "train_data_weights": [1, -1]},
            "train_data_weights: [1.0, -1.0] are weights of which one is negative, or all are 0, or whose sum is too large "
            "(write null for equal ones)",
        ),
        (
            {"data_path": ..., "train_data_paths": ["a", "b"], "train_data_weights": [1e308, 1e308]},
            "train_data_weights: [1e+308, 1e+308] are weights",
        ),
        (
            {"data_path": ..., "train_data_paths": ["a"], "train_data_weights": [0]},
            "train_data_weights: [0.0] are weights",
        ),
        ({"distributed_backend": "ncl"}, "distributed_backend: 'ncl' is not one of nccl, gloo, mpi, "),
        ({"distributed_backend": "ncl"}, "(did you mean 'nccl'?)"),
        (
            {"fp16": {"enabled": False, "type": "bf16"}},
            "type: 'bf16' is not 'fp16' (write `precision`: fp32, fp16 or bfloat16)",
        ),
        ({"bf16": {"enabled": False, "xyz": 2}}, "'xyz' is not an option of DeepSpeed's bf16 (remove it)"),
        (
            {"fp16": {"enabled": False, "hysterisis": 2}},
            "'hysterisis' is not an option of DeepSpeed's fp16 (did you mean 'hysteresis'?)",
        ),
        (
            {"bf16": {"enabled": True, "enable": 1}},
            "'enable' is not an option of DeepSpeed's bf16 (did you mean 'enabled'?)",
        ),
        ({"fp16": {"loss_scale": 0}}, "fp16: does not say enabled (write enabled: true or enabled: false)"),
        ({"bf16": {}}, "bf16: does not say enabled"),
        ({"fp16": {"enabled": "false"}}, "fp16: enabled: 'false' is not true or false"),
        ({"fp16": {"enabled": False, "loss_scale": "x"}}, "loss_scale: 'x' is not a number >= 0"),
        (
            {"deepspeed_extra_args": {"comms_loger": {}}},
            "'comms_loger' is no key of DeepSpeed's configuration (did you mean",
        ),
        (
            {"deepspeed_extra_args": {"comms_logger": {"enabledd": 1}}},
            "'enabledd' is not an option of DeepSpeed's comms_logger",
        ),
        ({"num_nodes": 0}, "num_nodes: 0 is not a whole number > 0 or -1"),
        ({"exit_interval": 10**30}, "has a whole number of more than 63 bits (give a smaller one)"),
        (
            {"optimizer": {"type": "adam", "params": {"lr": 10**400}}},
            "optimizer: has a whole number of more than 63 bits",
        ),
        ({"attention_config": [[["global"], -3], [["local"], 4]]}, "[['global'], -3] is not [[names], repeats]"),
        ({"attention_config": [[["global"] * 4, True]]}, "is not [[names], repeats]"),
        (
            {"bf16": {"enabled": False, "check_grad_overflow": False}},
            "check_grad_overflow: False would let steps with gradients that are",
        ),
    ],
)
def test_each_rule_says_what_to_do(changes, message):
    (problem,) = problems(**changes)
    assert message in problem


@pytest.mark.parametrize("key", ["checkpoint_factor", "train_data_paths", "keep_last_n_checkpoints"])
def test_null_is_as_good_as_nothing(key):
    assert resolve(**{key: None})


@pytest.mark.parametrize(
    "sizes",
    [
        {"expansion_factor": 1e308},
        {"expansion_factor": 1e300},
        {"expansion_factor": 1e-9},
        {"expansion_factor": 2.0**27},
        {"intermediate_size": 1, "activation": "swiglu"},
        {"intermediate_size": 2**31},
        {"intermediate_size": 64, "mlp_multiple_of": 2**31},
        {"hidden_size": 2**40},
    ],
)
def test_a_width_of_the_mlp_that_nobody_means_is_refused(sizes):
    (problem,) = problems(**sizes)
    assert "the width inside the MLP comes to " in problem
    assert "which is not a whole number from 1 to 2147483647" in problem
    assert len(problem) < 250


@pytest.mark.parametrize("sizes", [{"intermediate_size": 1}, {"intermediate_size": 2**31 - 1}])
def test_the_least_and_the_largest_width_of_the_mlp(sizes):
    assert resolve(**sizes).mlp_width == sizes["intermediate_size"]


def test_steps_and_epochs_are_not_given_together():
    assert any("train_iters 5 and train_epochs 2 are both given" in problem for problem in problems(train_epochs=2))


def test_problems_of_all_rules_and_derivations_come_together():
    found = problems(hidden_size=15, seq_length=9, attention_config=["a"], train_micro_batch_size_per_gpu=None)
    assert len(found) == 4


# What is right, and cannot be run here


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"zero_optimization": {"stage": 2, "zenflow": {"topk_ratio": 0.1}}},
            "zenflow: this version does not have it (leave it out)",
        ),
        (
            {"zero_optimization": {"stage": 3, "zero_quantized_weights": True}},
            "zero_quantized_weights: this version does not have it (leave it out)",
        ),
        (
            {"zero_optimization": {"stage": 1, "legacy_stage1": True}},
            "legacy_stage1: this version does not have it (leave it out)",
        ),
        (
            {"zero_optimization": {"stage": 3, "stage3_module_granularity_threshold": 1000}},
            "stage3_module_granularity_threshold: this version does not have it (leave it out)",
        ),
        (
            {"zero_optimization": {"stage": 3, "leaf_module": {"classes": ["Block"]}}},
            "leaf_module: this version does not have it (leave it out)",
        ),
        (
            {"zero_optimization": {"stage": 3, "zero_hpz_partition_size": 2}, "model_parallel_size": 2},
            "zero_hpz_partition_size: 2 has neighbouring ranks share copies of their weights, and with model_parallel_size 2 they "
            "have different ones (leave it out, or set model_parallel_size: 1)",
        ),
        (
            {"zero_optimization": {"stage": [0, 1]}, "autotuning": {"enabled": True}},
            "stage [0, 1] is for DeepSpeed's autotuner, which this version does not run",
        ),
        ({"data_path": ...}, "no training data is given"),
        ({"autotuning": {"enabled": True}}, "DeepSpeed's autotuner is not run by this version"),
        ({"amp": {"enabled": True}}, "amp: DeepSpeed has it no more"),
        ({"deepspeed_extra_args": {"sparse_gradients": True}}, "sparse_gradients: DeepSpeed has it no more"),
        (
            {"deepspeed_extra_args": {"managed_gradient_accumulation": False}},
            "managed_gradient_accumulation: this version does not have it yet",
        ),
        ({"coord_check": True}, "`neox mup coord-check FILES` measures activations at several widths"),
        ({"tensor_parallel": {"autotp_size": 2}}, "this version does not have it yet"),
        ({"deepspeed_slurm": True}, "true: this version does not have it yet"),
        ({"autotuning_run": "tune"}, "'tune': this version does not have it yet"),
        ({"moe_num_experts": 8}, "sinkhorn, GPT-NeoX's default: this version does not have it yet"),
        (
            {"curriculum_learning": {"enabled": True}},
            "curriculum_learning: {enabled: true}: this version does not have it yet (remove it to train without)",
        ),
    ],
)
def test_what_cannot_be_run_here_resolves_and_says_so(changes, message):
    assert any(message in limitation for limitation in limitations(2, **changes))


@pytest.mark.parametrize("changes", [{"precision": "fp16"}, {"fp16": {"enabled": True}}])
def test_fp16_on_a_cpu_is_said_to_be_slow(changes):
    found = resolve(World.local(1, "cpu"), **changes)
    assert found.limitations == ()
    assert any("fp16 is slow on CPUs" in notice.message for notice in found.notices)
    on_gpu = resolve(World.local(1, "cuda"), **changes)
    assert not any("slow" in notice.message for notice in on_gpu.notices)


def test_second_copies_of_pieces_are_shared_by_groups_of_one_size():
    zero = {"zero_optimization": {"stage": 3, "zero_hpz_partition_size": 2}}
    assert limitations(2, **zero) == []
    assert any("zero_hpz_partition_size: 3 ranks cannot be cut into groups of 2" in p for p in problems(3, **zero))


@pytest.mark.parametrize(
    "options",
    [
        {"stage": 1, "stage3_module_granularity_threshold": 1000, "leaf_module": {"classes": ["Block"]}},
        {"stage": 3, "stage3_module_granularity_threshold": 0, "leaf_module": {"classes": []}, "legacy_stage1": False},
        {"stage": 3, "zero_quantized_weights": "auto", "zero_hpz_partition_size": 1},
    ],
)
def test_options_of_zero_that_ask_for_nothing_are_no_limitation(options):
    assert limitations(2, zero_optimization=options) == []


def test_a_key_left_at_its_default_is_no_limitation():
    changes = {"use_mup": False, "pipe_parallel_size": 1, "autotuning": {"enabled": False}, "amp": {"enabled": False}}
    assert limitations(**changes) == []


def test_an_empty_list_is_as_good_as_none():
    empty = {"train_label_data_paths": [], "comet_tags": [], "soft_prompt_tuning": {}}
    resolved = resolve(**empty)
    assert (resolved.limitations, resolved.notices) == ((), ())
    assert resolve(train_data_stages=None, train_label_data_paths=None).limitations == ()


def test_a_rate_may_be_its_own_lower_bound():
    assert resolve(min_lr=0.001).optimizer.lr == 0.001


def test_how_a_noise_scale_is_measured_matters_where_it_is():
    assert resolve(gradient_noise_scale_n_batches=9, log_gradient_noise_scale=True).notices == ()


def test_an_optimizer_may_be_named_with_its_distribution():
    found = resolve(optimizer={"type": "Neox-Toolkit/AdamW"}).optimizer
    assert found.name == "neox-toolkit/adamw"
    assert resolve(optimizer={"type": "neox-toolkit/AdamW"}, use_bnb_optimizer=True).optimizer.name == "adam8bit"


def test_a_checkpoint_factor_without_a_fraction_is_a_number_of_steps():
    assert resolve(checkpoint_factor=1e4, save="s")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"checkpoint_factor": 10}, "checkpoint_factor: has no effect without save: DIRECTORY"),
        (
            {"gradient_noise_scale_n_batches": 9},
            "gradient_noise_scale_n_batches: has no effect without log_gradient_noise_scale: true",
        ),
        ({"sequence_parallel": True}, "sequence_parallel: has no effect without model_parallel_size > 1"),
        ({"distributed_backend": "nccl"}, "distributed_backend: there is no GPU here: gloo in place of nccl"),
        ({"lr_decay_iters": 4, "lr_decay_fraction": 0.5}, "lr_decay_fraction: is not used: lr_decay_iters is 4"),
        (
            {"attention_config": [[["global"], 2], [["local"], "all"]]},
            "attention_config: [['global'], 2] is not used: the pattern with \"all\" makes up every layer, as in GPT-NeoX",
        ),
        (
            {"deepspeed_extra_args": {"amp": {"enabled": False}}},
            "deepspeed_extra_args: amp: has no effect: DeepSpeed has none any more",
        ),
        ({"rope_fusion": True}, f"rope_fusion: has no effect: {FUSED}"),
        (
            {"precision": "bfloat16", "zero_optimization": {"stage": 0}},
            "zero_optimization: stage 0 is stage 1 in reduced precision; on one rank they are the same",
        ),
        (
            {"bf16": {"enabled": True, "bf16": True, "loss_scale": 0, "hysteresis": 2}},
            "bf16: bf16, hysteresis, loss_scale: no effect in this dictionary",
        ),
    ],
)
def test_what_need_not_be_mended_is_told_once(changes, message):
    assert [str(notice) for notice in resolve(**changes).notices] == [f"dictionary: {message}"]


@pytest.mark.parametrize("on", [True, False])
def test_all_fused_kernels_are_told_of_at_once(on):
    keys = list(FusionSettings.model_fields)
    args = NeoXArgs.from_dict(RUN | dict.fromkeys(keys, on))
    told = [str(notice) for notice in (*args.notices, *args.resolve(World.local()).notices)]
    assert told == ([f"dictionary: {', '.join(keys)}: have no effect: {FUSED}"] if on else [])


def test_nccl_is_right_where_there_is_a_gpu():
    assert resolve(World.local(1, "cuda"), distributed_backend="nccl").notices == ()


# The world


@pytest.mark.parametrize("slots", [0, -1])
def test_a_host_has_at_least_one_rank(slots):
    with pytest.raises(ValueError, match=f"localhost has {slots} slots"):
        World.local(slots)
    with pytest.raises(ValueError, match=f"b has {slots} slots"):
        World((Host("a", 1), Host("b", slots)))


# The resolved value


def test_groups_come_by_type():
    assert resolve()[ModelSettings].num_layers == 4
    with pytest.raises(KeyError):
        resolve()[NeoXArgs]


def test_the_given_values_make_the_same_run_again():
    one = resolve(2, 100, seed=3)
    two = NeoXArgs.from_dict(one.values).resolve(World.local(2), 100)
    assert one.fingerprint() == two.fingerprint()
    assert one == two


@pytest.mark.parametrize("change", [{"seed": 4}, {"vocabulary": 101}, {"world": 4}, {"norm": "rmsnorm"}])
def test_the_fingerprint_knows_a_difference(change):
    assert resolve(**{"world": 2, "vocabulary": 100, **change}).fingerprint() != resolve(2, 100).fingerprint()
