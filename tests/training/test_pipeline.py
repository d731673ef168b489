"""A pipeline trains as one process does."""

from __future__ import annotations

from functools import cache

import pipelines
import pytest
import torch

DROPOUT = {"hidden_dropout": 0.2, "attention_dropout": 0.1}
RECOMPUTED = {"checkpoint_activations": True, "checkpoint_num_layers": 2}
KINDS = {
    "plain": {},
    "tied": {"no_weight_tying": False},
    # Without rotation a bias of keys has no effect: its gradient is what rounding leaves, of which Adam makes full steps.
    "relative biases": {
        "pos_emb": "rpe",
        "rpe_max_distance": 8,
        "rpe_num_buckets": 4,
        "use_bias_in_attn_linear": False,
    },
    "learned positions": {"pos_emb": "learned", "no_weight_tying": False, "use_bias_in_attn_linear": False},
    "dropout": DROPOUT,
    "recomputed": {**RECOMPUTED, **DROPOUT},
    "soft prompt": {"soft_prompt_tuning": {"enabled": True, "num_tokens": 3, "init_range": 0.3}},
    "mixtures": {"moe_num_experts": 2, "moe_top_k": 1, "moe_loss_coeff": 0.5},
    "documents and marks": {"more": True},
    "prompt in documents": {"more": True, "soft_prompt_tuning": {"enabled": True, "num_tokens": 3, "init_range": 0.3}},
    "clipped": {"gradient_clipping": 0.1},
    "tokens weighed": {"loss_normalisation": "global_tokens"},
    "no accumulation": {"train_micro_batch_size_per_gpu": 4},
    "two micro-batches": {"train_micro_batch_size_per_gpu": 2},
}


@pytest.fixture(scope="module")
def alone(workers):
    """What one process makes of settings."""

    @cache
    def train(kind):
        return workers(1).run(pipelines.trained, **KINDS[kind])[0]

    return train


def check(found, expected, tolerance=3e-6):
    for rank in found:
        for name in ("loss", "norm"):
            torch.testing.assert_close(rank[name], expected[name], rtol=tolerance, atol=0)
        assert rank["evaluation"] == pytest.approx(expected["evaluation"], rel=tolerance)
        assert [sorted(metrics) for metrics in rank["metrics"]] == [sorted(m) for m in expected["metrics"]]
        for metrics, wanted in zip(rank["metrics"], expected["metrics"], strict=True):
            assert metrics == pytest.approx(wanted, rel=tolerance)
        assert rank["weights"].keys() == expected["weights"].keys()
        for name, value in expected["weights"].items():
            torch.testing.assert_close(rank["weights"][name], value, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found[0]["logits"], expected["logits"], rtol=1e-4, atol=10 * tolerance)


@pytest.mark.drawn(6)
@pytest.mark.parametrize("kind", KINDS)
def test_two_stages_train_as_one_process(workers, alone, kind):
    check(workers(2).run(pipelines.trained, pipe_parallel_size=2, **KINDS[kind]), alone(kind))


@pytest.mark.drawn(4)
@pytest.mark.parametrize(
    ("ranks", "kind", "changes"),
    [
        (3, "tied", {"pipe_parallel_size": 3}),
        (3, "soft prompt", {"pipe_parallel_size": 3, "pipe_partition_method": "uniform"}),
        (2, "tied", {"pipe_parallel_size": 2, "pipe_partition_method": "cost"}),
        (4, "tied", {"pipe_parallel_size": 2}),
        (4, "recomputed", {"pipe_parallel_size": 2, "model_parallel_size": 2}),
        (4, "relative biases", {"pipe_parallel_size": 2, "zero_optimization": {"stage": 1, "overlap_comm": True}}),
        (4, "tied", {"pipe_parallel_size": 2, "model_parallel_size": 2, "sequence_parallel": True}),
        (2, "mixtures", {"pipe_parallel_size": 2, "zero_optimization": {"stage": 1}}),
        (2, "no accumulation", {"pipe_parallel_size": 2, "zero_optimization": {"stage": 1}}),
    ],
)
def test_pipelines_go_with_the_other_axes_and_with_zero(workers, alone, ranks, kind, changes):
    check(workers(ranks).run(pipelines.trained, **KINDS[kind] | changes), alone(kind))


@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        ({}, 1e-6),
        # The embedding's gradient is rounded as two parts instead of one.
        ({"no_weight_tying": False, "data_types": {"grad_accum_dtype": "fp32"}}, 2e-3),
    ],
)
def test_bfloat16_rounds_as_in_one_process(workers, changes, tolerance):
    half = {"precision": "bfloat16", "zero_optimization": {"stage": 1}, **changes}
    alone = workers(1).run(pipelines.trained, **half)[0]
    for rank in workers(2).run(pipelines.trained, pipe_parallel_size=2, pipeline={"stages": "auto"}, **half):
        torch.testing.assert_close(rank["loss"], alone["loss"], rtol=tolerance, atol=0)
        torch.testing.assert_close(rank["norm"], alone["norm"], rtol=10 * tolerance, atol=0)
