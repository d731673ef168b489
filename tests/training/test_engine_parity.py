"""However a step is cut over ranks, passes and ZeRO stages, it is the same step."""

from __future__ import annotations

import pytest
import training_steps as steps

STEPS = 8


@pytest.fixture(scope="module")
def reference(workers):
    """One rank, one pass, no ZeRO."""
    return workers(1).run(steps.curve, STEPS)[0]


@pytest.mark.parametrize(
    ("ranks", "changes"),
    [
        (1, {"zero_optimization": {"stage": 1}}),
        (1, {"train_micro_batch_size_per_gpu": 1}),
        (1, {"train_micro_batch_size_per_gpu": 2, "zero_optimization": {"stage": 1}}),
        (2, {}),
        (2, {"zero_optimization": {"stage": 1}}),
        (2, {"train_micro_batch_size_per_gpu": 1}),
        (2, {"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 1}}),
    ],
)
def test_the_loss_curve_does_not_depend_on_the_cutting(workers, reference, ranks, changes):
    curves = workers(ranks).run(steps.curve, STEPS, **changes)
    assert all(curve == curves[0] for curve in curves), "ranks must report the same"
    for (loss, norm), (expected_loss, expected_norm) in zip(curves[0], reference, strict=True):
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        assert norm == pytest.approx(expected_norm, rel=1e-4)


@pytest.mark.parametrize("stage", [0, 1])
def test_dropout_meets_the_same_samples_on_one_rank_and_two(workers, stage):
    dropout = {"hidden_dropout": 0.2, "attention_dropout": 0.1, "train_micro_batch_size_per_gpu": 2}
    one = workers(1).run(steps.curve, 3, **dropout)[0]
    two = workers(2).run(steps.curve, 3, **dropout, zero_optimization={"stage": stage})[0]
    assert [loss for loss, _ in two] == pytest.approx([loss for loss, _ in one], rel=1e-5)
    other_seed = workers(1).run(steps.curve, 3, **dropout, seed=5)[0]
    assert one[0][0] != pytest.approx(other_seed[0][0], rel=1e-3)


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("ranks", [1, 2])
def test_bfloat16_follows_float32(workers, reference, ranks, stage):
    changes = {"precision": "bfloat16", "zero_optimization": {"stage": stage}}
    found = workers(ranks).run(steps.curve, STEPS, **changes)[0]
    assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in reference], rel=0.02)
    assert found != reference


def test_bfloat16_keeps_float32_weights_and_state(workers):
    found = workers(1).run(steps.dtypes, precision="bfloat16")[0]
    assert found.pop("computing") == "torch.bfloat16"
    assert found.keys() == {"weight", "exp_avg", "exp_avg_sq", "step"}
    assert set(found.values()) == {"torch.float32"}
