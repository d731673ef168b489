from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neox_core.data.sample_index import build_sample_index, num_epochs
from neox_core.errors import UserError


def slow_index(sizes, documents, num_samples, seq_length, seed):
    """The definition, one token at a time."""
    random = np.random.RandomState(seed)
    epochs = 1
    while (epochs * sum(sizes[d] for d in documents) - 1) // seq_length < num_samples:
        epochs += 1
    order = np.array(list(documents) * epochs)
    random.shuffle(order)
    places = [(i, offset) for i, document in enumerate(order) for offset in range(sizes[document])]
    windows = (len(places) - 1) // seq_length
    starts = [(0, 0), *(places[seq_length * k] for k in range(1, windows + 1))]
    shuffled = np.arange(windows)
    random.shuffle(shuffled)
    return order.tolist(), starts, shuffled.tolist()


def fast_index(sizes, documents, **options):
    return build_sample_index(np.array(sizes, np.int32), np.array(documents, np.int32), **options)


def test_recorded_vector():
    index = fast_index([5, 3, 8, 2], range(4), num_samples=8, seq_length=4, seed=1234)
    assert index.doc_idx.tolist() == [2, 1, 2, 0, 0, 1, 3, 3]
    starts = [(0, 0), (0, 4), (1, 0), (2, 1), (2, 5), (3, 1), (4, 0), (4, 4), (6, 0)]
    assert [tuple(row) for row in index.sample_idx.tolist()] == starts
    assert index.shuffle_idx.tolist() == [5, 0, 3, 4, 2, 6, 1, 7]
    assert (index.doc_idx.dtype, index.sample_idx.dtype, index.shuffle_idx.dtype) == (np.int32, np.int32, np.uint32)


@settings(max_examples=150)
@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=12).filter(any),
    num_samples=st.integers(0, 30),
    seq_length=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_equals_the_definition(sizes, num_samples, seq_length, seed, data):
    start = data.draw(st.integers(0, len(sizes) - 1))
    documents = range(start, len(sizes))
    if not any(sizes[start:]):
        documents = range(len(sizes))
    options = {"num_samples": num_samples, "seq_length": seq_length, "seed": seed}
    order, starts, shuffled = slow_index(sizes, documents, **options)
    index = fast_index(sizes, documents, **options)
    assert index.doc_idx.tolist() == order
    assert [tuple(row) for row in index.sample_idx.tolist()] == starts
    assert index.shuffle_idx.tolist() == shuffled


@given(tokens=st.integers(1, 10**6), num_samples=st.integers(0, 10**6), seq_length=st.integers(1, 4096))
def test_epochs_are_the_fewest_that_suffice(tokens, num_samples, seq_length):
    epochs = num_epochs(tokens, num_samples, seq_length)
    assert (epochs * tokens - 1) // seq_length >= num_samples
    assert epochs == 1 or ((epochs - 1) * tokens - 1) // seq_length < num_samples


@pytest.mark.parametrize(
    ("documents", "num_samples", "seed", "digests"),
    [
        (
            range(77, 80),
            4,
            1234,
            (
                "a9701b66cdcd11579ba6d7834e741daf3442a215a521a13d9721d8065742ae4e",
                "95556af70117f409cff90bff17923689597f5c39407a11d3a13cfc88f2c89755",
                "f187b72be427ee9c00ea3ccebf11ade8d721c0b94cf05c138120b44f6900347c",
            ),
        ),
        (
            range(80),
            33,
            1234,
            (
                "708a3e86a97b7ea3b1da15d08e59fa3502422e2ab5c33b4c5cd26aa371593139",
                "b555e16d78ba0764568f4a4cdf417c3cf95dd25111121fb955568f0857bd392b",
                "cb249700231f0c9740ba1fc4ba58a0650b83bc48503b20396ccb217fcefca13b",
            ),
        ),
        (
            range(77, 80),
            4,
            99,
            (
                "700c3d68c018d2cf4c8373d53582c910db9c1f8483a7db525e35e31dc62ec2f8",
                "86f1db67aca0011167129a30e00b1d4f58d3eda22bbf3747182f287404b11686",
                "3221bcbe5582fbaaba57da271b8376c6f663c9033fec1867733782486a994efa",
            ),
        ),
    ],
)
def test_equals_the_arrays_that_gpt_neox_wrote(golden_tokens, documents, num_samples, seed, digests):
    index = fast_index(golden_tokens.sizes, documents, num_samples=num_samples, seq_length=64, seed=seed)
    arrays = (index.doc_idx, index.sample_idx, index.shuffle_idx)
    assert tuple(hashlib.sha256(array.tobytes()).hexdigest() for array in arrays) == digests


def test_documents_without_tokens_are_refused():
    with pytest.raises(UserError, match="hold no token"):
        fast_index([0, 0, 3], [0, 1], num_samples=1, seq_length=4, seed=1)


def test_large_index_is_quick_and_exact():
    sizes = np.random.default_rng(0).integers(0, 50, 200_000).astype(np.int32)
    index = fast_index(sizes, range(len(sizes)), num_samples=1_000_000, seq_length=16, seed=3)
    begin = np.concatenate([[0], np.cumsum(sizes[index.doc_idx], dtype=np.int64)])
    positions = begin[index.sample_idx[:, 0]] + index.sample_idx[:, 1]
    assert np.array_equal(positions, 16 * np.arange(len(positions)))
