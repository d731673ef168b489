"""GPT-NeoX's configuration files, alone and together as they are used, and the examples of its documentation.

The facts that are expected were computed by GPT-NeoX itself from the same files. One is corrected: the fp16 dictionary of
pythia/1B.yml says `type: bfloat16`, in which that model was trained, and which GPT-NeoX overlooks today.
"""

from __future__ import annotations

from typing import Any

import pytest
from gpt_neox_tables import args_of, configs, entries_of, examples, line_of, read_golden

from neox_core.config import NeoXArgs, Resolved, World
from neox_core.errors import SettingsError
from neox_core.plugins import PluginManager
from neox_core.training.components import component_problems

RUNS = read_golden("gpt-neox-runs")
FRAGMENTS = [
    "configs/cpu_mock_config.yml",
    "configs/docker/pythia-paths.yml",
    "configs/eleutherai_cluster.yml",
    "configs/llama/train_config.yml",
    "configs/local_setup.yml",
    "configs/local_setup_comet.yml",
    "configs/local_setup_wandb.yml",
    "configs/prof.yml",
    "configs/slurm_local.json",
    "configs/slurm_local.yml",
    "configs/sparse.yml",
    "configs/text_generation.yml",
]
PASSED_ON = {"data_types", "steps_per_print", "wall_clock_breakdown"}
"""Keys of DeepSpeed's configuration that files have and nothing changes."""


@pytest.fixture(scope="module")
def plugins() -> PluginManager:
    return PluginManager()


def name_of(run: dict[str, Any]) -> str:
    return f"{'+'.join(run['files'])} on {run['ranks']}"


def resolve(run: dict[str, Any], plugins: PluginManager, vocabulary: int | None = None) -> Resolved:
    more = {"compat": run["compat"]} if "compat" in run else {}
    args = args_of(run["files"], plugins, without=run.get("without", ()), **more)
    return args.resolve(World.local(run["ranks"], device="cuda"), vocabulary)


def run_of(*files: str) -> dict[str, Any]:
    """The first run of these files."""
    return next(run for run in RUNS if run["files"] == list(files))


def without(*keys: str, **mapping: Any) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}


def test_all_files_are_there_and_each_is_part_of_a_run():
    assert len(configs()) == 73
    assert {file for run in RUNS for file in run["files"]} == set(configs())
    assert {run["files"][0] for run in RUNS} == set(configs()) - set(FRAGMENTS)


# What GPT-NeoX makes of its files


@pytest.mark.parametrize("run", RUNS, ids=name_of)
def test_a_run_is_what_gpt_neox_makes_of_it(run, plugins):
    resolved = resolve(run, plugins)
    mixers = [run["mixers"]] * run["num_layers"] if isinstance(run["mixers"], str) else run["mixers"]
    assert list(resolved.layers) == mixers
    assert [resolved.batch.micro, resolved.batch.accumulation, resolved.batch.total] == run["batch"]
    assert resolved.precision == run["precision"]
    values = resolved.all_values()
    optimizer = "adam8bit" if values["use_bnb_optimizer"] else run["optimizer"]
    assert (resolved.optimizer.name, resolved.optimizer.lr) == (optimizer, run["lr"])
    assert max(values["pipe_parallel_size"], 1) == max(run["pipe_parallel_size"], 1)
    assert values["model_parallel_size"] == run["model_parallel_size"]


@pytest.mark.parametrize("run", RUNS, ids=name_of)
def test_deepspeed_is_told_the_same(run, plugins):
    json = resolve(run, plugins).deepspeed
    batch = ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "train_batch_size")
    assert [json[key] for key in batch] == run["batch"]
    # GPT-NeoX leaves out 1.0, its default, which is one of the defects that `compat` brings back.
    assert json.get("gradient_clipping") == (None if "compat" in run else run["gradient_clipping"])
    assert {name: json[name]["enabled"] for name in ("fp16", "bf16") if name in json} == (
        {} if run["precision"] == "fp32" else {run["precision"]: True}
    )
    # Without ZeRO, DeepSpeed has other optimizers for reduced precision; stage 1 stands in for them.
    lifted = run["zero_stage"] == 0 and run["precision"] != "fp32"
    assert json["zero_optimization"]["stage"] == (1 if lifted else run["zero_stage"])
    for file in run["files"]:
        given = configs()[file]
        assert json["zero_optimization"].items() >= without("stage", **given.get("zero_optimization", {})).items()
        if run["precision"] == "fp16":
            assert json["fp16"].items() >= without("fp16", "type", **given.get("fp16", {})).items()
        assert json.items() >= {key: given[key] for key in PASSED_ON & given.keys() if given[key] is not False}.items()
        assert json.items() >= given.get("deepspeed_extra_args", {}).items()


