"""Attention over rows that are cut over ranks is attention over the whole rows."""

from __future__ import annotations

import pytest
import torch
from context_ranks import largest_differences

MIXERS = ["ring", "ulysses"]
ROW = torch.tensor([[0] * 5 + [1] * 7 + [2] * 12, [0] * 13 + [1] * 1 + [2] * 10])
FEATURES = {
    "no positions": {"pos_emb": "none"},
    "rotary": {"pos_emb": "rotary"},
    "alibi": {"pos_emb": "alibi"},
    "relative biases": {"pos_emb": "rpe"},
    "a window": {"sliding_window_width": 5},
    "a window, relative biases and documents": {"sliding_window_width": 5, "pos_emb": "rpe", "documents": ROW},
    "documents": {"documents": ROW},
    "documents and alibi": {"documents": ROW, "pos_emb": "alibi"},
    "grouped queries": {"num_kv_heads": 2},
    "one key/value head": {"num_kv_heads": 1, "pos_emb": "alibi"},
    "norms of queries and keys": {"num_kv_heads": 2, "use_qk_layernorm": True},
    "muP": {"use_mup": True, "pos_emb": "alibi"},
    "scaling by layer": {"apply_query_key_layer_scaling": True, "pos_emb": "alibi", "compat": "gpt-neox"},
    "eager": {"attention_implementation": "eager"},
}


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("feature", FEATURES)
def test_cut_rows_come_to_what_whole_rows_come_to(workers, feature, ranks, name):
    differences = workers(ranks).run(largest_differences, name, 24, tile=3, **FEATURES[feature])[0]
    assert max(differences.values()) < 1e-12, differences
