"""Samples that are computed."""

import numpy as np
import pytest

from neox_core.data.samples.mock import STRIDES, MockDataset

SAMPLES = {"num_samples": 20, "seq_length": 16, "vocab_size": 100, "seed": 7}


def test_a_sample_is_the_same_whoever_asks_and_whenever():
    one, other = MockDataset(**SAMPLES), MockDataset(**{**SAMPLES, "num_samples": 5})
    backwards = [one[i]["text"] for i in reversed(range(5))][::-1]
    assert all(np.array_equal(sample, other[i]["text"]) for i, sample in enumerate(backwards))


@pytest.mark.parametrize(("change", "name"), [({"seed": 8}, "train"), ({}, "valid")])
def test_another_seed_or_part_has_other_samples(change, name):
    one, other = MockDataset(**SAMPLES), MockDataset(**{**SAMPLES, **change}, name=name)
    assert sum(np.array_equal(one[i]["text"], other[i]["text"]) for i in range(20)) <= 2


def test_a_sample_counts_on_within_the_vocabulary():
    dataset = MockDataset(**SAMPLES)
    assert len(dataset) == 20
    seen = set()
    for i in range(20):
        sample = dataset[i]["text"]
        assert sample.shape == (17,)
        assert sample.dtype == np.int64
        assert sample.min() >= 0
        assert sample.max() < 100
        strides = set((np.diff(sample) % 100).tolist())
        assert len(strides) == 1
        seen |= strides
    assert seen <= set(range(1, STRIDES + 1))
    assert len(seen) > 3
