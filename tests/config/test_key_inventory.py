"""GPT-NeoX's keys, from a table of their names, types and defaults: each has one owner here, with its meaning and its default."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from neox_core.config import Settings
from neox_core.config.derived import DERIVED, RUNTIME
from neox_core.config.keys import REQUIRED, Key
from neox_core.config.ownership import Ownership
from neox_core.plugins import PluginManager, Switches

GOLDEN = Path(__file__).parents[1] / "golden"
UPSTREAM = json.loads((GOLDEN / "gpt-neox-keys.json").read_text(encoding="utf-8"))

NO_KEYS = {
    "adlr_autoresume_object",
    "batch_size",
    "clip_grad",
    "comet_experiment",
    "config_files",
    "curriculum_seqlen",
    "dynamic_loss_scale",
    "is_pipe_parallel",
    "lr",
    "optimizer_type",
    "padded_vocab_size",
    "tensorboard_writer",
    "tokenizer",
    "user_script",
    "world_size",
    "zero_allgather_bucket_size",
    "zero_contiguous_gradients",
    "zero_reduce_bucket_size",
    "zero_reduce_scatter",
    "zero_stage",
}
"""What GPT-NeoX computes from other settings, or keeps while it runs."""

OTHER_DEFAULTS = {
    "gradient_accumulation_steps": "1 would make a total and a micro-batch contradict each other; none is computed",
    "launcher": "one machine, and CPUs, need no remote shell",
    "steps_per_print": "our own lines tell more than DeepSpeed's",
    "num_layers": "a model has none by default",
    "hidden_size": "likewise",
    "num_attention_heads": "likewise",
    "seq_length": "likewise",
    "max_position_embeddings": "likewise",
}
"""Keys with a default of our own, and why."""

OTHER_TYPES = {
    "autotuning_run": "text, but one of two",
    "distributed_backend": "text, but one of the backends that there are",
    "communication_data_type": "the name of a number format, where GPT-NeoX has true or false, which mean nothing",
    "te_fp8_amax_compute_algo": "text, but one of two",
    "text_gen_type": "text, but one of four",
    "gradient_noise_scale_n_batches": "one batch cannot be compared with itself",
    "mup_width_scale": "the second model must be wider",
    "rpe_num_buckets": "half of the classes are of one distance each",
}
"""Keys that do not take every value of the type that GPT-NeoX declares, and why."""

ALIASES = {
    "save_interval": "checkpoint_factor",
    "save_iters": "extra_save_iters",
    "slurm_comment": "comment",
    "max_tokens": "maximum_tokens",
    "gas": "gradient_accumulation_steps",
    "num_experts": "moe_num_experts",
    "expert_interval": "moe_expert_interval",
    "expert_parallel_size": "moe_expert_parallel_size",
    "bfloat16": "bf16",
}

README_MIXTURES = {
    "moe_loss_coeff": 0.1,
    "moe_min_capacity": 4,
    "moe_train_capacity_factor": 1.0,
    "moe_eval_capacity_factor": 1.0,
    "moe_token_dropping": False,
    "moe_expert_parallel_size": 1,
    "moe_top_k": 1,
    "moe_num_experts": 1,
    "enable_expert_tensor_parallelism": False,
    "moe_glu": False,
    "use_tutel": False,
    "create_moe_param_group": True,
}
"""Keys of mixtures that GPT-NeoX's README has, or its files before 2025, with their defaults."""

OWNERSHIP = Ownership.of(PluginManager(Switches()))
INPUTS = sorted(set(UPSTREAM) - NO_KEYS)


def owner_of(name: str) -> Key:
    return OWNERSHIP.keys[name]


def test_the_table_is_whole():
    assert len(UPSTREAM) == 321
    assert set(UPSTREAM) >= NO_KEYS


def test_what_is_computed_is_no_key():
    assert NO_KEYS.isdisjoint(OWNERSHIP.keys)
    assert set(DERIVED) | set(RUNTIME) >= NO_KEYS


