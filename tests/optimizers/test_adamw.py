"""AdamW against the paper's algorithm in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from neox_optimizers.adam import AdamParams, build
from pydantic import ValidationError
from training_models import plugins

BETAS, EPS, RATE = (0.8, 0.9), 1e-3, 0.05


def by_hand(weight, gradients, decay):
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(gradients, 1):
        first = BETAS[0] * first + (1 - BETAS[0]) * gradient
        second = BETAS[1] * second + (1 - BETAS[1]) * gradient**2
        weight = weight * (1 - RATE * decay)
        corrected = np.sqrt(second / (1 - BETAS[1] ** step)) + EPS
        weight = weight - RATE * first / (1 - BETAS[0] ** step) / corrected
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_twenty_steps_are_those_of_the_algorithm(decay):
    random = np.random.default_rng(0)
    start, gradients = random.standard_normal((5, 3)), random.standard_normal((20, 5, 3))
    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    params = AdamParams(lr=RATE, betas=BETAS, eps=EPS)
    optimizer = build([{"params": [parameter], "weight_decay": decay}], params)
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    np.testing.assert_allclose(parameter.detach().numpy(), by_hand(start, gradients, decay), rtol=1e-10, atol=1e-12)


def test_each_group_decays_by_its_own():
    decayed, exempt = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    groups = [{"params": [decayed], "weight_decay": 0.5}, {"params": [exempt], "weight_decay": 0.0}]
    optimizer = build(groups, AdamParams(lr=0.1))
    for parameter in (decayed, exempt):
        parameter.grad = torch.zeros(2)
    optimizer.step()
    assert decayed.tolist() == pytest.approx([0.95, 0.95])
    assert exempt.tolist() == [1.0, 1.0]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"lr": lr} for lr in (0, "fast", NAN, INF)),
        *({"eps": eps} for eps in (0, NAN, INF)),
        *({"betas": betas} for betas in ([0.9], [0.9, 1], [-0.1, 0.9], [NAN, 0.9], [0.9, NAN])),
        {"beta1": 0.9},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        AdamParams(**wrong)


@pytest.mark.parametrize("name", ["adamw", "AdamW", "adam", "cpu_torch_adam", "CPU_torch_Adam"])
def test_it_has_the_names_of_gpt_neox(name):
    parameter = torch.nn.Parameter(torch.ones(2))
    made = plugins().make("optimizer", name, [{"params": [parameter], "weight_decay": 0.0}], AdamParams(lr=RATE))
    assert isinstance(made, torch.optim.AdamW)
