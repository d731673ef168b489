"""Layouts of blocks against their definitions, block by block."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, strategies as st
from neox_attention.settings.sparse import SparsityConfig
from neox_attention.sparse.bigbird import BigBirdAttention
from neox_attention.sparse.bslongformer import BSLongformerAttention
from neox_attention.sparse.fixed import FixedAttention
from neox_attention.sparse.layouts import drawn
from neox_attention.sparse.local import LocalAttention
from neox_attention.sparse.variable import VariableAttention

from neox_core.parallel import generator

VARIANTS = [LocalAttention, FixedAttention, VariableAttention, BigBirdAttention, BSLongformerAttention]
numbers = st.integers(1, 9)
lengths = st.integers(1, 24)


def made(variant, blocks, heads=1, seed=0, **config):
    """[heads, blocks, blocks], whatever the variant's table holds."""
    layout = variant.make_layout(SparsityConfig(**config), heads, blocks, generator(seed))
    return layout[torch.arange(heads) % len(layout)]


def table(blocks, sees, heads=1):
    """The causal part of what a definition says of (head, row, column)."""
    return torch.tensor(
        [[[c <= r and sees(h, r, c) for c in range(blocks)] for r in range(blocks)] for h in range(heads)]
    )


@st.composite
def ranges(draw):
    starts = draw(st.lists(st.integers(0, 20), max_size=4))
    ends = [start + draw(st.integers(1, 5)) for start in starts]
    return starts, ends


@given(lengths, numbers)
@pytest.mark.parametrize("key", ["num_local_blocks", "num_sliding_window_blocks"])
def test_local_is_the_earlier_half_of_a_window_around_each_block(key, blocks, width):
    expected = table(blocks, lambda h, row, column: abs(row - column) <= width // 2)
    assert torch.equal(made(LocalAttention, blocks, **{key: width}), expected)


def test_local_reads_num_local_blocks_first_and_has_4_where_neither_is_given():
    both = made(LocalAttention, 9, num_local_blocks=2, num_sliding_window_blocks=8)
    assert torch.equal(both, made(LocalAttention, 9, num_local_blocks=2))
    assert torch.equal(made(LocalAttention, 9), made(LocalAttention, 9, num_local_blocks=4))


@given(lengths, st.integers(1, 4), st.integers(1, 4), st.data())
def test_fixed_is_windows_and_blocks_that_stand_for_them(blocks, standing, times, data):
    size, heads = standing * times, 6
    patterns = data.draw(st.integers(1, times))

    def stands(head, row, column):
        for window in range(0, blocks, size):
            begin = window + size - (1 + head % patterns) * standing
            if window + size > blocks:
                begin = max(min(begin, blocks - standing), 0)
            if begin <= column < begin + standing and row >= begin:
                return True
        return False

    expected = table(blocks, lambda h, row, column: row // size == column // size or stands(h, row, column), heads)
    config = {"num_local_blocks": size, "num_global_blocks": standing, "num_different_global_patterns": patterns}
    assert torch.equal(made(FixedAttention, blocks, heads, different_layout_per_head=True, **config), expected)


@given(lengths, st.lists(numbers, min_size=1, max_size=4), ranges())
def test_variable_is_windows_of_given_sizes_and_global_blocks(blocks, sizes, chosen):
    window_of = [number for number, size in enumerate([*sizes, *[sizes[-1]] * blocks]) for _ in range(size)]

    def sees(head, row, column):
        in_range = any(start <= column < end for start, end in zip(*chosen, strict=True))
        return window_of[row] == window_of[column] or in_range

    config = {"global_block_indices": chosen[0], "global_block_end_indices": chosen[1]}
    found = made(VariableAttention, blocks, local_window_blocks=sizes, **config)
    assert torch.equal(found, table(blocks, sees))


@given(lengths, numbers, st.integers(0, 4))
def test_bigbird_without_random_blocks_is_a_window_and_the_first_blocks(blocks, width, first):
    expected = table(blocks, lambda h, row, column: abs(row - column) <= width // 2 or column < first)
    config = {"num_sliding_window_blocks": width, "num_global_blocks": first, "num_random_blocks": 0}
    assert torch.equal(made(BigBirdAttention, blocks, **config), expected)


@given(lengths, numbers, ranges())
def test_bslongformer_is_a_window_and_global_blocks_that_see_all(blocks, width, chosen):
    def is_global(block):
        return any(start <= block < end for start, end in zip(*chosen, strict=True))

    expected = table(blocks, lambda h, r, c: abs(r - c) <= width // 2 or is_global(r) or is_global(c))
    config = {"global_block_indices": chosen[0], "global_block_end_indices": chosen[1]}
    found = made(BSLongformerAttention, blocks, num_sliding_window_blocks=width, **config)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("variant", [VariableAttention, BSLongformerAttention])
def test_global_blocks_without_ends_are_single(variant):
    ends = made(variant, 12, global_block_indices=[2, 7], global_block_end_indices=[3, 8])
    assert torch.equal(made(variant, 12, global_block_indices=[2, 7]), ends)


def test_defaults_are_those_of_gpt_neox():
    for variant, config in (
        (FixedAttention, {"num_local_blocks": 4, "num_global_blocks": 1, "num_different_global_patterns": 1}),
        (VariableAttention, {"local_window_blocks": [4], "global_block_indices": [0], "num_random_blocks": 0}),
        (BigBirdAttention, {"num_sliding_window_blocks": 3, "num_global_blocks": 1, "num_random_blocks": 1}),
        (BSLongformerAttention, {"num_sliding_window_blocks": 3, "global_block_indices": [0]}),
    ):
        assert torch.equal(made(variant, 20), made(variant, 20, **config))
    assert SparsityConfig().block == 16
    assert SparsityConfig().different_layout_per_head is False


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_block_sees_itself_and_nothing_later(variant):
    layout = made(variant, 30, heads=2, different_layout_per_head=True, num_random_blocks=2)
    assert bool(layout.diagonal(dim1=1, dim2=2).all())
    assert torch.equal(layout, layout.tril())


# Random blocks


@given(lengths, st.integers(0, 5))
def test_as_many_random_blocks_as_asked_for_or_as_there_are(blocks, number):
    seen = drawn(3, blocks, number, generator(1)).sum(-1)
    assert torch.equal(seen, torch.arange(1, blocks + 1).clamp(max=number).expand(3, -1))


def test_random_blocks_are_drawn_from_all_that_are_not_later():
    drawn_often = sum(drawn(50, 8, 2, generator(seed)).int().sum(0) for seed in range(20))
    expected = torch.tensor([[1000 * min(2 / (row + 1), 1) * (c <= row) for c in range(8)] for row in range(8)])
    torch.testing.assert_close(drawn_often.float(), expected, atol=120, rtol=0)


@pytest.mark.parametrize("variant", [BigBirdAttention, VariableAttention])
def test_random_blocks_differ_by_head_and_seed_and_a_longer_layout_begins_alike(variant):
    first = made(variant, 40, 2, num_random_blocks=2)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, made(variant, 40, 2, seed=1, num_random_blocks=2))
    assert torch.equal(made(variant, 60, 2, num_random_blocks=2)[:, :40, :40], first)
