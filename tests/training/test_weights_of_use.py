"""Where an optimizer moves other weights than are to be used, those are evaluated and saved, and training goes on with its own."""

from __future__ import annotations

import pytest
import torch
import training_steps as steps

from neox_core.training.weights_of_use import weights_of_use

BETA = 0.8
FREE = {
    "optimizer": {"type": "schedule_free_adamw", "params": {"lr": 0.01, "betas": [BETA, 0.95]}},
    "lr_decay_style": "constant",
}


@pytest.mark.drawn(2)
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


class Halving(torch.optim.SGD):
    """The weights to be used are half as large as those that are trained."""

    def weight_of_use(self, parameter):
        return parameter.detach() / 2


def test_a_rank_that_fails_while_they_are_in_use_waits_for_no_other():
    weight, refreshed = torch.ones(2, requires_grad=True), []
    optimizer = Halving([weight], lr=0.0)
    optimizer.state[weight]["seen"] = True

    def refresh():
        refreshed.append(weight[0].item())

    with weights_of_use(optimizer, [weight], refresh):
        pass
    assert refreshed == [0.5, 1.0]
    with pytest.raises(OSError, match="a sample"), weights_of_use(optimizer, [weight], refresh):
        raise OSError("a sample cannot be read")
    assert refreshed == [0.5, 1.0, 0.5], "`refresh` is something that all ranks do together"
    assert weight.tolist() == [1.0, 1.0]
