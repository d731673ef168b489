"""Seeds of named uses: stable, and different for each."""

from __future__ import annotations

import torch
from hypothesis import given, strategies as st

from neox_core.parallel import StepRandom, derive_seed, generator

PARTS = st.lists(
    st.integers(0, 2**40) | st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), max_size=5),
    min_size=1,
    max_size=4,
)


@given(PARTS, PARTS)
def test_different_uses_have_different_seeds(one, other):
    same = [str(part) for part in one] == [str(part) for part in other]
    assert (derive_seed(*one) == derive_seed(*other)) is same


@given(PARTS)
def test_a_seed_is_one_that_torch_takes(parts):
    assert 0 <= derive_seed(*parts) < 2**63


def test_seeds_are_the_same_on_every_machine():
    assert derive_seed(1234, "layers.0.mlp.up.weight") == 9219949055542687725


def test_a_generator_of_a_use_begins_anew_each_time():
    one, other = (torch.rand(3, generator=generator(1, "a")) for _ in range(2))
    assert torch.equal(one, other)


def test_each_step_micro_batch_and_layer_draws_its_own():
    def draw(seed=1, step=0, micro_batch=0, layer=0):
        StepRandom(seed, step, micro_batch).begin_layer(layer)
        return tuple(torch.rand(4).tolist())

    draws = [draw(), draw(seed=2), draw(step=1), draw(micro_batch=1), draw(layer=1), draw(layer=-1)]
    assert len(set(draws)) == len(draws)
    assert draw() == draws[0]


def test_a_layer_seeds_as_torch_does():
    StepRandom(1, step=2, micro_batch=3).begin_layer(4)
    found = torch.rand(8)
    torch.manual_seed(derive_seed(1, "dropout", 2, 3, 4))
    assert found.equal(torch.rand(8))
