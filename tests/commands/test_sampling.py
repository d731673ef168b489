"""Drawing the next token."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, strategies as st
from neox_commands.sampling import Sampling, nucleus

from neox_core.errors import UserError

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0]])


def frequencies(sampling: Sampling, draws: int = 4000) -> torch.Tensor:
    drawn = sampling.draw(LOGITS.expand(draws, -1), torch.Generator().manual_seed(0))
    return torch.bincount(drawn, minlength=4) / draws


def test_temperature_zero_takes_the_likeliest_token():
    assert frequencies(Sampling(temperature=0)).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax_of_the_scaled_logits(temperature):
    expected = (LOGITS[0] / temperature).softmax(-1)
    assert torch.allclose(frequencies(Sampling(temperature=temperature)), expected, atol=0.03)


def test_top_k_leaves_the_k_likeliest():
    found = frequencies(Sampling(temperature=1.0, top_k=2))
    assert torch.allclose(found, torch.cat([LOGITS[0, :2].softmax(-1), torch.zeros(2)]), atol=0.03)


def test_top_k_beyond_the_vocabulary_leaves_all():
    assert (frequencies(Sampling(temperature=1.0, top_k=99)) > 0).all()


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=20, unique=True),
    st.floats(0.01, 1.0),
)
def test_the_nucleus_is_the_smallest_set_that_reaches_p(logits, top_p):
    values = torch.tensor([logits], dtype=torch.float64)
    kept = (nucleus(values, top_p)[0] > -torch.inf).tolist()
    order = sorted(range(len(logits)), key=lambda i: -logits[i])
    probabilities = values[0].softmax(-1)
    total, expected = 0.0, [False] * len(logits)
    for index in order:
        if total < top_p - 1e-12:
            expected[index] = True
        total += float(probabilities[index])
    differing = [i for i in range(len(logits)) if kept[i] != expected[i]]
    assert all(abs(float(sum(probabilities[j] for j in order[: order.index(i)])) - top_p) < 1e-9 for i in differing)
    assert kept[order[0]]


def test_the_same_seed_draws_the_same_tokens():
    logits = torch.randn(1, 50)
    draws = [Sampling(temperature=1.0).draw(logits, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert draws[0].equal(draws[1])


@pytest.mark.parametrize(
    ("options", "named"),
    [({"temperature": -1.0}, "temperature: -1.0"), ({"top_k": -2}, "top_k: -2"), ({"top_p": 1.5}, "top_p: 1.5")],
)
def test_options_out_of_range_are_refused(options, named):
    with pytest.raises(UserError, match=named):
        Sampling(**options)
