from __future__ import annotations

import numpy as np
import pytest

from neox_core.data.dataset import PackedDataset


def packed(file, num_samples, seq_length, seed=1234, documents=None):
    documents = range(len(file)) if documents is None else documents
    return PackedDataset(file, np.array(documents, np.int32), num_samples, seq_length, seed)


def test_samples_are_windows_of_the_shuffled_documents(make_token_file):
    file = make_token_file([5, 3, 0, 8, 2, 1, 1, 1, 30])
    dataset = packed(file, 40, 4)
    stream = np.concatenate([file[document] for document in dataset.index.doc_idx])
    for i in range(dataset.windows):
        window = int(dataset.index.shuffle_idx[i])
        assert dataset[i].tolist() == stream[4 * window : 4 * window + 5].tolist()


def test_samples_are_int64_and_one_longer_than_the_sequence(golden_tokens):
    sample = packed(golden_tokens, 10, 64)[3]
    assert sample.dtype == np.int64
    assert sample.shape == (65,)


def test_only_the_given_documents_are_read(make_token_file):
    file = make_token_file([10, 10, 10])
    dataset = packed(file, 12, 3, documents=[1])
    seen = {int(token) for i in range(dataset.windows) for token in dataset[i]}
    assert seen == set(range(10, 20))


def test_length_leaves_out_the_last_window(make_token_file):
    dataset = packed(make_token_file([41]), 8, 4)
    assert (dataset.windows, len(dataset)) == (10, 9)
    assert len(dataset[9]) == 5
    with pytest.raises(IndexError):
        dataset[10]


def test_a_single_window_is_served(make_token_file):
    dataset = packed(make_token_file([5]), 1, 4)
    assert len(dataset) == 1
    assert dataset[0].tolist() == [0, 1, 2, 3, 4]


def test_no_sample_is_asked_for_and_none_is_there(make_token_file):
    assert len(packed(make_token_file([4]), 0, 4)) == 0


def test_samples_do_not_alias_the_file(make_token_file):
    file = make_token_file([20], dtype="int64")
    dataset = packed(file, 4, 4)
    dataset[0][:] = -1
    assert file[0].tolist() == list(range(20))
