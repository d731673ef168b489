"""What the loss of a step is the mean over: all tokens that count, or micro-batches."""

from __future__ import annotations

import pytest
import torch
import training_losses as losses

from neox_core.model import HeadOutput, LossOutput
from neox_core.training.engine import TrainingModule

GLOBAL = {"loss_normalisation": "global_tokens"}
CUTS = [(1, 4, 0), (1, 1, 0), (1, 2, 1), (2, 4, 0), (2, 1, 1), (2, 2, 0)]


@pytest.fixture(scope="module")
def whole(workers):
    """Eight samples in one pass."""
    return workers(1).run(losses.trained, 8, **GLOBAL)[0]


@pytest.mark.parametrize(("ranks", "micro", "stage"), CUTS)
def test_global_tokens_give_the_same_steps_however_samples_are_cut(workers, whole, ranks, micro, stage):
    for found in workers(ranks).run(losses.trained, micro, **GLOBAL, zero_optimization={"stage": stage}):
        assert found["losses"] == pytest.approx(whole["losses"], rel=1e-5)
        assert found["norms"] == pytest.approx(whole["norms"], rel=1e-5)
        torch.testing.assert_close(found["weights"], whole["weights"], atol=1e-5, rtol=0)
        assert found["evaluated"] == pytest.approx(whole["evaluated"], rel=1e-5)


@pytest.mark.parametrize(("ranks", "micro", "stage"), [(1, 1, 0), (2, 4, 1)])
def test_means_of_micro_batches_depend_on_the_cutting(workers, whole, ranks, micro, stage):
    found = workers(ranks).run(losses.trained, micro, zero_optimization={"stage": stage})[0]
    assert abs(found["losses"][0] - whole["losses"][0]) > 0.01
    assert abs(found["evaluated"] - whole["evaluated"]) > 0.01
    assert float((found["weights"] - whole["weights"]).abs().max()) > 1e-3


def test_one_micro_batch_is_both(workers, whole):
    found = workers(1).run(losses.trained, 8)[0]
    assert found["losses"] == pytest.approx(whole["losses"], rel=1e-6)
    torch.testing.assert_close(found["weights"], whole["weights"], atol=1e-6, rtol=0)


def test_the_loss_is_the_mean_over_what_counts(workers, whole):
    assert whole["losses"][0] == pytest.approx(workers(1).run(losses.first_loss_by_hand)[0], rel=1e-5)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_step_in_which_nothing_counts_changes_nothing(workers, ranks):
    for result in workers(ranks).run(losses.nothing_counts)[0]:
        assert result.applied
        assert result.loss == result.grad_norm == 0


def test_an_objective_that_cannot_tell_weights_is_refused(workers):
    message = workers(1).run(losses.unweighed)[0]
    assert message.startswith("UserError: loss_normalisation: global_tokens needs to know what a batch weighs")
    assert "train_impl 'rewarding' (Rewarding) has no method `weight`; set loss_normalisation: micro_batch" in message


def test_auxiliary_losses_count_whatever_a_micro_batch_weighs():
    class Model(torch.nn.Module):
        def forward(self, *inputs):
            return HeadOutput(torch.zeros(1, 1, 1), torch.zeros(1, 1), torch.tensor(5.0))

    class Objective:
        def loss(self, head, batch):
            return LossOutput(torch.tensor(2.0), torch.tensor(1.0))

    batch = {"tokens": torch.zeros(1, 1)}
    loss, output = TrainingModule(Model(), Objective())(batch, torch.tensor(0.25))
    assert (float(loss), float(output.loss)) == (5.5, 2.0)
