"""gMLP and aMLP against the formula, one position after the other, in float64."""

from __future__ import annotations

import math

import pytest
import torch
import training_formulas as formula
from random_mixers import inputs, mix, random_mixer
from training_models import context, plugins

from neox_core.errors import UserError


def block(name="gmlp", **changes):
    return random_mixer(name, **changes)


def gelu(x):
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def naive(x, weights, function=gelu, *, residual=True):
    """[seq, hidden] of one document that begins at position 0 -> the same shape."""
    both = function(formula.layer_norm(x, weights, "norm") @ weights["up.weight"].T)
    half = both.shape[1] // 2
    value, gate = both[:, :half], formula.layer_norm(both[:, half:], weights, "gate_norm")
    out = torch.zeros_like(x)
    for t in range(len(x)):
        mixed = weights["spatial.bias"][t] + sum(weights["spatial.weight"][t, s] * gate[s] for s in range(t + 1))
        if "attention.output.weight" in weights:
            mixed = mixed + attention(both, weights, t)
        out[t] = (value[t] * mixed) @ weights["down.weight"].T
    return x + out if residual else out


def attention(both, weights, t):
    query, key, value = formula.linear(both, weights, "attention.query_key_value").chunk(3, 1)
    scores = torch.stack([query[t] @ key[s] for s in range(t + 1)]) / math.sqrt(query.shape[1])
    return formula.linear(torch.softmax(scores, 0) @ value[: t + 1], weights, "attention.output")


@pytest.mark.parametrize("name", ["gmlp", "amlp"])
@pytest.mark.parametrize("seq", [1, 6, 12])
def test_it_is_the_formula(name, seq):
    mixer, x = block(name), inputs(seq=seq)
    torch.testing.assert_close(mix(mixer, x)[0], naive(x[0], dict(mixer.named_parameters())), atol=1e-9, rtol=1e-9)


def test_amlp_without_a_width_of_its_attention_is_gmlp():
    gmlp, amlp = block("gmlp"), block("amlp", gmlp_attn_dim=None)
    assert torch.equal(mix(gmlp, inputs()), mix(amlp, inputs()))
    assert "attention.output.weight" not in dict(amlp.named_parameters())


@pytest.mark.parametrize("name", ["gmlp", "amlp"])
def test_rows_and_columns_of_the_weight_are_positions(name):
    mixer, x = block(name), inputs(seq=5)
    documents = torch.tensor([[0, 0, 1, 1, 1]])
    found = mix(mixer, x, documents, positions=torch.tensor([[0, 1, 0, 1, 2]]))
    weights = dict(mixer.named_parameters())
    expected = torch.cat((naive(x[0, :2], weights), naive(x[0, 2:], weights)))
    torch.testing.assert_close(found[0], expected, atol=1e-9, rtol=1e-9)


def test_at_first_nothing_is_gated():
    mixer, x = plugins().make("attention", "gmlp", context()).double(), inputs()
    value = gelu(mixer.up(mixer.norm(x))).chunk(2, -1)[0]
    torch.testing.assert_close(mix(mixer, x), x + mixer.down(value))


def test_of_a_gated_activation_it_takes_the_function():
    mixer, x = block(activation="swiglu"), inputs()
    expected = naive(x[0], dict(mixer.named_parameters()), lambda x: x * torch.sigmoid(x))
    torch.testing.assert_close(mix(mixer, x)[0], expected, atol=1e-9, rtol=1e-9)


def test_gelu_is_that_of_bias_gelu_fusion_with_it():
    mixer, x = block(bias_gelu_fusion=True), inputs()
    expected = naive(x[0], dict(mixer.named_parameters()), lambda x: torch.nn.functional.gelu(x, approximate="tanh"))
    torch.testing.assert_close(mix(mixer, x)[0], expected, atol=1e-9, rtol=1e-9)


def test_gpt_neox_has_neither_residual_connection_nor_dropout():
    changes = {"hidden_dropout": 0.5, "attention_dropout": 0.5, "compat": "gpt-neox"}
    mixer, x = block("amlp", **changes).train(), inputs()
    expected = naive(x[0], dict(mixer.named_parameters()), residual=False)
    torch.testing.assert_close(mix(mixer, x)[0], expected, atol=1e-9, rtol=1e-9)


def test_hidden_dropout_is_of_the_branch_and_in_training_only():
    mixer, x = block(hidden_dropout=0.5), inputs()
    whole = mix(mixer, x) - x
    dropped = mix(mixer.train(), x) - x
    kept = dropped != 0
    assert 0.2 < kept.double().mean() < 0.8
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])


@pytest.mark.parametrize("name", ["gmlp", "amlp"])
def test_a_sequence_longer_than_seq_length_is_refused(name):
    mixer = block(name)
    mix(mixer, inputs(seq=12))
    with pytest.raises(UserError, match=r"seq_length: 12: .* sequence of 13 tokens"):
        mix(mixer, inputs(seq=13))
    with pytest.raises(UserError, match=r"seq_length: 12: .* sequence of 13 tokens"):
        mixer.new_cache(1, 13)
    mixer.new_cache(1, 12)


def test_a_full_cache_takes_no_more():
    mixer = block()
    cache = mixer.new_cache(1, 4)
    mixer(inputs(seq=4), positions=torch.arange(4)[None], documents=None, cache=cache)
    with pytest.raises(ValueError, match="room for 4 tokens, not for 5"):
        mixer(inputs(seq=1), positions=torch.tensor([[4]]), documents=None, cache=cache)


def test_its_width_is_four_times_hidden_size_whatever_mlps_have():
    mixer = block(intermediate_size=48)
    assert mixer.up.weight.shape == (128, 16)
    assert mixer.down.weight.shape == (16, 64)
