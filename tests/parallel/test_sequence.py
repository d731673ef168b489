"""How the tokens of a sample are dealt to context-parallel ranks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, strategies as st
from sequence_ranks import cut_and_joined, exchanged, gradient_of_a_part, passed_on, sample

from neox_core.parallel import Axis, SequenceLayout, length_unit

SIZES = st.integers(1, 9)


def layouts(size: int, length: int) -> list[SequenceLayout]:
    return [SequenceLayout(Axis(rank, size, None, tuple(range(size))), length) for rank in range(size)]


@given(SIZES, st.integers(0, 5))
def test_each_token_is_one_ranks(size, times):
    length = times * length_unit(size)
    held = [layout.places() for layout in layouts(size, length)]
    assert all(len(places) == length // size for places in held)
    assert sorted(torch.cat(held).tolist()) == list(range(length))
    assert all(places.tolist() == sorted(places.tolist()) for places in held)


@given(SIZES, st.integers(1, 5))
def test_all_ranks_see_equally_many_tokens_of_each_rank_before_them(size, times):
    ranks = layouts(size, times * length_unit(size))
    for layout in ranks:
        for distance in range(1, size):
            queries, keys = layout.places(), layout.places((layout.axis.rank - distance) % size)
            assert 2 * int((keys <= queries[:, None]).sum()) == len(queries) ** 2


@given(SIZES, st.integers(1, 4), st.integers(0, 2))
def test_parts_one_after_the_other_come_into_order(size, times, dim):
    length = times * length_unit(size)
    whole = sample(length).movedim(1, dim)
    ranks = layouts(size, length)
    parts = [layout.part(whole, dim) for layout in ranks]
    by_rank = torch.cat(parts, dim)
    assert torch.equal(ranks[0].in_order(by_rank, dim), whole)
    assert torch.equal(ranks[0].by_rank(whole, dim), by_rank)
    for layout, part in zip(ranks, parts, strict=True):
        assert torch.equal(whole.index_select(dim, layout.places()), part)


@pytest.mark.parametrize(("size", "length"), [(2, 6), (3, 8), (4, 4)])
def test_lengths_that_give_no_whole_chunks_are_refused(size, length):
    with pytest.raises(ValueError, match=f"over {size} context-parallel ranks: have a multiple of {2 * size}"):
        SequenceLayout(Axis(0, size), length)


def test_without_a_group_shapes_are_right():
    axis = Axis(1, 4)
    layout = SequenceLayout.of_part(axis, 6)
    assert layout.length == 24
    assert layout.enter(torch.zeros(2, 6, 3)).shape == layout.join(torch.zeros(2, 6, 3)).shape == (2, 24, 3)
    assert axis.all_to_all(torch.zeros(2, 8, 6), 1, 2).shape == (2, 2, 24)
    assert axis.start_shift(torch.zeros(2, 6)).wait().shape == (2, 6)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_join_what_they_have(workers, size, dim):
    assert all(workers(size).run(cut_and_joined, 12, dim))


@pytest.mark.parametrize(("how", "weight"), [("join", None), ("enter", 3)])
def test_gradients_are_summed_where_ranks_compute_parts_and_not_where_they_compute_the_same(workers, how, weight):
    for rank, (places, gradient) in enumerate(workers(2).run(gradient_of_a_part, 8, how)):
        expected = 2 * sample(8)[:, places] * (weight or rank + 1)
        torch.testing.assert_close(gradient, expected)


def test_tensors_are_passed_on_to_the_next_rank(workers):
    assert workers(3).run(passed_on) == [(2.5, 2.0), (0.5, 0.0), (1.5, 1.0)]


def test_pieces_go_to_all_ranks(workers):
    results = workers(3).run(exchanged)
    for rank, (_, received) in enumerate(results):
        assert torch.equal(received, torch.cat([own[:, 2 * rank : 2 * rank + 2] for own, _ in results], 2))
