"""Weights begin with values that follow from the seed and their names alone."""

from __future__ import annotations

import math

import pytest
import torch
from training_models import model

from neox_core.model import initialise, tag
from neox_core.model.init import METHODS, normal


def weights(**changes):
    return {name: parameter.detach() for name, parameter in model(**changes).named_parameters()}


def test_more_layers_change_nothing_in_those_that_were_there():
    few, many = (weights(num_layers=count, output_layer_init_method="normal") for count in (2, 4))
    assert few.keys() < many.keys()
    assert all(torch.equal(few[name], many[name]) for name in few)


def test_the_order_of_initialising_does_not_matter():
    def parameters():
        return [(f"layers.{i}.weight", tag(torch.nn.Parameter(torch.zeros(3, 4)), normal(1.0))) for i in range(4)]

    forward, backward = parameters(), parameters()
    initialise(forward, 1)
    initialise(reversed(backward), 1)
    for (_, one), (_, other) in zip(forward, backward, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(forward[0][1], forward[1][1])


def test_the_state_of_the_global_generator_does_not_matter():
    one = weights()
    torch.manual_seed(99)
    assert all(torch.equal(one[name], other) for name, other in weights().items())


def test_another_seed_gives_other_weights():
    one, other = weights(), weights(seed=4)
    assert not any(torch.equal(one[name], other[name]) for name in one if one[name].dim() == 2)


def test_biases_begin_at_zero_and_norms_at_one():
    for name, weight in weights().items():
        if name.endswith("bias"):
            assert not weight.any(), name
        elif "norm" in name:
            assert torch.equal(weight, torch.ones_like(weight)), name


HIDDEN, LAYERS, STD = 64, 3, 0.05
EXPECTED = {
    "normal": STD,
    "scaled_normal": STD / math.sqrt(2 * LAYERS),
    "single_residual_scaled_normal": STD / math.sqrt(LAYERS),
    "small_init": math.sqrt(2 / (5 * HIDDEN)),
    "wang_init": 2 / (LAYERS * math.sqrt(HIDDEN)),
    "orthogonal": math.sqrt(2 / (4 * HIDDEN)),
    "scaled_orthogonal": math.sqrt(2 / LAYERS / (4 * HIDDEN)),
    "xavier_uniform": math.sqrt(2 / (HIDDEN + 4 * HIDDEN)),
    "xavier_normal": math.sqrt(2 / (HIDDEN + 4 * HIDDEN)),
}


def test_every_method_is_tested():
    assert EXPECTED.keys() == METHODS.keys()


@pytest.mark.parametrize("method", METHODS)
def test_the_standard_deviation_of_each_method(method):
    settings = {"hidden_size": HIDDEN, "num_layers": LAYERS, "init_method_std": STD}
    mlp = model(**settings, init_method=method, output_layer_init_method="normal").requires_grad_(False).layers[0].mlp
    assert float(mlp.up.weight.std()) == pytest.approx(EXPECTED[method], rel=0.03)
    assert float(mlp.down.weight.std()) == pytest.approx(STD, rel=0.03), "the other role has its own method"
    mlp = model(**settings, output_layer_init_method=method).requires_grad_(False).layers[0].mlp
    assert float(mlp.down.weight.std()) == pytest.approx(EXPECTED[method], rel=0.03)
    assert abs(float(mlp.down.weight.mean())) < EXPECTED[method] / 20


@pytest.mark.parametrize(("method", "square"), [("orthogonal", 2.0), ("scaled_orthogonal", 2 / LAYERS)])
def test_orthogonal_weights_have_orthogonal_columns(method, square):
    up = model(hidden_size=HIDDEN, num_layers=LAYERS, init_method=method).requires_grad_(False).layers[0].mlp.up.weight
    torch.testing.assert_close(up.T @ up, square * torch.eye(HIDDEN), atol=1e-5, rtol=0)