@pytest.mark.parametrize("run", RUNS, ids=name_of)
def test_a_run_has_no_mistake_in_its_components(run, plugins):
    problems = component_problems(resolve(run, plugins), plugins)
    assert [problem for problem in problems if not problem.limitation] == []


@pytest.mark.parametrize("file", FRAGMENTS)
def test_a_fragment_alone_lacks_the_model(file, plugins):
    with pytest.raises(SettingsError) as caught:
        args_of([file], plugins)
    missing = {key for problem in caught.value.problems for key in problem.keys if "must be given" in problem.message}
    assert {"num_layers", "hidden_size", "num_attention_heads"} <= missing
    assert all("must be given" in problem.message for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("files", "vocabulary", "padded"),
    [
        (["configs/125M.yml"], 50257, 50304),
        (["configs/pythia/2-8B.yml"], 50277, 50304),
        (["configs/pythia/6-9B.yml"], 50277, 50432),
        (["configs/pythia/12B.yml"], 50277, 50688),
        (["configs/20B.yml"], 50277, 50432),
        (["configs/llama/7B.yml", "configs/llama/train_config.yml"], 32000, 32000),
        (["configs/llama/13B.yml", "configs/llama/train_config.yml"], 32000, 32000),
        (["post-training/configs/benchmarking/llama-13b-dpo.yml"], 32000, 32000),
    ],
    ids=str,
)
def test_the_vocabulary_is_padded_as_in_published_checkpoints(files, vocabulary, padded, plugins):
    assert resolve(run_of(*files), plugins, vocabulary).padded_vocab_size == padded


# What is refused, and in which words


@pytest.mark.parametrize(
    ("files", "key", "advice"),
    [
        (["configs/llemma/7B.yml"], "decay_lr_to", "write min_lr: 3.3e-06"),
        (["configs/llemma/7B.yml"], "warmup_iters", "write warmup: 0.0104167"),
        (["configs/autotuning_configs/tune.json"], "autotuning_config", "write autotuning"),
        (["configs/125M.yml", "configs/local_setup.yml", "configs/prof.yml"], "tensorboard_dir", "remove one"),
        (["configs/20B.yml", "configs/local_setup.yml"], "data_path", "remove one"),
        # In GPT-NeoX the later one replaces the earlier one when it has hyphens; here that takes `compat: gpt-neox`.
        (["configs/pythia/14M.yml", "configs/docker/pythia-paths.yml"], "train_data_paths", "remove one"),
        (["configs/pythia/70M.yml", "configs/docker/pythia-paths.yml"], "tokenizer_type", "remove one"),
    ],
    ids=str,
)
def test_what_cannot_be_loaded_is_named_with_its_line_and_a_way_out(files, key, advice, plugins):
    with pytest.raises(SettingsError) as caught:
        args_of(files, plugins)
    (problem,) = [problem for problem in caught.value.problems if key in problem.keys]
    for file in files:
        lines = [line_of(configs()[file], spelt) for spelt in configs()[file] if spelt.replace("-", "_") == key]
        assert all(f"{file}:{line}" in str(problem) for line in lines)
    assert advice in str(problem)


def test_a_width_of_which_gpt_neox_makes_tensors_that_do_not_fit_is_refused_with_the_one_that_was_meant(plugins):
    args = args_of(["configs/mistral/7B.yml", "configs/llama/train_config.yml"], plugins)
    with pytest.raises(SettingsError) as caught:
        args.resolve(World.local(1, device="cuda"))
    (problem,) = [problem for problem in caught.value.problems if not problem.limitation]
    line = line_of(configs()["configs/mistral/7B.yml"], "intermediate_size")
    assert str(problem).startswith(f"configs/mistral/7B.yml:{line}: intermediate_size, mlp_multiple_of, activation: ")
    assert "write intermediate_size: 43008" in str(problem)


@pytest.mark.parametrize(
    ("file", "key", "words"),
    [
        ("configs/llemma/34B.yml", "attention_type", "num_kv_heads says it"),
        ("configs/autotuning_configs/small_tune.json", "save_interval", "checkpoint_factor"),
        ("configs/gmlp_small.yml", "optimizer", "'1.0e_8' is read as 1e-08"),
        ("configs/pythia/1B.yml", "fp16", "bfloat16"),
        ("configs/rwkv/170M.yml", "bf16", "loss_scale"),
    ],
)
def test_what_has_a_plain_meaning_is_read_with_a_notice(file, key, words, plugins):
    args = args_of([file], plugins)
    notices = (*args.notices, *args.resolve(World.local(8, device="cuda")).notices)
    assert [str(notice) for notice in notices if key in notice.keys and words in notice.message]


def test_several_ports_are_several_ports(plugins):
    args = args_of(["post-training/configs/llama3-8b-reinforce.yml"], plugins)
    assert args.online_dataserver_ports == [10000, 10001]


# The documentation


