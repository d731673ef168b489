"""Normalisations against their formulas."""

from __future__ import annotations

import pytest
import torch
from training_models import model


def test_rmsnorm():
    norm = model(norm="rmsnorm", rms_norm_epsilon=0.1).norm
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(3, 16)
    expected = x.double() / (x.double().square().mean(-1, keepdim=True) + 0.1).sqrt() * norm.weight.double()
    torch.testing.assert_close(norm(x).double(), expected, atol=1e-6, rtol=1e-6)


def test_rmsnorm_of_bfloat16_is_rounded_once():
    norm = model(norm="rmsnorm").norm
    x = torch.randn(64, 16).bfloat16()
    assert torch.equal(norm(x), norm(x.float()).bfloat16())


@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_layernorm_has_the_epsilon_of_the_settings(epsilon):
    norm = model(layernorm_epsilon=epsilon).norm
    x = torch.randn(3, 16, dtype=torch.float64)
    centred = x - x.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + epsilon).sqrt()
    torch.testing.assert_close(norm.double()(x), expected)


def test_scalenorm_divides_by_no_less_than_its_epsilon():
    norm = model(norm="scalenorm", scalenorm_epsilon=0.5).norm
    x = torch.tensor([[0.0, 0.0], [0.3, 0.0], [3.0, 4.0]])
    torch.testing.assert_close(norm(x), torch.tensor([[0.0, 0.0], [0.6, 0.0], [0.6, 0.8]]))
