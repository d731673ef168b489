"""What positions do to embeddings, queries and keys."""

from __future__ import annotations

import math

import pytest
import torch
import training_formulas as formula
from hypothesis import given, settings, strategies as st
from neox_commands.sampling import Sampling, generate
from training_models import context, model

from neox_core.model.tables import TABLES

HEAD_DIM = 4


def rotary(**changes):
    return model(**changes).embedding.positions


def vectors(count=2, size=HEAD_DIM):
    return torch.randn(count, 1, 1, size, generator=torch.Generator().manual_seed(0))


def at(positions, vector, place):
    return positions.rotate(vector, vector, torch.tensor([[place]]))[0]


@settings(max_examples=50)
@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 1500))
def test_scores_depend_on_the_distance_alone(query_at, key_at, shift):
    positions, (query, key) = rotary(), vectors()[:, None]
    score = (at(positions, query, query_at) * at(positions, key, key_at)).sum()
    shifted = (at(positions, query, query_at + shift) * at(positions, key, key_at + shift)).sum()
    assert float(shifted) == pytest.approx(float(score), abs=2e-4)


@pytest.mark.parametrize("place", [0, 1, 17, 900])
def test_rotation_is_that_of_the_formula(place):
    vector = vectors(1)
    expected = formula.rotate(vector[0, 0, 0].double(), place)
    torch.testing.assert_close(at(rotary(), vector, place)[0, 0, 0].double(), expected, atol=1e-4, rtol=0)


def test_part_of_a_head_can_be_left_alone():
    vector = vectors(1, 8)
    turned = at(rotary(hidden_size=32, rotary_pct=0.5), vector, 5)
    assert torch.equal(turned[..., 4:], vector[..., 4:])
    torch.testing.assert_close(
        turned[0, 0, 0, :4].double(), formula.rotate(vector[0, 0, 0, :4].double(), 5), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("place", [3, 1001, 20001])
def test_far_positions_survive_the_cast_to_bfloat16(place):
    exact = at(rotary(), vectors(1), place)
    rounded = at(rotary().bfloat16(), vectors(1).bfloat16(), place)
    torch.testing.assert_close(rounded.float(), exact, atol=0.03, rtol=0)


def test_learned_positions_are_added_to_the_embedding():
    network = model(pos_emb="learned")
    table = network.embedding.positions.weight
    assert table.shape == (64, 16)
    hidden = network.embedding(torch.tensor([[5, 5]]), torch.tensor([[0, 9]]))
    torch.testing.assert_close(hidden[0], network.embedding.weight[5] + table[[0, 9]])


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({"pos_emb": "learned"}, 64),
        ({"pos_emb": "learned", "opt_pos_emb_offset": 2}, 62),
        ({"pos_emb": "learned", "opt_pos_emb_offset": 2, "soft_prompt_tuning": {"enabled": True, "num_tokens": 5}}, 57),
        ({"pos_emb": "rotary", "opt_pos_emb_offset": 2}, 64),
    ],
)
def test_a_sequence_is_as_long_as_there_are_positions_for_tokens(changes, length):
    network = model(**changes)
    assert network.context_length == length
    continued = list(generate(network, [1], count=99, sampling=Sampling(), vocabulary=61, limit=length))
    assert len(continued) == length - 1


@pytest.mark.parametrize(("heads", "power"), [(1, 1), (4, 4), (12, 8), (20, 16), (40, 32)])
def test_slopes_of_alibi(heads, power):
    positions = context(hidden_size=2 * heads, num_attention_heads=heads, pos_emb="alibi").positions
    slopes = [2 ** (-8 * k / power) for k in range(1, power + 1)]
    between = [2 ** (-8 * k / (2 * power)) for k in range(1, 2 * power, 2)]
    expected = torch.tensor((slopes + between)[:heads])
    torch.testing.assert_close(positions.slope(torch.arange(heads)), expected)
    torch.testing.assert_close(positions.bias(torch.arange(heads), torch.tensor(7)), -7 * expected)


@pytest.mark.parametrize(("buckets", "farthest"), [(32, 128), (32, 17), (5, 9), (2, 2)])
def test_classes_of_relative_positions(buckets, farthest):
    positions = context(pos_emb="rpe", rpe_num_buckets=buckets, rpe_max_distance=farthest).positions
    torch.nn.init.normal_(positions.weight)  # what is not initialised may be no number
    single = buckets // 2

    def row(distance):
        if distance < single:
            return distance
        share = math.log(distance / single) / math.log(farthest / single)
        return min(single + int(share * (buckets - single) + 1e-6), buckets - 1)

    distances = torch.arange(300)
    rows = torch.tensor([row(int(distance)) for distance in distances])
    head_dim = 16 // 4
    expected = positions.weight[rows, 1] * math.sqrt(head_dim)
    torch.testing.assert_close(positions.bias(torch.tensor(1), distances), expected)


def test_sinusoidal_positions_are_all_sines_before_all_cosines():
    found = context(pos_emb="sinusoidal").positions.embed(torch.tensor([[0, 7]]))[0, 1]
    angles = torch.tensor([7 / 10000 ** (2 * i / 16) for i in range(8)])
    torch.testing.assert_close(found, torch.cat((angles.sin(), angles.cos())))


@pytest.mark.parametrize("pos_emb", TABLES["position"])
def test_in_bfloat16_they_leave_the_residual_stream_so(pos_emb):
    network = model(torch.bfloat16, pos_emb=pos_emb)
    text = torch.tensor([[5, 6, 7]])
    assert network.embedding(text, torch.arange(3)[None]).dtype == torch.bfloat16
    assert network(text).logits().isfinite().all()


def test_the_first_learned_positions_may_be_unused():
    network = model(pos_emb="learned", opt_pos_emb_offset=2)
    hidden = network.embedding(torch.tensor([[5, 5]]), torch.tensor([[0, 9]]))
    rows = network.embedding.positions.weight[[2, 11]]
    torch.testing.assert_close(hidden[0], network.embedding.weight[5] + rows)


def test_rotary_positions_have_no_weights_and_add_nothing():
    assert list(rotary().state_dict()) == []
    assert rotary().embed(torch.tensor([[3]])) is None
