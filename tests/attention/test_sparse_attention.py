"""Block-sparse attention against the formula, and the ways to compute it against each other."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from random_mixers import inputs, mix, random_mixer
from training_formulas import linear
from training_models import context, model, plugins, tokens

from neox_core.testing import mixers
from neox_core.testing.mixers import Bench

NAMES = ["local", "sparse_fixed", "sparse_variable", "bigbird", "bslongformer"]


def config(name):
    """Small blocks, and layouts that differ between heads where they can."""
    return {
        "block": 3,
        "different_layout_per_head": True,
        **({"num_different_global_patterns": 2, "num_local_blocks": 4} if name == "sparse_fixed" else {}),
        **({"num_random_blocks": 1} if name in ("bigbird", "sparse_variable") else {}),
    }


def attention(name, **changes):
    """The mixer in float64, with random weights and biases."""
    changes = {"sparsity_config": config(name), "attention_config": [name, name], **changes}
    return random_mixer(name, **changes)


def formula(x, mixer, layout, block, kv_heads=4):
    """[seq, hidden] -> the same shape, one head and one token after the other."""
    weights = {name: parameter.detach() for name, parameter in mixer.named_parameters()}
    shared, size = 4 // kv_heads, x.shape[1] // 4
    rows = linear(x, weights, "query_key_value").view(len(x), kv_heads, shared + 2, size)
    mixed = torch.zeros(len(x), 4, size, dtype=x.dtype)
    for head in range(4):
        group, member = divmod(head, shared)
        for t in range(len(x)):
            seen = [s for s in range(t + 1) if layout[head % len(layout), t // block, s // block]]
            scores = torch.stack([rows[t, group, member] @ rows[s, group, -2] for s in seen]) / math.sqrt(size)
            mixed[t, head] = torch.softmax(scores, 0) @ rows[seen, group, -1]
    return linear(mixed.flatten(1), weights, "output")


@pytest.mark.parametrize("kv_heads", [None, 2])
@pytest.mark.parametrize("implementation", ["sdpa", "eager", "flex"])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_softmax_attention_to_the_blocks_of_the_layout(name, implementation, kv_heads):
    mixer = attention(name, num_kv_heads=kv_heads, pos_emb="none", attention_implementation=implementation)
    x = inputs(seq=40)
    layout, expected = mixer.layout, formula(x[0], mixer, mixer.layout, 3, kv_heads or 4)
    assert len({tuple(table.flatten().tolist()) for table in layout}) > 1 or name in ("local", "bslongformer")
    with torch.no_grad():
        torch.testing.assert_close(mix(mixer, x)[0], expected)
        torch.testing.assert_close(mix(mixer, x[:, :8])[0], expected[:8])


@pytest.mark.parametrize("check", [mixers.is_causal, mixers.takes_any_shape, mixers.remembers, mixers.shares_keys,
                                   mixers.remembers_ragged_batches, mixers.keeps_documents_apart])  # fmt: skip
@pytest.mark.parametrize("name", NAMES)
def test_it_does_with_small_blocks_what_it_does_with_large_ones(name, check):
    check(Bench(plugins(), name, {"sparsity_config": config(name)}))


@pytest.mark.parametrize("name", NAMES)
def test_tokens_beyond_the_layout_belong_to_its_last_block(name):
    mixer = attention(name, max_position_embeddings=12, pos_emb="none")
    assert mixer.layout.shape[1] == 4
    last = mixer.layout[:, -1]
    assert bool(last[:, -1].all())
    x = inputs(seq=40)
    layout = mixer.layout[:, torch.arange(14).clamp(max=3)][:, :, torch.arange(14).clamp(max=3)]
    torch.testing.assert_close(mix(mixer, x)[0].detach(), formula(x[0], mixer, layout, 3))


def test_random_blocks_depend_on_seed_and_layer_only():
    def layout(layer=0, **changes):
        settings = {"attention_config": ["bigbird", "bigbird"], "sparsity_config": {"block": 1}, **changes}
        return plugins().make("attention", "bigbird", context(layer, **settings)).layout

    first = layout()
    assert torch.equal(first, layout(num_attention_heads=2, seq_length=6, hidden_size=32))
    assert not torch.equal(first, layout(layer=1))
    assert not torch.equal(first, layout(seed=5))
    assert torch.equal(layout(max_position_embeddings=80)[:, :64, :64], first)


def test_a_model_of_mixed_layers_is_the_same_cached_and_recomputed_beyond_seq_length():
    made = model(attention_config=["bigbird", "sparse_fixed"], sparsity_config={"block": 4}, seq_length=12)
    batch, caches = tokens(2, 40), made.new_caches(2, 40)
    with torch.no_grad():
        whole = made(batch).logits()
        pieces, start = [], 0
        for size in (7, 1, 1, 20, 11):
            positions = torch.arange(start, start + size)[None]
            pieces.append(made(batch[:, start : start + size], positions, caches=caches).logits())
            start += size
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-5, rtol=1e-5)


def test_a_layout_is_no_weight_and_goes_where_the_model_goes():
    mixer = attention("bigbird")
    assert set(mixer.state_dict()) == {"query_key_value.weight", "query_key_value.bias", "output.weight", "output.bias"}
    assert mixer.to("meta").layout.device.type == "meta"
    with torch.device("meta"):
        unmade = plugins().make("attention", "bigbird", context(attention_config=["bigbird"] * 2))
    assert unmade.query_key_value.weight.is_meta
    assert not unmade.layout.is_meta
    x = torch.empty(1, 9, 16, device="meta")
    assert unmade(x, positions=torch.arange(9, device="meta")[None], documents=None, cache=None).shape == x.shape
    twin = copy.deepcopy(attention("bigbird"))
    assert twin.pattern.__self__ is twin


def test_a_layout_that_heads_share_is_one_table_and_one_mask():
    shared, apart = ({"block": 2, "different_layout_per_head": differ} for differ in (False, True))
    settings = {"attention_config": ["bigbird"] * 2}
    one, four = (
        plugins().make("attention", "bigbird", context(sparsity_config=it, **settings)) for it in (shared, apart)
    )
    assert len(one.layout) == 1
    assert len(four.layout) == 4
    masks = []
    for mixer in (one, four):
        mixer.compute = lambda query, key, value, sight, softmax: masks.append(sight.mask()) or query
        mix(mixer, inputs(seq=9).float())
    assert [tuple(mask.shape) for mask in masks] == [(1, 1, 9, 9), (1, 4, 9, 9)]
