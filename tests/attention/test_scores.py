"""Every way to compute attention gives the same."""

from __future__ import annotations

import pytest
import torch
from neox_attention.scores import IMPLEMENTATIONS, Softmax
from neox_attention.visibility import Visibility
from training_models import context

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
