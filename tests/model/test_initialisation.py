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


@pytest.mark.parametrize("method", [name for name in METHODS if "orthogonal" not in name])
def test_the_distribution_of_each_method(method):
    """By its kurtosis: 3 of a normal one, 9 / 5 of a uniform one."""
    up = model(hidden_size=HIDDEN, num_layers=LAYERS, init_method=method, init_method_std=STD).layers[0].mlp.up.weight
    values = up.detach().double()
    kurtosis = float(((values - values.mean()) ** 4).mean() / values.var() ** 2)
    assert kurtosis == pytest.approx(9 / 5 if method == "xavier_uniform" else 3, rel=0.05)
    assert abs(float(values.mean())) < EXPECTED[method] / 20
    if method == "xavier_uniform":
        bound = math.sqrt(6 / (HIDDEN + 4 * HIDDEN))
        assert 0.99 * bound < float(values.abs().max()) <= bound


@pytest.mark.parametrize(("method", "square"), [("orthogonal", 2.0), ("scaled_orthogonal", 2 / LAYERS)])
def test_orthogonal_weights_that_narrow_have_orthogonal_rows(method, square):
    network = model(hidden_size=HIDDEN, num_layers=LAYERS, output_layer_init_method=method).requires_grad_(False)
    down = network.layers[0].mlp.down.weight
    torch.testing.assert_close(down @ down.T, square * torch.eye(HIDDEN), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation": "swiglu", "intermediate_size": 48},
        {"pos_emb": "learned", "gpt_j_residual": True, "num_kv_heads": 2},
    ],
    ids=str,
)
def test_the_output_method_is_for_weights_that_write_to_the_residual_stream_alone(changes):
    of_inputs = weights(**changes, init_method="small_init", output_layer_init_method="normal")
    other = weights(**changes, init_method="small_init", output_layer_init_method="wang_init")
    differing = {name for name, weight in of_inputs.items() if not torch.equal(weight, other[name])}
    writing = ("attention.output.weight", "mlp.down.weight")
    assert differing == {f"layers.{layer}.{name}" for layer in range(2) for name in writing}
    other = weights(**changes, init_method="normal", output_layer_init_method="normal")
    differing = {name for name, weight in of_inputs.items() if not torch.equal(weight, other[name])}
    matrices = {name for name, weight in other.items() if weight.dim() == 2}
    assert differing == {name for name in matrices if not name.endswith(writing)}


@pytest.mark.parametrize(
    ("method", "deviation"),
    [
        ("xavier_normal", math.sqrt(2 / (HIDDEN + 2 * 4 * HIDDEN))),
        ("orthogonal", math.sqrt(2 / (2 * 4 * HIDDEN))),
        ("normal", STD),
    ],
)
def test_value_and_gate_have_the_size_that_they_have_as_one_matrix(method, deviation):
    settings = {"hidden_size": HIDDEN, "num_layers": LAYERS, "init_method_std": STD, "init_method": method}
    network = model(**settings, activation="swiglu", intermediate_size=12 * HIDDEN).requires_grad_(False)
    for part in (network.layers[0].mlp.up, network.layers[0].mlp.gate):
        assert len(part.weight) == 4 * HIDDEN
        assert float(part.weight.std()) == pytest.approx(deviation, rel=0.03)
