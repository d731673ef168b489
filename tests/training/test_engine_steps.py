"""What a step does to the gradient and the weights: clipping, skipping, rates; and what evaluating does not do."""

from __future__ import annotations

import math

import pytest
import training_steps as steps
from whole_matrix import in_whole

CUTS = [(1, 0), (2, 0), (1, 1), (2, 1), (2, 2), (1, 3), (2, 3)]


def zero(stage):
    return {"zero_optimization": {"stage": stage}}


@pytest.mark.drawn(3)
@pytest.mark.parametrize(("ranks", "stage"), CUTS)
def test_clipping_reports_the_norm_before_and_updates_with_the_norm_after(workers, ranks, stage):
    pool = workers(ranks)
    norm, used = pool.run(steps.clipped, 0.0, **zero(stage))[0]
    assert used == pytest.approx(norm, rel=1e-4)
    for clipping, expected in [(norm / 2, norm / 2), (norm * 2, norm)]:
        reported, used = pool.run(steps.clipped, clipping, **zero(stage))[0]
        assert reported == pytest.approx(norm, rel=1e-5)
        assert used == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("ranks", "stage"), CUTS)
def test_clipping_at_one_is_not_taken_for_none(workers, ranks, stage):
    reported, used = workers(ranks).run(steps.clipped, 1.0, 100.0, **zero(stage))[0]
    assert reported > 10
    assert used == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("value", [math.nan, in_whole(math.inf)])
@pytest.mark.parametrize(("ranks", "stage"), CUTS)
def test_a_gradient_that_is_not_finite_on_one_rank_is_skipped_on_all(workers, ranks, stage, value):
    for answer in workers(ranks).run(steps.skipped, value, bad_rank=ranks - 1, **zero(stage)):
        assert not answer["result"].applied
        assert answer["result"].skip_reason == (
            f"the gradient is not finite: it begins with the gradient of layers.1.mlp.up.bias, on rank {ranks - 1} in micro-batch 1"
        )
        assert not math.isfinite(answer["result"].grad_norm)
        assert answer["untouched"], "weights and optimizer state must be as they were, bit for bit"
        assert all(applied for applied, _ in answer["after"])
        assert answer["after"] == answer["expected"], "what follows must not know of the skipped step"


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("micro_batch", [in_whole(0), 1])
def test_a_bad_micro_batch_spoils_the_whole_step_and_no_other(workers, stage, micro_batch):
    changes = {"train_micro_batch_size_per_gpu": 1, "bad_micro_batch": micro_batch, **zero(stage)}
    for answer in workers(2).run(steps.skipped, math.nan, bad_rank=0, **changes):
        assert not answer["result"].applied
        assert answer["untouched"]
        assert answer["after"] == answer["expected"]


@pytest.mark.parametrize(("ranks", "stage"), [in_whole(1, 1), in_whole(2, 1), (2, 2), (2, 3)])
def test_bfloat16_skips_too(workers, ranks, stage):
    for answer in workers(ranks).run(steps.skipped, math.nan, bad_rank=0, precision="bfloat16", **zero(stage)):
        assert not answer["result"].applied
        assert answer["untouched"]
        assert answer["after"] == answer["expected"]


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("rate", [1e-3, 4e-2])
def test_the_step_uses_the_rate_that_it_is_given(workers, stage, rate):
    assert workers(1).run(steps.moved, rate, **zero(stage))[0] == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (2, 1), (2, 3)])
def test_evaluating_leaves_no_trace(workers, ranks, stage):
    answer = workers(ranks).run(steps.evaluated_in_between, hidden_dropout=0.3, attention_dropout=0.2, **zero(stage))[0]
    assert all(one == other for one, other in answer["losses"])
    for first, second, clean in answer["passes"]:
        assert first == second, "dropout must be off"
        assert clean, "random state, weights, optimizer state and gradients must be as they were"


def test_collectives_in_shared_memory_are_not_built(workers):
    for built, name, asked in workers(2).run(steps.shared_memory):
        assert built is None
        assert asked == {name: False}
