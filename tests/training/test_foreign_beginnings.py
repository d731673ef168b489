"""Runs that begin with checkpoints of other families: at any number of ranks, with the same weights to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from foreign_models import convert
from safetensors.torch import load_file

from neox_core.checkpoint import Reader
from neox_core.errors import UserError
from neox_core.plugins import PluginManager, Switches
from neox_core.training import load_trained, update_model_from_checkpoint

ROWS = 61
"""Of the vocabulary: two tensor-parallel ranks would have 62."""

MODEL = {
    "num_attention_heads": 4,
    "num_kv_heads": 2,
    "norm": "rmsnorm",
    "rms_norm_epsilon": 1e-6,
    "activation": "swiglu",
    "intermediate_size": 72,
    "use_bias_in_mlp": False,
    "use_bias_in_attn_linear": False,
    "no_weight_tying": True,
    "max_position_embeddings": 64,
    "vocab_size": 60,
    "make_vocab_size_divisible_by": 1,
}
"""The keys in which the runs of these tests have the model of `theirs`; with fewer tokens than it has rows."""

ZERO3 = {"zero_optimization": {"stage": 3}}


@pytest.fixture
def theirs(data) -> Path:
    """A directory of transformers, beside data whose tokens are below 60."""
    torch.manual_seed(0)
    sizes = {"vocab_size": ROWS, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.LlamaConfig(**sizes, num_key_value_heads=2, intermediate_size=24, max_position_embeddings=64)
    transformers.LlamaForCausalLM(config).save_pretrained(data / "theirs")
    return data / "theirs"


@pytest.fixture
def begin(train, data):
    """A run of the model of `theirs`; what rank 0 saw of it."""

    def make(ranks=1, **changes):
        return train(ranks, **{**MODEL, "mock_data": True, "data_path": None, "train_iters": 2, **changes})

    return make


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    reader = Reader(checkpoint)
    return {name: reader.whole(name) for name in reader.names}


def as_ours(theirs: Path) -> dict[str, torch.Tensor]:
    """The weights under our names."""
    return weights(next(converted(theirs).glob("global_step*")))


def converted(theirs: Path) -> Path:
    """The same as a checkpoint of ours."""
    if not theirs.with_name("ours").exists():
        assert convert(theirs, theirs.with_name("ours")) == 0
    return theirs.with_name("ours")


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("ranks", "changes"),
    [
        (1, {}),
        (2, {"model_parallel_size": 2}),
        (2, {"pipe_parallel_size": 2}),
        (2, ZERO3),
        (2, {"zero_optimization": {"stage": 1}, "precision": "bfloat16"}),
    ],
    ids=["one rank", "two tensor-parallel ranks", "two stages", "ZeRO 3", "ZeRO 1 in bf16"],
)
def test_the_first_weights_are_theirs_to_the_bit(begin, theirs, data, ranks, changes):
    save = {"save": str(data / "begun"), "extra_save_iters": [0]}
    found = begin(ranks, initial_ckpt_path=str(theirs), **save, **changes)
    assert (found.code, found.start, len(found.steps)) == (0, 0, 2), found.failure
    assert same(weights(data / "begun/global_step0"), as_ours(theirs))
    assert found.notices == [f"initial_ckpt_path: the first weights are those of {theirs}, a checkpoint of hf-llama"]
    assert found.log[0] == f"weights from {theirs}: 17 tensors loaded"


def test_it_is_the_same_run_as_from_a_converted_checkpoint(begin, theirs):
    ours = str(converted(theirs))
    ways = ({"initial_ckpt_path": str(theirs)}, {"initial_ckpt_path": ours}, {"load": ours, "finetune": True})
    losses = [[step.loss for step in begin(**way, vocab_size=ROWS, hidden_dropout=0.1).steps] for way in ways]
    assert losses[0] == losses[1] == losses[2]
    assert len(losses[0]) == 2


def test_what_was_saved_by_two_tensor_parallel_ranks_becomes_theirs(begin, theirs, data):
    for ranks in (1, 2):
        save = str(data / f"saved{ranks}")
        found = begin(ranks, initial_ckpt_path=str(theirs), save=save, extra_save_iters=[0], model_parallel_size=ranks)
        assert found.code == 0, found.failure
        assert convert(save, data / f"again{ranks}", "--iteration", "0", "--verify") == 0
        assert same(load_file(data / f"again{ranks}/model.safetensors"), load_file(theirs / "model.safetensors"))


def test_weights_that_are_named_begin_anew(begin, theirs, data):
    skip = {"initial_ckpt_skip_keys_with_these_prefixes": ["head", "layers.1.mlp"]}
    save = {"save": str(data / "begun"), "extra_save_iters": [0]}
    found = begin(2, initial_ckpt_path=str(theirs), model_parallel_size=2, **skip, **save)
    begun, given = weights(data / "begun/global_step0"), as_ours(theirs)
    changed = {name for name in given if not torch.equal(begun[name], given[name])}
    assert changed == {"head.weight", *(f"layers.1.mlp.{part}.weight" for part in ("gate", "up", "down"))}
    assert found.log[1].startswith("left at their initialisation: ")


def test_another_model_is_told_and_refused(begin, theirs):
    told = begin(initial_ckpt_path=str(theirs), rms_norm_epsilon=1e-4)
    assert told.notices[1] == f"initial_ckpt_path: {theirs} was saved with rms_norm_epsilon 1e-06 (now 0.0001)"
    refused = begin(initial_ckpt_path=str(theirs), num_kv_heads=4, intermediate_size=96)
    assert f"{theirs} does not fit this model: its shapes differ: layers.0.attention.query_key_value" in refused.failure
    more = begin(initial_ckpt_path=str(theirs), vocab_size=ROWS + 1)
    assert f"embedding.weight [{ROWS}, 16] (here [{ROWS + 1}, 16])" in more.failure
    (theirs / "model.safetensors").unlink()
    gone = begin(initial_ckpt_path=str(theirs))
    assert f"{theirs}: there is config.json, and no weights" in gone.failure


@pytest.mark.parametrize(
    ("ranks", "changes"), [(1, {}), (2, {"zero_optimization": {"stage": 1}, "precision": "bfloat16"}), (2, ZERO3)]
)
def test_weights_alone_are_a_checkpoint_of_step_0_that_runs_go_on_from(begin, theirs, ranks, changes):
    ours = {"vocab_size": ROWS, **changes}
    resumed = begin(ranks, load=str(converted(theirs)), **ours)
    assert (resumed.code, resumed.start) == (0, 0), resumed.failure
    begun = begin(ranks, initial_ckpt_path=str(converted(theirs)), **ours)
    assert [step.loss for step in resumed.steps] == [step.loss for step in begun.steps]


def test_a_model_in_memory_takes_their_weights(theirs):
    model = load_trained(converted(theirs), Switches()).model
    for parameter in model.parameters():
        parameter.data.zero_()
    report = update_model_from_checkpoint(model, theirs, skip=["head"], plugins=PluginManager(Switches()))
    assert (report.skipped, len(report.loaded)) == (("head.weight",), 16)
    given = as_ours(theirs)
    assert all(torch.equal(value, given[name]) for name, value in model.named_parameters() if name != "head.weight")
    with pytest.raises(UserError, match="there is no checkpoint"):
        update_model_from_checkpoint(model, theirs)
