"""Samples of whole documents, against the rule written out one document at a time."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neox_core.data.samples import whole_document_index
from neox_core.data.samples.whole_document_index import unpacked, until_overflow, whole_documents
from neox_core.errors import UserError


def slow_until_overflow(sizes, documents, usable, num_samples, seq_length, seed):
    random = np.random.RandomState(seed)
    shuffled = np.arange(num_samples)
    random.shuffle(shuffled)
    order = np.array(documents, np.int64)
    random.shuffle(order)
    doc_idx, starts, filled, i = [], [], 0, 0
    while len(starts) < num_samples:
        if i == len(order):
            i = 0
            random.shuffle(order)
        document = order[i]
        i += 1
        if not usable[document]:
            continue
        if filled == 0 or filled + sizes[document] > seq_length + 1:
            starts.append(len(doc_idx))
            filled = 0
        filled += sizes[document]
        doc_idx.append(document)
    return doc_idx, [[start, 0] for start in [*starts, len(doc_idx)]], shuffled.tolist()


def as_lists(index):
    assert index.doc_idx.dtype == index.sample_idx.dtype == index.shuffle_idx.dtype == np.int64
    return index.doc_idx.tolist(), index.sample_idx.tolist(), index.shuffle_idx.tolist()


@st.composite
def documents_of_files(draw):
    """Sizes of the documents of a file, which of them a dataset reads, and which may serve; one does."""
    sizes = draw(st.lists(st.integers(0, 12), min_size=1, max_size=15))
    start = draw(st.integers(0, len(sizes) - 1))
    documents = range(start, draw(st.integers(start + 1, len(sizes))))
    usable = draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    usable[draw(st.sampled_from(documents))] = True
    return np.array(sizes, np.int32), np.array(documents, np.int32), np.array(usable)


@settings(max_examples=300)
@given(
    file=documents_of_files(),
    num_samples=st.integers(0, 40),
    seq_length=st.integers(1, 20),
    seed=st.integers(0, 2**32 - 1),
    block=st.sampled_from([1, 4, whole_document_index._BLOCK]),
)
def test_documents_are_added_until_a_sample_overflows(file, num_samples, seq_length, seed, block):
    sizes, documents, usable = file
    options = {"num_samples": num_samples, "seq_length": seq_length, "seed": seed}
    with patch.object(whole_document_index, "_BLOCK", block):
        index = until_overflow(sizes, documents, usable=usable, **options)
        without_mask = until_overflow(sizes, documents, **options)
    assert as_lists(index) == slow_until_overflow(sizes, documents, usable, **options)
    assert as_lists(without_mask) == slow_until_overflow(sizes, documents, [True] * len(sizes), **options)


@settings(max_examples=100)
@given(file=documents_of_files(), num_samples=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
def test_unpacked_samples_take_the_documents_in_turn(file, num_samples, seed):
    _, documents, usable = file
    serving = [document for document in documents if usable[document]]
    shuffled = np.arange(num_samples)
    np.random.RandomState(seed).shuffle(shuffled)
    index = unpacked(documents, num_samples=num_samples, seed=seed, usable=usable)
    assert as_lists(index) == (
        [serving[i % len(serving)] for i in range(num_samples + 1)],
        [[i, 0] for i in range(num_samples + 1)],
        shuffled.tolist(),
    )


def test_every_unpacked_sample_is_served_unless_they_repeat_as_in_gpt_neox():
    documents = np.arange(3, dtype=np.int32)
    assert sorted(unpacked(documents, num_samples=7, seed=1).shuffle_idx) == [0, 1, 2, 3, 4, 5, 6]
    repeated = unpacked(documents, num_samples=7, seed=1, repeats=True).shuffle_idx
    expected = np.array([0, 1, 2, 0, 1, 2, 0])
    np.random.RandomState(1).shuffle(expected)
    assert repeated.tolist() == expected.tolist()


def test_documents_that_would_be_cut():
    chosen, rejected = np.array([5, 6, 4, 5], np.int32), np.array([5, 5, 6, 9], np.int32)
    assert whole_documents([chosen], 4).tolist() == [True, False, True, True]
    assert whole_documents([chosen, rejected], 4).tolist() == [True, False, False, False]
    assert whole_documents([chosen, rejected], 4, inverted=True).tolist() == [True, True, False, True]


@pytest.mark.parametrize("documents", [[0, 1], []])
def test_documents_of_which_none_may_serve_are_refused(documents):
    sizes, usable = np.array([3, 4, 5], np.int32), np.array([False, False, True])
    documents = np.array(documents, np.int32)
    with pytest.raises(UserError, match=r"None of the \d documents .*allow_chopped"):
        until_overflow(sizes, documents, num_samples=2, seq_length=4, seed=1, usable=usable)
    with pytest.raises(UserError, match=r"None of the \d documents"):
        unpacked(documents, num_samples=2, seed=1, usable=usable)