@pytest.mark.parametrize("name", INPUTS)
def test_each_key_of_gpt_neox_has_an_owner_that_explains_it(name):
    key = owner_of(name)
    assert key.description
    if name not in OTHER_DEFAULTS:
        assert key.default == UPSTREAM[name]["default"]
        assert type(key.default) is type(UPSTREAM[name]["default"])


@pytest.mark.parametrize("name", sorted(OTHER_DEFAULTS))
def test_a_default_of_our_own_differs(name):
    assert owner_of(name).default != UPSTREAM[name]["default"]


@pytest.mark.parametrize("name", INPUTS)
def test_a_key_takes_what_gpt_neox_declares(name):
    field = owner_of(name).group.model_fields[name]
    take = TypeAdapter(Annotated[field.annotation, name, *field.metadata], config={"strict": True}).validate_python
    refused = []
    for value in examples_of(UPSTREAM[name]["type"]):
        try:
            assert take(value) == value
        except ValidationError:
            refused.append(value)
    assert bool(refused) == (name in OTHER_TYPES), refused


def examples_of(declared: str) -> list[Any]:
    """Values of a type that is written as in GPT-NeoX's sources; every one of those that are listed."""
    node = ast.parse(declared, mode="eval").body
    if isinstance(node, ast.Name):
        return {"bool": [True], "int": [1], "float": [0.5], "str": ["text"], "list": [[]], "dict": [{}]}[node.id]
    outer, inner = node.value.id, node.slice
    if outer == "Literal":
        return list(ast.literal_eval(inner)) if isinstance(inner, ast.Tuple) else [ast.literal_eval(inner)]
    if outer == "List":
        return [examples_of(ast.unparse(inner)) * 2]
    return [
        value
        for part in (inner.elts if isinstance(inner, ast.Tuple) else [inner])
        for value in examples_of(ast.unparse(part))
    ]


@pytest.mark.parametrize(("name", "default"), sorted(README_MIXTURES.items()))
def test_the_keys_of_mixtures_of_the_readme_are_there(name, default):
    assert owner_of(name).default == default


@pytest.mark.parametrize(("alias", "name"), sorted(ALIASES.items()))
def test_earlier_spellings_lead_to_the_key(alias, name):
    assert OWNERSHIP.aliases[alias] == name
    assert alias not in OWNERSHIP.keys


def test_no_alias_is_of_two_keys():
    aliases = [alias for key in OWNERSHIP.keys.values() for alias in key.aliases]
    assert sorted(aliases) == sorted(OWNERSHIP.aliases)


def test_no_key_has_two_owners():
    assert not OWNERSHIP.broken
    assert {key: owners for key, owners in OWNERSHIP.by_key.items() if len(owners) > 1} == {}


def test_no_group_has_the_name_of_another():
    names = [group.group_name for group in OWNERSHIP.groups]
    assert all(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("group", OWNERSHIP.groups, ids=lambda group: group.group_name)
def test_every_default_is_valid(group: type[Settings]):
    keys = [key for key in OWNERSHIP.keys.values() if key.group is group]
    required = {key.name for key in keys if key.default is REQUIRED}
    if not required:
        group()
        return
    with pytest.raises(ValidationError) as caught:
        group()
    assert {(detail["loc"], detail["type"]) for detail in caught.value.errors()} == {
        ((name,), "missing") for name in required
    }


@pytest.mark.parametrize("name", sorted(OWNERSHIP.keys))
def test_each_key_is_declared_in_a_consistent_way(name):
    key = owner_of(name)
    assert key.description.strip() == key.description
    assert not key.description.endswith(".")
    assert not (key.unused and key.pending)
    if key.unused:
        assert (key.changes, key.from_checkpoint) == ("nothing", "keep")
    if name in UPSTREAM:
        assert key.origin != "neox"
