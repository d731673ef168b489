"""Weights and optimizer state go out of the engine and into another one exactly."""

from __future__ import annotations

import pytest
import torch
import training_steps as steps
from torch import nn
from whole_matrix import in_whole

from neox_core.checkpoint.layout import shard_name
from neox_core.parallel import Axis, ShardSpec
from neox_core.training.fragments import Held, share

COMPLETE = ("exp_avg", "exp_avg_sq", "step", "weight")


@pytest.mark.drawn(3)
@pytest.mark.parametrize("precision", ["fp32", "bfloat16"])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("ranks", [in_whole(1), 2])
def test_a_fresh_engine_goes_on_bit_for_bit(workers, tmp_path, ranks, stage, precision):
    changes = {"zero_optimization": {"stage": stage}, "precision": precision, "hidden_dropout": 0.1}
    saved = workers(ranks).run(steps.save_and_go_on, tmp_path, **changes)
    loaded = workers(ranks).run(steps.load_and_go_on, saved[0]["path"], **changes)
    assert {roles for _, roles in saved[0]["roles"]} == {COMPLETE}
    for before, after in zip(saved, loaded, strict=True):
        assert after["counts"] == {2.0}
        assert after["losses"] == before["losses"]


@pytest.mark.drawn(3)
@pytest.mark.parametrize(
    ("before", "after"),
    [((2, 1), (1, 0)), ((1, 0), (2, 1)), ((2, 0), (1, 1)), ((2, 3), (1, 2)), ((2, 2), (2, 3)), ((1, 0), (2, 3))],
)
def test_a_checkpoint_loads_on_another_number_of_ranks_and_at_another_stage(workers, tmp_path, before, after):
    (ranks, stage), (ranks_after, stage_after) = before, after
    saved = workers(ranks).run(steps.save_and_go_on, tmp_path, zero_optimization={"stage": stage})[0]
    loaded = workers(ranks_after).run(steps.load_and_go_on, saved["path"], zero_optimization={"stage": stage_after})[0]
    assert loaded["counts"] == {2.0}
    assert loaded["losses"] == pytest.approx(saved["losses"], rel=1e-5)


@pytest.mark.parametrize("stage", [1, 3])
def test_a_rank_reads_what_it_has_saved_and_not_what_the_others_have(workers, tmp_path, stage):
    changes = {"zero_optimization": {"stage": stage}, "precision": "bfloat16"}
    saved = workers(2).run(steps.save_and_go_on, tmp_path, **changes)[0]
    read = workers(2).run(steps.shards_to_go_on, saved["path"], **changes)
    assert read == [{shard_name(rank)} for rank in range(2)]


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_ranks_that_hold_the_same_save_about_as_much_each(ranks):
    sizes = [300, 20, 500, 10] * 8  # weights and biases in turn
    held = [
        Held(f"{n}", nn.Parameter(torch.empty(size)), ShardSpec.complete(f"{n}", (size,)))
        for n, size in enumerate(sizes)
    ]
    shares = [share(held, Axis(rank, ranks)) for rank in range(ranks)]
    assert sorted(int(one.name) for part in shares for one in part) == [*range(len(held))]
    loads = [sum(one.parameter.numel() for one in part) for part in shares]
    assert max(loads) - min(loads) <= max(sizes)
