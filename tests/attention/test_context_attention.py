"""Attention over rows that are cut over ranks is attention over the whole rows."""

from __future__ import annotations

import pytest
import torch
from context_ranks import Case, bytes_sent, largest_differences, largest_tensor, mixer_and_positions
from context_traffic import ring_traffic, ulysses_traffic
from hypothesis import given, settings, strategies as st
from mup_models import base_shapes
from neox_attention.ulysses import repeats
from random_mixers import mix

from neox_core.config import Topology
from neox_core.errors import UserError
from neox_core.parallel import Mesh

MIXERS = ["ring", "ulysses"]
ROW = torch.tensor([[0] * 5 + [1] * 7 + [2] * 12, [0] * 13 + [1] * 1 + [2] * 10])
FEATURES = {
    "no positions": {"pos_emb": "none"},
    "rotary": {"pos_emb": "rotary"},
    "alibi": {"pos_emb": "alibi"},
    "relative biases": {"pos_emb": "rpe"},
    "a window": {"sliding_window_width": 5},
    "grouped queries": {"num_kv_heads": 2},
    "one key/value head": {"num_kv_heads": 1, "pos_emb": "alibi"},
    "norms of queries and keys": {"num_kv_heads": 2, "use_qk_layernorm": True},
    "scaling by layer": {"apply_query_key_layer_scaling": True, "pos_emb": "alibi", "compat": "gpt-neox"},
    "eager": {"attention_implementation": "eager"},
}


@pytest.mark.drawn(8)
@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("feature", FEATURES)
def test_cut_rows_come_to_what_whole_rows_come_to(workers, feature, name):
    found = workers(2).run(largest_differences, Case(name), **FEATURES[feature])[0]
    assert max(found.values()) < 1e-12, found


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("changes", [{}, {"sliding_window_width": 5, "pos_emb": "rpe"}, {"num_kv_heads": 2}])
def test_documents_see_nothing_of_each_other_wherever_they_are_cut(workers, changes, ranks, name):
    found = workers(ranks).run(largest_differences, Case(name, documents=ROW), **changes)[0]
    assert max(found.values()) < 1e-12, found


@pytest.mark.parametrize(
    ("name", "ranks", "changes"),
    [
        ("ring", 3, {"pos_emb": "rpe"}),
        ("ring", 4, {"pos_emb": "alibi", "num_kv_heads": 1}),
        ("ulysses", 3, {"num_attention_heads": 6, "hidden_size": 48, "num_kv_heads": 2}),
        ("ulysses", 4, {"pos_emb": "alibi", "num_kv_heads": 1}),
        ("ulysses", 4, {"pos_emb": "rpe", "num_kv_heads": 2}),
    ],
)
def test_ranks_may_be_more_than_two_and_more_than_key_value_heads(workers, name, ranks, changes):
    found = workers(ranks).run(largest_differences, Case(name), **changes)[0]
    assert max(found.values()) < 1e-12, found


@pytest.mark.parametrize("name", MIXERS)
def test_mup_scales_scores(workers, name):
    changes = {"use_mup": True, "base_shapes": base_shapes(hidden_size=8)}
    found = workers(2).run(largest_differences, Case(name), **changes)[0]
    assert max(found.values()) < 1e-12, found


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("changes", [{}, {"num_kv_heads": 1}, {"sequence_parallel": True, "num_kv_heads": 2}])
def test_heads_may_be_cut_too(workers, changes, name):
    found = workers(4).run(largest_differences, Case(name, documents=ROW, tensor=2), pos_emb="alibi", **changes)[0]
    assert max(found.values()) < 1e-12, found


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize(("name", "pos_emb"), [("ring", "alibi"), ("ring", "rotary"), ("ulysses", "alibi")])
def test_numbers_may_be_narrower(workers, name, pos_emb, dtype, tolerance):
    found = workers(2).run(largest_differences, Case(name, 64, dtype=dtype), pos_emb=pos_emb, num_kv_heads=2)[0]
    assert max(found.values()) < tolerance, found


@pytest.mark.parametrize("name", MIXERS)
def test_a_compiled_mixer_computes_the_same(workers, name):
    found = workers(2).run(largest_differences, Case(name, documents=ROW, compiled=True), pos_emb="rotary")[0]
    assert max(found.values()) < 1e-12, found


@settings(max_examples=10)
@given(
    st.sampled_from(MIXERS),
    st.integers(1, 6),
    st.sampled_from([1, 2, 3, 512]),
    st.none() | st.integers(1, 20),
    st.sampled_from([1, 2, 4]),
    st.data(),
)
def test_any_shape(workers, name, chunk, tile, window, kv_heads, data):
    length = 4 * chunk
    cuts = data.draw(st.none() | st.lists(st.integers(0, 3), min_size=length, max_size=length))
    documents = None if cuts is None else torch.tensor(cuts).sort().values[None]
    case = Case(name, length, documents, tile=tile)
    found = workers(2).run(largest_differences, case, sliding_window_width=window, num_kv_heads=kv_heads)[0]
    assert max(found.values()) < 1e-12, found


def test_the_same_weights_are_dropped(workers):
    """By the implementations that have them in memory."""
    found = workers(2).run(
        largest_differences, Case("ulysses"), attention_dropout=0.5, attention_implementation="eager"
    )[0]
    assert max(found.values()) < 1e-12, found


def test_a_ring_never_has_the_scores_of_a_row(workers):
    found = workers(2).run(largest_tensor, Case("ring", 512, tile=16), pos_emb="alibi", sliding_window_width=300)
    assert max(found) < 512 * 512 / 8


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("ranks", [2, 3])
def test_a_ring_sends_what_the_formula_says(workers, ranks, dtype):
    keys = 2 * 2 * 8 * 4  # batch, kv heads, tokens of a rank, width
    found = workers(ranks).run(bytes_sent, Case("ring", 8 * ranks, dtype=dtype), num_kv_heads=2)
    assert found == [list(ring_traffic(ranks, keys, dtype.itemsize))] * ranks


@pytest.mark.parametrize(("kv_heads", "sent"), [(4, 4), (2, 2), (1, 2)])
def test_ulysses_sends_what_the_formula_says(workers, kv_heads, sent):
    assert kv_heads * repeats(kv_heads, 2) == sent
    found = workers(2).run(bytes_sent, Case("ulysses", 16), num_kv_heads=kv_heads)
    assert found == [[ulysses_traffic(2, 2 * 4 * 8 * 4, 2 * sent * 8 * 4, 8)] * 2] * 2


def test_tokens_cannot_be_generated_one_by_one_on_several_ranks():
    mesh = Mesh.without_groups(Topology(context=2), 0)
    mixer = mixer_and_positions("ring", mesh, torch.float32)["mixer"]
    with pytest.raises(UserError, match="context_parallel_size: 2 cuts samples"):
        mixer.new_cache(1, 8)


@pytest.mark.parametrize("name", MIXERS)
def test_shapes_are_known_without_ranks(name):
    mesh = Mesh.without_groups(Topology(context=4), 1)
    made = mixer_and_positions(name, mesh, torch.float32, pos_emb="rpe").to("meta")
    with torch.device("meta"):
        x = torch.zeros(2, 16, 16).requires_grad_()
        mixed = mix(made["mixer"], x)
        mixed.sum().backward()
    assert mixed.shape == x.shape
    assert x.grad is not None
