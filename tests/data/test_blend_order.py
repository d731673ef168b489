"""The order of blends, against the rule written out one sample at a time."""

from __future__ import annotations

from itertools import accumulate
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neox_core.data.samples import blending
from neox_core.data.samples.blend_weights import normalised_weights, samples_of_each
from neox_core.data.samples.blending import Stage, blend_index, samples_of_stages


def slow_order(weights, size):
    weights = (np.array(weights) / np.sum(weights)).tolist()
    counts = [0] * len(weights)
    order = []
    for i in range(size):
        due = float(max(i, 1))
        lags = [weight * due - count for weight, count in zip(weights, counts, strict=True)]
        order.append(lags.index(max(lags)))
        counts[order[-1]] += 1
    return order


def slow_numbers(order):
    return [order[:i].count(dataset) for i, dataset in enumerate(order)]


def stage(size, weights):
    return Stage(size, tuple(normalised_weights(weights, len(weights))))


def of_lanes(lanes, steps):
    return patch.multiple(blending, _LANES=lanes, _STEPS=steps)


MIXED = st.one_of(st.floats(0.01, 10), st.floats(1e-9, 1e9), st.sampled_from([1.0, 0.5, 1 / 3, 1e-9, 1e9]))


def test_recorded_order():
    index = blend_index([Stage(10, (0.7, 0.3))])
    assert index.dataset.tolist() == [0, 1, 0, 0, 1, 0, 0, 1, 0, 0]
    assert index.sample.tolist() == [0, 0, 1, 2, 1, 3, 4, 2, 5, 6]
    assert (index.dataset.dtype, index.sample.dtype) == (np.uint8, np.int64)


def test_ties_are_resolved_as_in_gpt_neox_which_divides_weights_by_their_sum_twice():
    """Recorded from GPT-NeoX for the weights 0.1, 1, 1; dividing once gives 2, 1, 2, 0 first."""
    index = blend_index([stage(70, [0.1, 1.0, 1.0])])
    assert index.dataset[60:70].tolist() == [2, 1, 2, 1, 2, 0, 1, 2, 1, 2]


@settings(max_examples=200, deadline=None)
@given(
    weights=st.lists(MIXED, min_size=1, max_size=7),
    size=st.integers(0, 700),
    lanes=st.sampled_from([1, 3, 50]),
    steps=st.sampled_from([1, 4, 31]),
)
def test_equals_the_rule_however_the_work_is_divided(weights, size, lanes, steps):
    with of_lanes(lanes, steps):
        index = blend_index([stage(size, weights)])
    order = slow_order(normalised_weights(weights, len(weights)), size)
    assert index.dataset.tolist() == order
    assert index.sample.tolist() == slow_numbers(order)


@pytest.mark.parametrize(
    "weights",
    [
        [1.0] * 7,
        [1e9, 1e-9, 1.0],
        [1e-9, 1.0, 1e-9, 1.0, 1e9],
        [3.0, 1.0, 1e-5, 1e-5, 1e-4],
        [0.5, 0.3, 0.2],
        (1 / np.arange(1, 23)).tolist(),
        (10.0 ** np.random.default_rng(1).uniform(-9, 9, 22)).tolist(),
    ],
)
def test_equals_the_rule_far_from_the_start(weights):
    with of_lanes(64, 256):  # several rounds of lanes
        index = blend_index([stage(40_000, weights)])
    assert index.dataset.tolist() == slow_order(normalised_weights(weights, len(weights)), 40_000)


def test_thousands_of_datasets():
    weights = 10.0 ** np.random.default_rng(2).uniform(-3, 3, 2000)
    index = blend_index([stage(2_500, weights.tolist())])
    assert index.dataset.dtype == np.uint16
    assert index.dataset.tolist() == slow_order(normalised_weights(weights.tolist(), 2000), 2_500)


@pytest.mark.parametrize(("num_datasets", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_a_byte_counts_255_datasets(num_datasets, dtype):
    index = blend_index([stage(2 * num_datasets, [1.0] * num_datasets)])
    assert index.dataset.dtype == dtype
    assert sorted(index.dataset.tolist()) == sorted([*range(num_datasets)] * 2)


@given(weights=st.lists(MIXED, min_size=1, max_size=9), size=st.integers(1, 400))
def test_no_dataset_runs_out_or_falls_behind(weights, size):
    shares = normalised_weights(weights, len(weights))
    index = blend_index([Stage(size, tuple(shares))])
    for number, share in enumerate(shares):
        mine = index.dataset == number
        assert mine.sum() <= samples_of_each(shares, size)[number]
        assert np.all(np.abs(np.cumsum(mine) - share * np.arange(1, size + 1)) < len(weights))


def test_a_dataset_without_weight_serves_only_as_in_gpt_neox():
    weights = (0.0, 0.75, 0.25)
    index = blend_index([Stage(100, weights)])
    assert 0 not in index.dataset
    assert index.dataset.tolist() == [1 + dataset for dataset in slow_order(weights[1:], 100)]
    compat = blend_index([Stage(100, weights)], compat=True)
    assert compat.dataset.tolist() == slow_order(weights, 100)
    assert 0 in compat.dataset


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 120), min_size=1, max_size=4),
    weights=st.lists(
        st.lists(st.one_of(MIXED, st.just(0.0)), min_size=3, max_size=3).filter(any), min_size=4, max_size=4
    ),
)
def test_every_stage_starts_anew_and_every_dataset_goes_on(sizes, weights):
    stages = [stage(size, each) for size, each in zip(sizes, weights, strict=False)]
    index = blend_index(stages)
    ends = list(accumulate(sizes))
    for (size, shares), end in zip(stages, ends, strict=True):
        alone = blend_index([Stage(size, shares)])
        assert index.dataset[end - size : end].tolist() == alone.dataset.tolist()
    assert index.sample.tolist() == slow_numbers(index.dataset.tolist())
    assert all((index.dataset == number).sum() <= demand for number, demand in enumerate(samples_of_stages(stages)))


def test_samples_of_stages_are_added_up():
    assert samples_of_stages([Stage(32, (0.25, 0.75)), Stage(4, (1.0, 0.0))]) == [9 + 5, 25]


def test_samples_are_numbered_across_blocks():
    with of_lanes(2, 8):
        index = blend_index([stage(1000, [3.0, 1.0, 2.0])])
    assert index.sample.tolist() == slow_numbers(index.dataset.tolist())
