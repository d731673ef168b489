from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neox_core.data.samples import packed_index
from neox_core.data.samples.packed_index import num_epochs, packed
from neox_core.data.samples.sample_index import Epochs
from neox_core.errors import UserError


def slow_index(sizes, documents, epochs, seq_length, seed):
    """The definition, one token at a time."""
    random = np.random.RandomState(seed)
    order = np.array(list(documents) * epochs)
    random.shuffle(order)
    places = [(i, offset) for i, document in enumerate(order) for offset in range(sizes[document])]
    windows = (len(places) - 1) // seq_length
    starts = [(0, 0), *(places[seq_length * k] for k in range(1, windows + 1))]
    shuffled = np.arange(windows)
    random.shuffle(shuffled)
    return order.tolist(), starts, shuffled.tolist()


def slow_epochs(sizes, documents, num_samples, seq_length):
    epochs = 1
    while (epochs * sum(sizes[d] for d in documents) - 1) // seq_length < num_samples:
        epochs += 1
    return epochs


def as_lists(index):
    return index.doc_idx.tolist(), [tuple(row) for row in index.sample_idx.tolist()], index.shuffle_idx.tolist()


def fast_index(sizes, documents, **options):
    return packed(np.array(sizes, np.int32), np.array(documents, np.int32), **options)


def test_recorded_vector():
    index = fast_index([5, 3, 8, 2], range(4), demand=8, seq_length=4, seed=1234)
    starts = [(0, 0), (0, 4), (1, 0), (2, 1), (2, 5), (3, 1), (4, 0), (4, 4), (6, 0)]
    assert as_lists(index) == ([2, 1, 2, 0, 0, 1, 3, 3], starts, [5, 0, 3, 4, 2, 6, 1, 7])
    assert (index.doc_idx.dtype, index.sample_idx.dtype, index.shuffle_idx.dtype) == (np.int32, np.int32, np.uint32)


@settings(max_examples=200)
@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=12).filter(any),
    demand=st.one_of(st.integers(0, 30), st.builds(Epochs, st.integers(1, 4))),
    seq_length=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    block=st.sampled_from([1, 3, packed_index._BLOCK]),
    data=st.data(),
)
def test_equals_the_definition(sizes, demand, seq_length, seed, block, data):
    start = data.draw(st.integers(0, len(sizes) - 1))
    documents = range(start if any(sizes[start:]) else 0, len(sizes))
    epochs = demand.count if isinstance(demand, Epochs) else slow_epochs(sizes, documents, demand, seq_length)
    with patch.object(packed_index, "_BLOCK", block):
        index = fast_index(sizes, documents, demand=demand, seq_length=seq_length, seed=seed)
    assert as_lists(index) == slow_index(sizes, documents, epochs, seq_length, seed)


@given(tokens=st.integers(1, 10**6), num_samples=st.integers(0, 10**6), seq_length=st.integers(1, 4096))
def test_epochs_are_the_fewest_that_suffice(tokens, num_samples, seq_length):
    epochs = num_epochs(tokens, num_samples, seq_length)
    assert (epochs * tokens - 1) // seq_length >= num_samples
    assert epochs == 1 or ((epochs - 1) * tokens - 1) // seq_length < num_samples


def test_documents_without_tokens_are_refused():
    with pytest.raises(UserError, match="hold no token"):
        fast_index([0, 0, 3], [0, 1], demand=1, seq_length=4, seed=1)


def test_large_index_is_exact():
    sizes = np.random.default_rng(0).integers(0, 50, 200_000).astype(np.int32)
    index = fast_index(sizes, range(len(sizes)), demand=1_000_000, seq_length=16, seed=3)
    begin = np.concatenate([[0], np.cumsum(sizes[index.doc_idx], dtype=np.int64)])
    positions = begin[index.sample_idx[:, 0]] + index.sample_idx[:, 1]
    assert np.array_equal(positions, 16 * np.arange(len(positions)))
    assert (index.sample_idx[1:, 1] < sizes[index.doc_idx[index.sample_idx[1:, 0]]]).all()


def test_documents_longer_than_many_windows():
    sizes = [2**31 - 1, 5, 2**31 - 1]
    index = fast_index(sizes, range(3), demand=1, seq_length=2**20, seed=0)
    begin = np.concatenate([[0], np.cumsum(np.array(sizes)[index.doc_idx])])
    positions = begin[index.sample_idx[:, 0]] + index.sample_idx[:, 1]
    assert np.array_equal(positions, 2**20 * np.arange((sum(sizes) - 1) // 2**20 + 1))
