"""Runs that clip as the pipelines of GPT-NeoX did in which they began, whatever ranks they are on now."""

from __future__ import annotations

import pytest
import torch

from neox_core.config import NeoXArgs, World
from neox_core.plugins import PluginManager
from neox_core.testing.processes import solo_process_group
from neox_core.training.clip_norm import times_counted
from neox_core.training.gradient_norm import norm_as_counted

CUTS = {
    "one rank": (1, {}),
    "tp 2": (2, {"model_parallel_size": 2}),
    "pp 2": (2, {"pipe_parallel_size": 2}),
    "zero 1": (2, {"zero_optimization": {"stage": 1}}),
    "zero 3": (2, {"zero_optimization": {"stage": 3}}),
}
CLIPPED = {
    "gradient_clipping": 0.05,
    "train_batch_size": 8,
    "train_micro_batch_size_per_gpu": 2,
    "eval_iters": 0,
    "train_iters": 4,
    "optimizer": {"type": "sgd", "params": {"lr": 1.0}},
}


def test_what_a_pipeline_left_out_is_told_by_name():
    args = NeoXArgs.from_dict(
        {
            "num_layers": 2,
            "hidden_size": 8,
            "num_attention_heads": 2,
            "seq_length": 8,
            "max_position_embeddings": 8,
            "vocab_size": 8,
            "train_iters": 1,
            "train_batch_size": 1,
            "mock_data": True,
            "no_weight_tying": False,
            "clip_norm_blocks": 1,
        },
        plugins=PluginManager(),
    )
    names = [
        *("embedding.weight", "embedding.positions.weight", "norm.weight", "norm.bias"),
        *("layers.0.attention_norm.bias", "layers.1.attention_norm.bias", "layers.1.mlp_norm.weight"),
        *("layers.0.mlp.down.bias", "layers.1.mlp.down.bias", "layers.1.mlp.down.weight", "layers.1.mlp.up.bias"),
        *("layers.1.attention.output.bias", "layers.1.attention.query_key_value.bias"),
    ]
    assert times_counted(names, args.resolve(World.local(), 8)) == {
        "embedding.weight": 2,
        "norm.weight": 0,
        "norm.bias": 0,
        "layers.1.attention_norm.bias": 0,
        "layers.1.mlp_norm.weight": 0,
        "layers.1.mlp.down.bias": 0,
        "layers.1.attention.output.bias": 0,
    }


@pytest.mark.parametrize("tied", [False, True])
def test_the_losses_are_the_same_on_any_ranks(train, tied):
    changes = {**CLIPPED, "no_weight_tying": not tied}
    plain = train(1, **changes)
    found = {name: train(ranks, **changes, **cut, clip_norm_blocks=1) for name, (ranks, cut) in CUTS.items()}
    one = found["one rank"]
    assert [step.grad_norm for step in one.steps] != pytest.approx([step.grad_norm for step in plain.steps], rel=1e-4)
    assert (one.steps[0].grad_norm > plain.steps[0].grad_norm) is tied, "twice what is tied, or less than all"
    for name, run in found.items():
        for what in ("loss", "grad_norm"):
            wanted = [getattr(step, what) for step in one.steps]
            assert [getattr(step, what) for step in run.steps] == pytest.approx(wanted, rel=1e-5), name


def test_a_number_that_is_not_finite_is_found_where_it_does_not_count():
    sound, broken = torch.ones(4), torch.tensor([float("nan")])
    device = torch.device("cpu")
    with solo_process_group():
        assert norm_as_counted([(sound, 2), (torch.ones(3), 0)], device).item() == pytest.approx(8**0.5)
        assert not torch.isfinite(norm_as_counted([(sound, 1), (broken, 0)], device))
