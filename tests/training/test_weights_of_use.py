"""Where an optimizer moves other weights than are to be used, those are evaluated and saved, and training goes on with its own."""

from __future__ import annotations

import pytest
import torch
import training_steps as steps

BETA = 0.8
FREE = {
    "optimizer": {"type": "schedule_free_adamw", "params": {"lr": 0.01, "betas": [BETA, 0.95]}},
    "lr_decay_style": "constant",
}


@pytest.mark.parametrize(
    ("ranks", "changes"),
    [
        (1, {}),
        (2, {"zero_optimization": {"stage": 1}}),
        (2, {"zero_optimization": {"stage": 1}, "precision": "bfloat16"}),
        (2, {"zero_optimization": {"stage": 3}}),
        (2, {"zero_optimization": {"stage": 3}, "precision": "bfloat16"}),
    ],
)
def test_they_are_evaluated_and_saved_and_training_has_its_own(workers, tmp_path, ranks, changes):
    found = workers(ranks).run(steps.used, tmp_path, **FREE, **changes)[0]
    assert found["untouched"], "an evaluation must leave what is trained as it was, to the bit"
    evaluated, of_checkpoint, trained = found["losses"]
    assert evaluated == of_checkpoint != trained
    for name, weight in found["saved"]["weight"].items():
        y, z = found["saved"]["trained"][name], found["saved"]["z"][name]
        torch.testing.assert_close(weight, (y - (1 - BETA) * z) / BETA, msg=name)
    assert not all(torch.equal(found["saved"]["weight"][name], y) for name, y in found["saved"]["trained"].items())
