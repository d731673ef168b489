"""A block computes what the formula of its residual says."""

from __future__ import annotations

import pytest
import torch
import training_formulas as formula
from training_models import model

torch.set_num_threads(1)


def run_block(**changes):
    block = model(torch.float64, hidden_dropout=0.5, **changes).layers[1]
    for name, parameter in block.named_parameters():
        if name.endswith("bias") or "norm" in name:
            torch.nn.init.normal_(parameter, 0.5, 0.3, generator=torch.Generator().manual_seed(len(name)))
    x = torch.randn(1, 5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        out, *_ = block((x, torch.arange(5)[None], None, torch.zeros(())))
    return x[0], out[0], {name: parameter.detach() for name, parameter in block.named_parameters()}


def test_sequential_residual():
    x, out, weights = run_block()
    after = x + formula.attention(formula.layer_norm(x, weights, "attention_norm"), weights, 4)
    expected = after + formula.mlp(formula.layer_norm(after, weights, "mlp_norm"), weights)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("tied", [False, True])
def test_parallel_residual(tied):
    x, out, weights = run_block(gpt_j_residual=True, gpt_j_tied=tied)
    assert ("mlp_norm.weight" in weights) is not tied
    attention_in = formula.layer_norm(x, weights, "attention_norm")
    mlp_in = attention_in if tied else formula.layer_norm(x, weights, "mlp_norm")
    expected = x + formula.attention(attention_in, weights, 4) + formula.mlp(mlp_in, weights)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-6)


def test_without_biases_there_are_none():
    names = dict(model(use_bias_in_attn_linear=False, use_bias_in_mlp=False).layers.named_parameters())
    assert not [name for name in names if name.endswith("bias") and "norm" not in name]


def share_of_zeros(branch, **changes):
    """Of what one branch alone adds to the residual stream in training with half of the units dropped."""
    block = model(hidden_dropout=0.5, hidden_size=64, **changes).layers[1].train()
    silent = block.mlp.down if branch == "attention" else block.attention.output
    for parameter in silent.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    with torch.no_grad():
        out, *_ = block((x, torch.arange(64)[None], None, torch.zeros(())))
    return float((out == x).float().mean())


@pytest.mark.parametrize(
    ("parallel", "attention_bias", "mlp_bias", "attention", "mlp"),
    [
        (False, True, True, 0.5, 0.5),
        (False, False, True, 0.5, 0.5),
        (False, True, False, 0.5, 0.0),
        (True, True, True, 0.5, 0.5),
        (True, False, True, 0.0, 0.5),
        (True, True, False, 1.0, 0.0),
    ],
)
def test_with_compat_what_has_no_bias_is_not_dropped_and_may_leave_out_attention(
    parallel, attention_bias, mlp_bias, attention, mlp
):
    changes = {
        "gpt_j_residual": parallel,
        "use_bias_in_attn_linear": attention_bias,
        "use_bias_in_mlp": mlp_bias,
    }
    assert share_of_zeros("attention", **changes, compat="gpt-neox") == pytest.approx(attention, abs=0.03)
    assert share_of_zeros("mlp", **changes, compat="gpt-neox") == pytest.approx(mlp, abs=0.03)
    assert share_of_zeros("attention", **changes) == pytest.approx(0.5, abs=0.03)
    assert share_of_zeros("mlp", **changes) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", ["gelu", "GELU"])
def test_the_fused_gelu_is_the_tanh_approximation(name):
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)
    exact = model(activation=name).layers[0].mlp.activation(x)
    approximate = model(activation=name, bias_gelu_fusion=True).layers[0].mlp.activation(x)
    inner = (2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)
    torch.testing.assert_close(approximate, x * (1 + torch.tanh(inner)) / 2)
    torch.testing.assert_close(exact, x * (1 + torch.erf(x / 2**0.5)) / 2)
