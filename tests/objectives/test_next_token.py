"""Next-token prediction: the mean cross entropy of what counts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from neox_objectives.next_token import NextToken
from training_models import resolve

from neox_core.errors import SettingsError
from neox_core.model import HeadOutput


@pytest.fixture
def head():
    random = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(2, 4, 8, generator=random), torch.randn(10, 8, generator=random)
    return HeadOutput(hidden.requires_grad_(), weight.requires_grad_(), torch.zeros(()))


LABELS = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0]])


def loss(head, mask):
    return NextToken(resolve()[0]).loss(head, {"labels": LABELS, "loss_mask": torch.tensor(mask)})


def by_hand(head, row, position):
    logits = (head.hidden[row, position] @ head.weight.T).tolist()
    return math.log(sum(math.exp(value) for value in logits)) - logits[int(LABELS[row, position])]


def test_it_is_the_mean_cross_entropy(head):
    output = loss(head, [[1.0] * 4] * 2)
    expected = sum(by_hand(head, row, position) for row in range(2) for position in range(4)) / 8
    assert output.loss.item() == pytest.approx(expected, rel=1e-5)
    assert float(output.weight) == 8


def test_what_is_masked_counts_neither_above_nor_below(head):
    output = loss(head, [[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    expected = (by_hand(head, 0, 0) + by_hand(head, 0, 3) + by_hand(head, 1, 2)) / 3
    assert output.loss.item() == pytest.approx(expected, rel=1e-5)
    assert float(output.weight) == 3
    output.loss.backward()
    assert not head.hidden.grad[0, 1].any()
    assert head.hidden.grad[0, 0].any()


def test_nothing_that_counts_is_no_loss_and_no_gradient(head):
    output = loss(head, [[0.0] * 4] * 2)
    output.loss.backward()
    assert output.loss.item() == 0
    assert float(output.weight) == 0
    assert not head.hidden.grad.any()
    assert not head.weight.grad.any()


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary():
    head = HeadOutput(torch.zeros(2, 4, 8), torch.zeros(10, 8), torch.zeros(()))
    assert loss(head, [[1.0] * 4] * 2).loss.item() == pytest.approx(math.log(10))


@pytest.mark.parametrize("changes", [{"label_smoothing": 0.2}, {"logit_z_loss": 0.05}])
def test_what_regularises_is_part_of_the_loss_in_training_alone(head, changes):
    objective, batch = NextToken(resolve(**changes)[0]), {"labels": LABELS, "loss_mask": torch.ones(2, 4)}
    trained, evaluated = (objective.loss(replace(head, training=training), batch).loss for training in (True, False))
    plain = NextToken(resolve()[0]).loss(head, batch).loss
    assert torch.equal(evaluated, plain)
    options = {name.removeprefix("logit_"): value for name, value in changes.items()}
    assert trained.item() == pytest.approx(head.token_losses(LABELS, **options).mean().item(), rel=1e-6)
    assert trained.item() != pytest.approx(plain.item(), abs=1e-4)


def test_the_weight_is_known_before_the_forward_pass(head):
    objective, batch = NextToken(resolve()[0]), {"labels": LABELS, "loss_mask": torch.eye(2, 4)}
    assert float(objective.weight(batch)) == 2 == float(objective.loss(head, batch).weight)


def test_losses_in_fp16_need_a_model_in_fp16(head):
    with pytest.raises(SettingsError, match="fp16_lm_cross_entropy: true needs a model whose logits are fp16"):
        resolve(fp16_lm_cross_entropy=True)
    objective = NextToken(resolve(fp16_lm_cross_entropy=True, precision="fp16")[0])
    batch = {"labels": LABELS[:1, :1], "loss_mask": torch.ones(1, 1)}
    half = HeadOutput(head.hidden[:1, :1].half(), head.weight.half(), head.aux)
    found = objective.loss(half, batch).loss.item()
    assert found == float(torch.tensor(found).half()) == pytest.approx(by_hand(head, 0, 0), rel=5e-3)
