"""What `neox plan` says is what live engines hold, keep and send."""

from __future__ import annotations

import counted_bytes
import pytest
from whole_matrix import in_whole

MODEL = {
    "num_layers": 4,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "train_batch_size": 16,
    "train_micro_batch_size_per_gpu": 2,
}
BF16 = {"precision": "bfloat16"}
TENSOR = {"model_parallel_size": 2}
PIPE = {"pipe_parallel_size": 2}
CUT_TOKENS = {**TENSOR, "sequence_parallel": True}
RECOMPUTED = {"checkpoint_activations": True}
BUCKET = 50_000


def zero(stage, **further):
    options = {"stage": stage, "reduce_bucket_size": BUCKET, "stage3_param_persistence_threshold": 1000, **further}
    return {"zero_optimization": options}


def close(planned, counted):
    return abs(planned - counted) <= 0.02 * counted


def check(ranks):
    for planned, counted in ranks:
        told = f"planned {planned}\ncounted {counted}"
        assert close(planned["activations"], counted["activations"]), told
        for place, size in planned["sent"].items():
            assert close(size, counted["sent"].get(place, 0)), f"{place}: {told}"
        assert not {place for place, size in counted["sent"].items() if size > 1000 and len(place[1]) > 1} - {
            *planned["sent"]
        }, told


def check_states(ranks):
    for planned, counted in ranks:
        told = f"planned {planned}\ncounted {counted}"
        assert close(planned["weights"], counted["weights"]), told
        assert close(planned["gradients"], counted["gradients"]), told
        assert close(planned["lasting"], counted["lasting"]), told
        assert planned["saved"] >= 0.98 * counted["saved"], told
    assert close(ranks[0][0]["checkpoint"], sum(counted["saved"] for _, counted in ranks)), ranks


@pytest.mark.drawn(3)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "changes"),
    [
        (2, {}),
        (2, {**BF16, **zero(1, contiguous_gradients=False)}),
        in_whole(2, zero(1, contiguous_gradients=False)),
        (2, {**BF16, **CUT_TOKENS, **RECOMPUTED}),
        in_whole(2, CUT_TOKENS),
        in_whole(2, TENSOR),
        in_whole(2, {**TENSOR, "num_kv_heads": 2, "activation": "swiglu", "intermediate_size": 384, "norm": "rmsnorm"}),
        (2, PIPE),
        in_whole(2, {**PIPE, **RECOMPUTED, "no_weight_tying": False}),
        in_whole(2, {"context_parallel_size": 2, "attention_config": ["ring"] * 4}),
        in_whole(2, {"context_parallel_size": 2, "attention_config": ["ulysses"] * 4}),
        in_whole(2, {"hidden_dropout": 0.1, "gpt_j_residual": True}),
        (4, {**BF16, **TENSOR, **PIPE}),
        in_whole(4, {**CUT_TOKENS, **zero(1, contiguous_gradients=False)}),
        in_whole(4, {**BF16, **PIPE, **RECOMPUTED, "checkpoint_num_layers": 2}),
    ],
)
def test_states_activations_and_traffic_are_those_of_a_run(workers, world, changes):
    ranks = workers(world).run(counted_bytes.both, **MODEL | changes)
    check(ranks)
    check_states(ranks)


@pytest.mark.slow
def test_zero_2_has_gradients_of_a_piece_and_a_bucket(workers):
    ranks = workers(2).run(counted_bytes.both, **MODEL | BF16 | zero(2))
    check(ranks)
    for planned, counted in ranks:
        assert close(planned["weights"], counted["weights"])
        assert close(planned["lasting"], counted["lasting"])
        assert close(planned["gradients"] + planned["buffers"], counted["gradients"])
        assert close(planned["gradients"], counted["before"] - counted["lasting"])


@pytest.mark.slow
def test_zero_3_has_pieces_of_everything(workers):
    ranks = workers(2).run(counted_bytes.both, **MODEL | zero(3))
    check(ranks)
    for planned, counted in ranks:
        assert close(planned["lasting"] + planned["gradients"] + 4 * BUCKET, counted["lasting"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer", ["lion", in_whole("madgrad_wd"), in_whole("sm3"), in_whole("muon"), in_whole("sgd")]
)
def test_state_is_that_of_the_optimizer(workers, optimizer):
    momentum = {"momentum": 0.9} if optimizer == "sgd" else {}
    changes = {"optimizer": {"type": optimizer, "params": {"lr": 0.001, **momentum}}}
    check_states(workers(2).run(counted_bytes.both, **MODEL | changes))
