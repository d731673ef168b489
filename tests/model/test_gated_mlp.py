"""The MLP with a gated activation."""

import pytest
import torch
from torch.nn import functional
from training_models import model, resolve

GATES = {
    "geglu": functional.gelu,
    "reglu": functional.relu,
    "swiglu": functional.silu,
    "glu": torch.sigmoid,
    "bilinear": lambda gate: gate,
}


@pytest.mark.parametrize("name", GATES)
def test_the_value_is_multiplied_by_a_function_of_the_gate(name):
    mlp = model(torch.float64, activation=name, intermediate_size=36).layers[0].mlp
    assert mlp.up.weight.shape == mlp.gate.weight.shape == (12, 16)
    assert mlp.down.weight.shape == (16, 12)
    x = torch.randn(3, 5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        value, gate = (functional.linear(x, layer.weight, layer.bias) for layer in (mlp.up, mlp.gate))
        expected = functional.linear(value * GATES[name](gate), mlp.down.weight, mlp.down.bias)
        torch.testing.assert_close(mlp(x), expected)


def test_the_width_is_that_of_the_settings():
    changes = {"activation": "SwiGLU", "intermediate_size": 64, "mlp_multiple_of": 8}
    assert model(**changes).layers[0].mlp.down.weight.shape[1] == resolve(**changes)[0].mlp_width == 24


def test_an_ungated_mlp_has_no_gate():
    assert model().layers[0].mlp.gate is None
