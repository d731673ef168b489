"""Every way to compute attention gives the same."""

from __future__ import annotations

import math

import pytest
import torch
from neox_attention.scores import IMPLEMENTATIONS, Softmax, eager, flex
from neox_attention.visibility import Visibility
from training_models import context, resolve

from neox_core.errors import SettingsError, UserError

SIGHTS = {
    "causal": {},
    "cached": {"queries": 4},
    "one token": {"queries": 1},
    "window": {"window": 3},
    "cached window": {"window": 3, "queries": 4},
    "documents": {"documents": torch.tensor([[0] * 4 + [1] * 7, [0] * 9 + [2] * 2])},
    "pattern": {"pattern": lambda head, query, key: (query - key) % (2 + head % 2) == 0},
    "pattern of ragged positions": {
        "positions": torch.stack([torch.arange(11), (torch.arange(11) - 3).clamp(min=0)]),
        "pattern": lambda head, query, key: (query - key) % 2 == 0,
        "pattern_by_head": False,
        "queries": 5,
    },
}


def sight(**changes):
    return Visibility(**{"positions": torch.arange(11)[None], "documents": None, "queries": 11, "heads": 4, **changes})


@pytest.mark.parametrize("name", [name for name in IMPLEMENTATIONS if name != "eager"])
@pytest.mark.parametrize("pos_emb", ["none", "alibi"])
@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("case", SIGHTS)
def test_all_agree_with_eager(case, kv_heads, pos_emb, name):
    seen, positions = sight(**SIGHTS[case]), context(pos_emb=pos_emb).positions
    softmax = Softmax(bias=positions.bias if positions.has_bias else None)
    torch.manual_seed(0)
    query = torch.randn(2, 4, seen.queries, 8, dtype=torch.float64)
    key, value = torch.randn(2, 2, kv_heads, 11, 8, dtype=torch.float64)
    expected = IMPLEMENTATIONS["eager"](query, key, value, seen, softmax)
    torch.testing.assert_close(IMPLEMENTATIONS[name](query, key, value, seen, softmax), expected, atol=1e-6, rtol=1e-6)


def test_layer_scaling_keeps_float16_from_overflowing():
    query = torch.full((1, 4, 11, 16), 200.0, dtype=torch.float16)  # products are 640,000; float16 ends at 65,504
    value = torch.randn(1, 4, 11, 16).half()
    assert not bool(eager(query, query, value, sight(), Softmax(wide=True)).isfinite().all())
    means = value.float().cumsum(2) / torch.arange(1, 12)[:, None]
    mixed = eager(query, query, value, sight(), Softmax(divisor=4))
    torch.testing.assert_close(mixed, means.half(), atol=2e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_eager_rounds_scores_once_as_gpt_neox_does(dtype):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 11, 24).to(dtype)
    alpha = 1 / (math.sqrt(24) * 3)
    scores = torch.baddbmm(query.new_zeros(1), query.flatten(0, 1), key.flatten(0, 1).mT, beta=0, alpha=alpha)
    scores = (scores.float() * 3).masked_fill(torch.ones(11, 11).triu(1).bool(), -torch.inf)
    expected = torch.softmax(scores, -1).to(dtype) @ value.flatten(0, 1)
    assert torch.equal(eager(query, key, value, sight(), Softmax(divisor=3)).flatten(0, 1), expected)


def test_flex_says_that_it_cannot_train_on_a_cpu():
    query = torch.randn(1, 4, 11, 8, requires_grad=True)
    with pytest.raises(UserError, match="attention_implementation: flex has no backward pass on a CPU"):
        flex(query, query, query, sight(), Softmax())


def test_flex_with_dropout_is_refused_rather_than_left_without_dropout():
    with pytest.raises(SettingsError, match=r"flex cannot drop attention weights, and attention_dropout is 0\.1"):
        resolve(attention_implementation="flex", attention_dropout=0.1)
    resolve(attention_implementation="flex")
