from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from neox_core.data.blend import Blend, blending_indices, normalised_weights, samples_of_each
from neox_core.data.dataset import PackedDataset
from neox_core.errors import UserError


def packed(file, num_samples):
    return PackedDataset(file, np.arange(len(file), dtype=np.int32), num_samples, 4, 7)


def test_recorded_order():
    dataset, sample = blending_indices([0.7, 0.3], 10)
    assert dataset.tolist() == [0, 1, 0, 0, 1, 0, 0, 1, 0, 0]
    assert sample.tolist() == [0, 0, 1, 2, 1, 3, 4, 2, 5, 6]
    assert (dataset.dtype, sample.dtype) == (np.uint8, np.int64)


@given(weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=5), size=st.integers(1, 200))
def test_every_dataset_keeps_to_its_share(weights, size):
    shares = normalised_weights(weights, len(weights))
    dataset, sample = blending_indices(shares, size)
    for number, share in enumerate(shares):
        mine = dataset == number
        assert sample[mine].tolist() == list(range(mine.sum()))
        assert np.all(np.abs(np.cumsum(mine) - share * np.arange(1, size + 1)) < len(weights))


def test_samples_come_from_the_datasets_in_turn(make_token_file):
    datasets = [packed(make_token_file([81], "a"), 20), packed(make_token_file([41], "b"), 10)]
    blend = Blend(datasets, [2.0, 1.0])
    assert len(blend) == len(datasets[0]) + len(datasets[1])
    which, sample = blending_indices([2 / 3, 1 / 3], len(blend))
    for i in range(10):
        assert blend[i].tolist() == datasets[which[i]][int(sample[i])].tolist()


def test_dataset_that_runs_out_starts_again_after_its_last_window(make_token_file):
    long, short = packed(make_token_file([401], "long"), 100), packed(make_token_file([17], "short"), 4)
    assert (short.windows, len(short)) == (4, 3)
    blend = Blend([long, short], [1.0, 1.0])
    which, sample = blending_indices([0.5, 0.5], len(blend))
    of_short = [blend[int(i)].tolist() for i in np.flatnonzero(which == 1)]
    windows = [short[i].tolist() for i in range(4)]
    assert of_short[:7] == [*windows, windows[1], windows[2], windows[0]]
    assert sample.max() > 10


def test_shares_are_rounded_up_with_half_a_per_cent_to_spare():
    assert samples_of_each([0.25, 0.75], 32) == [9, 25]
    assert samples_of_each([1.0], 4) == [5]


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, 1.0, 1.0], [0.0, 0.0], [2.0, -1.0], [float("nan"), 1.0], [float("inf"), 1.0]]
)
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(UserError, match="weights"):
        normalised_weights(weights, 2)


def test_more_datasets_than_a_byte_counts_are_refused():
    with pytest.raises(UserError, match="at most 254"):
        normalised_weights([1.0] * 255, 255)
