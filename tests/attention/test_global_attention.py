"""Global attention against the formula, its gradient, and its variants against each other."""

from __future__ import annotations

import pytest
import torch
import training_formulas as formula
from random_mixers import inputs, mix, random_mixer


def attention(**changes):
    return random_mixer("global", **changes)


@pytest.mark.parametrize("kv_heads", [None, 2, 1])
@pytest.mark.parametrize("pos_emb", ["rotary", "none"])
def test_it_is_softmax_attention(kv_heads, pos_emb):
    mixer, x = attention(num_kv_heads=kv_heads, pos_emb=pos_emb), inputs()
    weights = {f"attention.{name}": parameter.detach() for name, parameter in mixer.named_parameters()}
    expected = formula.attention(x[0], weights, 4, kv_heads, rotary=pos_emb == "rotary")
    torch.testing.assert_close(mix(mixer, x)[0], expected, atol=1e-5, rtol=1e-5)


def test_grouped_queries_are_heads_with_repeated_keys_and_values():
    grouped, full = attention(num_kv_heads=2), attention()
    state = grouped.state_dict()
    for part in ("weight", "bias"):
        rows = state[f"query_key_value.{part}"].unflatten(0, (2, 4, 4))  # [group, q q k v, head_dim, ...]
        heads = [rows[group, [member, 2, 3]] for group in range(2) for member in range(2)]
        state[f"query_key_value.{part}"] = torch.stack(heads).flatten(0, 2)
    full.load_state_dict(state)
    torch.testing.assert_close(mix(grouped, inputs(2)), mix(full, inputs(2)))


@pytest.mark.parametrize("kv_heads", [None, 2])
@pytest.mark.parametrize("documents", [None, torch.tensor([[0, 0, 1, 1]])])
def test_the_gradient_is_that_of_finite_differences(kv_heads, documents):
    mixer = attention(num_kv_heads=kv_heads)
    x = inputs(1, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda *_: mix(mixer, x, documents), (x, *mixer.parameters()))


def test_dropout_drops_in_training_only():
    mixer, x = attention(attention_dropout=0.5), inputs()
    torch.testing.assert_close(mix(mixer.eval(), x), mix(attention(), x))
    torch.manual_seed(0)
    assert not torch.allclose(mix(mixer.train(), x), mix(mixer.eval(), x))


def test_shared_positions_are_no_weights_of_the_mixer():
    assert [name for name, _ in attention(pos_emb="learned").named_parameters()] == [
        "query_key_value.weight",
        "query_key_value.bias",
        "output.weight",
        "output.bias",
    ]
