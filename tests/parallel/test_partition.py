"""Layers are dealt to stages as GPT-NeoX and DeepSpeed deal them, or by what they cost."""

from __future__ import annotations

import re
from itertools import combinations_with_replacement, pairwise

import pytest
from hypothesis import given, settings, strategies as st

from neox_core.parallel import partition
from neox_core.parallel.partition import Weights
from neox_core.training.deepspeed.making import import_deepspeed

WEIGHTS = st.lists(st.integers(0, 9), min_size=1, max_size=14)
NAMES = ["ParallelTransformerLayerPipe", "GMLPBlock", "ParallelMambaResidualLayerPipe"]


@pytest.fixture(scope="module")
def utils():
    """DeepSpeed's own functions."""
    import_deepspeed("cpu")
    from deepspeed.runtime import utils

    return utils


def blocks_of(bounds, blocks):
    """Of DeepSpeed's bounds in GPT-NeoX's list of layers, the blocks of each stage."""
    return [[item - 2 for item in range(start, stop) if 2 <= item < blocks + 2] for start, stop in pairwise(bounds)]


def as_lists(dealt):
    return [list(stage) for stage in dealt]


@given(st.integers(1, 40), st.integers(1, 8))
def test_uniform_is_deepspeeds(utils, blocks, stages):
    expected = blocks_of(utils.partition_uniform(blocks + 5, stages), blocks)
    assert as_lists(partition.deal_uniform(blocks, stages)) == expected


@settings(max_examples=200)
@given(WEIGHTS, st.integers(0, 20), st.integers(0, 3), st.integers(0, 20), st.integers(1, 6))
def test_by_parameters_is_deepspeeds(utils, blocks, embedding, norm, head, stages):
    expected = utils.partition_balanced([embedding, 0, *blocks, 0, norm, head], stages)
    found = partition.deal_by_parameters(Weights(embedding, tuple(blocks), head, norm), stages)
    assert as_lists(found) == blocks_of(expected, len(blocks))


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=14), st.integers(1, 6))
def test_by_type_is_deepspeeds(utils, names, stages):
    matches = [int(bool(re.search("transformer|mlp", name, re.IGNORECASE))) for name in names]
    if any(matches):
        expected = utils.partition_balanced([0, 1, *matches, 1, 0, 0], stages)
        found = partition.deal_by_type(names, "transformer|mlp", stages)
        assert as_lists(found) == blocks_of(expected, len(names))


def test_a_pattern_has_to_match_a_layer():
    with pytest.raises(ValueError, match=r"no layer matches 'rnn'; they are called GMLPBlock, Parallel\w+Pipe"):
        partition.deal_by_type([*NAMES[:2], NAMES[1]], "rnn", 2)
    with pytest.raises(re.error):
        partition.deal_by_type(NAMES, "(", 2)


def slowest(weights, bounds):
    times = [sum(weights.blocks[start:stop]) for start, stop in pairwise(bounds)]
    times[0] += weights.embedding
    times[-1] += weights.head + weights.norm
    return max(times)


@settings(max_examples=200)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 20), st.integers(0, 20), st.integers(1, 5))
def test_by_cost_no_other_way_is_faster(blocks, embedding, head, stages):
    weights = Weights(float(embedding), tuple(map(float, blocks)), float(head), 1.0)
    ways = [
        (0, *cuts, len(blocks))
        for cuts in combinations_with_replacement(range(len(blocks) + 1), stages - 1)
        if partition.idle_stage([range(*run) for run in pairwise((0, *cuts, len(blocks)))]) is None
    ]
    if ways:
        dealt = partition.deal_by_cost(weights, stages)
        bounds = [0, *(stage.stop for stage in dealt)]
        assert [stage.start for stage in dealt] == bounds[:-1]
        assert bounds[-1] == len(blocks)
        assert partition.idle_stage(dealt) is None
        assert slowest(weights, bounds) == min(slowest(weights, way) for way in ways)


def test_a_heavy_head_has_fewer_blocks_before_it():
    assert partition.deal_by_cost(Weights(0.1, (1.0,) * 10, 3.0), 2) == [range(6), range(6, 10)]
    assert partition.deal_by_cost(Weights(0.1, (1.0,) * 8, 0.1), 4) == [
        range(2),
        range(2, 4),
        range(4, 6),
        range(6, 8),
    ]


def test_a_stage_between_the_others_needs_a_block():
    assert partition.idle_stage([range(2), range(2, 2), range(2, 4)]) == 1
    assert partition.idle_stage([range(0), range(4), range(4, 4)]) is None
