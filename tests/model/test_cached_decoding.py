"""Reading a text piece by piece with a cache gives what reading it at once gives."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
import torch
from hypothesis import given, settings, strategies as st
from training_models import model, tokens

LENGTH = 64
KINDS = [{}, {"pos_emb": "learned"}, {"num_kv_heads": 2}, {"gpt_j_residual": True, "rotary_pct": 0.5}]


@torch.no_grad()
def in_pieces(network, text, sizes):
    caches = network.new_caches(len(text), text.shape[1])
    found = []
    for start, stop in pairwise([0, *accumulate(sizes)]):
        positions = torch.arange(start, stop)[None]
        found.append(network(text[:, start:stop], positions, caches=caches).logits())
    return torch.cat(found, 1)


@pytest.mark.parametrize("changes", KINDS)
@torch.no_grad()
def test_one_token_after_the_other(changes):
    network, text = model(**changes), tokens(2, LENGTH)
    torch.testing.assert_close(in_pieces(network, text, [1] * LENGTH), network(text).logits(), atol=1e-5, rtol=0)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.sampled_from(KINDS))
@torch.no_grad()
def test_several_tokens_at_once(sizes, changes):
    sizes = [size for size, end in zip(sizes, accumulate(sizes), strict=True) if end <= LENGTH] or [LENGTH]
    network, text = model(**changes), tokens(2, sum(sizes))
    torch.testing.assert_close(in_pieces(network, text, sizes), network(text).logits(), atol=1e-5, rtol=0)


def test_a_full_cache_takes_no_more():
    network, text = model(), tokens(1, 4)
    caches = network.new_caches(1, 4)
    network(text, caches=caches)
    with pytest.raises(ValueError, match="room for 4 tokens, not for 5"):
        network(text[:, :1], torch.tensor([[4]]), caches=caches)
