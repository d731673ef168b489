"""Saved at any topology, resumed at any other: the next losses are those of the run that went on as it was."""

from __future__ import annotations

import random

import pytest
from whole_matrix import SEED, WHOLE

CUTS = {
    "one process": (1, {}),
    "dp 2": (2, {}),
    "tp 2": (2, {"model_parallel_size": 2}),
    "pp 2": (2, {"pipe_parallel_size": 2}),
    "tp 2, pp 2": (4, {"model_parallel_size": 2, "pipe_parallel_size": 2}),
    "dp 2, zero 1": (2, {"zero_optimization": {"stage": 1}}),
    "dp 2, zero 3": (2, {"zero_optimization": {"stage": 3}}),
}
SHARED = {"hidden_dropout": 0.1, "eval_iters": 0, "train_batch_size": 8, "train_micro_batch_size_per_gpu": 2}
EACH = len(CUTS) if WHOLE else 2
"""At how many topologies what was saved at one is resumed: at all of them, or at so many that are drawn."""


@pytest.mark.drawn(4)
@pytest.mark.parametrize("before", CUTS)
def test_the_next_losses_are_those_of_the_run_that_goes_on(train, data, before):
    ranks, changes = CUTS[before]
    whole = train(ranks, save=str(data / "saved"), extra_save_iters=[2], **SHARED, **changes)
    losses = [step.loss for step in whole.steps][2:]
    for after in random.Random(f"{SEED} {before}").sample(sorted(CUTS), EACH):
        ranks, changes = CUTS[after]
        rest = train(ranks, load=str(data / "saved"), iteration=2, **SHARED, **changes)
        assert (rest.failure, rest.start) == ("", 2), after
        assert [step.loss for step in rest.steps] == pytest.approx(losses, rel=1e-5), after
        assert len(losses) == 5
