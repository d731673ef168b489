"""Ranks that share the tokens of each sample train as one process does."""

from __future__ import annotations

import pipelines
import pytest
import torch

RING, ULYSSES, BOTH = (
    {"attention_config": [[names, "all"]]} for names in (["ring"], ["ulysses"], ["ring", "ulysses", "ring"])
)
# Adam makes steps of equal size of gradients that are next to nothing but rounding; SGD makes small ones.
SGD = {"optimizer": {"type": "sgd", "params": {"lr": 0.01}}}
CASES = {
    "documents": (2, BOTH, {"more": True}),
    "hidden dropout, recomputed": (2, RING, {"hidden_dropout": 0.2, "checkpoint_activations": True, "num_kv_heads": 2}),
    "attention dropout": (2, ULYSSES, {"hidden_dropout": 0.2, "attention_dropout": 0.2}),
    "tokens weighed, ZeRO 2": (2, RING, {"loss_normalisation": "global_tokens", "zero_optimization": {"stage": 2}}),
    "relative biases, ZeRO 1": (2, BOTH, {"pos_emb": "rpe", "zero_optimization": {"stage": 1}}),
    "ZeRO 3": (2, BOTH, {"zero_optimization": {"stage": 3}}),
    "with data parallelism": (4, BOTH, {"hidden_dropout": 0.2}),
    "with stages": (4, BOTH, {"more": True, "pipe_parallel_size": 2}),
    "with heads": (4, BOTH, {"hidden_dropout": 0.2, "model_parallel_size": 2}),
    "with heads and three tokens of a chunk": (
        4,
        BOTH,
        {"hidden_dropout": 0.2, "model_parallel_size": 2, "sequence_parallel": True},
    ),
}
CUTS = {"attention_config", "zero_optimization", "pipe_parallel_size", "model_parallel_size", "sequence_parallel"}
"""Settings that one process does without."""


@pytest.mark.drawn(4)
@pytest.mark.parametrize("name", CASES)
def test_tokens_over_ranks_train_as_one_process(workers, name):
    ranks, mixers, changes = CASES[name]
    alone = SGD | {key: value for key, value in changes.items() if key not in CUTS}
    (expected,) = workers(1).run(pipelines.trained, **alone)
    for found in workers(ranks).run(pipelines.trained, context_parallel_size=2, **SGD, **mixers, **changes):
        for what in ("loss", "norm"):
            torch.testing.assert_close(found[what], expected[what], rtol=3e-6, atol=0)
        assert found["evaluation"] == pytest.approx(expected["evaluation"], rel=3e-6)
        assert found["weights"].keys() == expected["weights"].keys()
        if name != "ZeRO 3":  # where a rank has no weights between steps; what they are is in the losses
            torch.testing.assert_close(found["weights"], expected["weights"], rtol=3e-6, atol=3e-6)