def example(name: str, plugins: PluginManager) -> NeoXArgs:
    return NeoXArgs(entries_of(name, examples()[name]), plugins)


@pytest.mark.parametrize("name", examples())
def test_an_example_of_the_documentation_loads(name, plugins):
    ranks = 32 if name == "MoE over ranks" else 8
    resolved = example(name, plugins).resolve(World.local(ranks, device="cuda"))
    assert resolved.layers == ("global",) * 12
    assert resolved.deepspeed["gradient_clipping"] == 1.0


def test_the_pre_training_example(plugins):
    args = example("pre-training", plugins)
    resolved = args.resolve(World.local(8, device="cuda"))
    assert len(args.to_dict()) == 38
    assert (resolved.precision, resolved.batch.total, resolved.optimizer.lr) == ("fp16", 32, 6e-4)
    assert resolved.optimizer.params == {"lr": 6e-4, "betas": [0.9, 0.95]}  # its max_grad_norm is gradient_clipping


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("batch from total and micro", (4, 1, 32)),
        ("batch from total", (4, 1, 32)),
        ("batch from total and accumulation", (1, 4, 32)),
    ],
)
def test_the_rest_of_the_batch_is_computed(name, batch, plugins):
    found = example(name, plugins).resolve(World.local(8, device="cuda")).batch
    assert (found.micro, found.accumulation, found.total) == batch


@pytest.mark.parametrize(("name", "precision"), [("fp16", "fp16"), ("bfloat16", "bf16"), ("fp32", "fp32")])
def test_precision_replaces_the_dictionaries(name, precision, plugins):
    resolved = example(f"precision {name}", plugins).resolve(World.local(1, device="cuda"))
    assert resolved.precision == precision
    assert [key for key in ("fp16", "bf16") if key in resolved.deepspeed] == [precision] * (precision != "fp32")


def test_further_keys_go_to_deepspeed_unchanged(plugins):
    resolved = example("deepspeed_extra_args", plugins).resolve(World.local(1, device="cuda"))
    assert resolved.deepspeed["comms_logger"] == {"enabled": True, "verbose": True, "prof_all": True, "debug": False}


@pytest.mark.parametrize("allowed", [False, True])
def test_untested_optimizers_under_zero_are_a_key_of_their_own(allowed, plugins):
    name = f"ZeRO with an untested optimizer {'allowed' if allowed else 'refused'}"
    assert example(name, plugins).zero_allow_untested_optimizer is allowed


def test_one_path_is_a_list_of_one(plugins):
    document = "data/enwik8/enwik8_text_{}document".format
    kto, dpo = example("KTO", plugins), example("DPO with labels", plugins)
    for part in ("train", "valid", "test"):
        assert getattr(kto, f"{part}_data_paths") == [document("")]
        assert getattr(kto, f"{part}_label_data_paths") == [document("label_")]
        assert getattr(kto, f"{part}_reward_data_paths") == [document("reward_")]
        for side in ("pos", "neg"):
            assert getattr(dpo, f"{side}_{part}_data_paths") == [document(f"{side}_")]
            assert getattr(dpo, f"{side}_{part}_label_data_paths") == [document(f"{side}_label_")]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("data with hyphens", {"data_path": "./data/enwik8/enwik8_text_document"}),
        ("DPO", {"train_impl": "dpo", "dataset_impl": "pairwise", "pack_impl": "unpacked", "dpo_beta": 0.1}),
        ("DPO with precompute", {"precompute_model_name": "gpt2", "text_gen_type": "precompute"}),
        ("SLURM", {"launcher": "slurm", "deepspeed_slurm": True}),
        ("MPI", {"launcher": "openmpi", "deepspeed_mpi": True}),
        ("MoE", {"moe_type": "megablocks", "moe_num_experts": 8, "moe_expert_interval": 2, "moe_loss_coeff": 0.1}),
        ("MoE over ranks", {"moe_expert_parallel_size": 4, "model_parallel_size": 2}),
        ("TensorBoard with hyphens", {"tensorboard_dir": "tensorboard"}),
        ("Weights & Biases", {"use_wandb": True, "wandb_group": "example", "wandb_team": "eleutherai"}),
        ("Comet", {"use_comet": True, "comet_project": "test_project"}),
        ("profiling", {"profile": True, "profile_step_stop": 12, "memory_profiling_path": "tensorboard"}),
    ],
)
def test_keys_of_an_example_have_the_values_they_were_given(name, values, plugins):
    args = example(name, plugins)
    assert {key: getattr(args, key) for key in values} == values


@pytest.mark.parametrize("experts", [1, 8])
def test_every_second_layer_has_experts_if_there_are_several(experts, plugins):
    resolved = example("MoE" if experts > 1 else "MoE switched off", plugins).resolve(World.local(8, device="cuda"))
    assert resolved.mixtures == (("megablocks", None) * 6 if experts > 1 else (None,) * 12)
