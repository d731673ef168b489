from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neox_core.data.samples.document_files import DocumentFiles
from neox_core.data.samples.documents import Documents, Reading
from neox_core.data.samples.packed_index import packed
from neox_core.data.samples.sample_index import SampleIndex
from neox_core.data.samples.text import TextDataset
from neox_core.data.samples.whole_document_index import unpacked, until_overflow
from neox_core.data.samples.windows import DocumentsAndNextToken, WholeDocuments, Windows


def packed_dataset(file, num_samples, seq_length, seed=1234, documents=None, last_left_out=False, **options):
    numbers = np.array(range(len(file)) if documents is None else documents, np.int32)
    index = packed(file.sizes, numbers, demand=num_samples, seq_length=seq_length, seed=seed)
    windows = Windows(index, last_left_out=last_left_out)
    return TextDataset(Documents(DocumentFiles(file.prefix)), windows, seq_length, **options)


def test_samples_are_windows_of_the_shuffled_documents(make_token_file):
    file = make_token_file([5, 3, 0, 8, 2, 1, 1, 1, 30])
    dataset = packed_dataset(file, 40, 4)
    stream = np.concatenate([file[document] for document in dataset.index.doc_idx])
    for i in range(dataset.windows):
        window = int(dataset.index.shuffle_idx[i])
        assert dataset[i]["text"].tolist() == stream[4 * window : 4 * window + 5].tolist()


def test_samples_are_int64_and_one_longer_than_the_sequence(golden_tokens):
    text = packed_dataset(golden_tokens, 10, 64)[3]["text"]
    assert text.dtype == np.int64
    assert text.shape == (65,)


def test_only_the_given_documents_are_read(make_token_file):
    file = make_token_file([10, 10, 10])
    dataset = packed_dataset(file, 12, 3, documents=[1])
    seen = {int(token) for i in range(dataset.windows) for token in dataset[i]["text"]}
    assert seen == set(range(10, 20))


def test_every_window_counts_but_in_gpt_neox_the_last(make_token_file):
    file = make_token_file([41])
    dataset = packed_dataset(file, 8, 4)
    assert (dataset.windows, len(dataset)) == (10, 10)
    theirs = packed_dataset(file, 8, 4, last_left_out=True)
    assert (theirs.windows, len(theirs)) == (10, 9)
    assert len(theirs[9]["text"]) == 5
    with pytest.raises(IndexError):
        dataset[10]


@pytest.mark.parametrize("last_left_out", [False, True])
def test_a_single_window_is_served(make_token_file, last_left_out):
    dataset = packed_dataset(make_token_file([5]), 1, 4, last_left_out=last_left_out)
    assert len(dataset) == 1
    assert dataset[0]["text"].tolist() == [0, 1, 2, 3, 4]


def test_no_sample_is_asked_for_and_none_is_there(make_token_file):
    assert len(packed_dataset(make_token_file([4]), 0, 4)) == 0


def test_samples_do_not_alias_the_file(make_token_file):
    file = make_token_file([20], dtype="int64")
    dataset = packed_dataset(file, 4, 4)
    dataset[0]["text"][:] = -1
    assert file[0].tolist() == list(range(20))


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(lambda sizes: sum(sizes) > 1),
    seed=st.integers(1, 99),
)
def test_sources_and_documents_say_where_tokens_come_from(tmp_path_factory, sizes, seed):
    from neox_core.data.token_files import TokenFileWriter, open_tokens

    prefix = tmp_path_factory.mktemp("sources") / "tokens"
    with TokenFileWriter(prefix, "int32") as writer:
        for document, size in enumerate(sizes):
            writer.add(100 * document + np.arange(size))
    dataset = packed_dataset(open_tokens(prefix), 5, 4, seed, reading=Reading(boundaries=True))
    assert dataset.names == {"text", "document"}
    for i in range(dataset.windows):
        sample, sources = dataset[i], dataset.sources(i)["text"]
        told = [100 * source.document + source.offset + j for source in sources for j in range(source.length)]
        assert told == sample["text"].tolist()
        # A document that is met twice in a row is still two.
        assert np.all(np.diff(sample["document"])[np.diff(sample["text"]) != 1] >= 1)
        assert len(set(sample["document"].tolist())) == len(sources)


def whole(file, windows, seq_length):
    return TextDataset(Documents(DocumentFiles(file.prefix)), windows, seq_length)


def test_unpacked_samples_are_a_document_and_in_gpt_neox_the_token_that_follows_it(make_token_file):
    file = make_token_file([3, 2, 9])  # 0 1 2 | 3 4 | 5 ...
    index = unpacked(np.arange(3, dtype=np.int32), num_samples=3, seed=1)

    def samples(windows):
        dataset = whole(file, windows, 5)
        return {int(index.shuffle_idx[i]): dataset[i]["text"].tolist() for i in range(3)}

    assert samples(WholeDocuments(index)) == {0: [0, 1, 2, 0, 0, 0], 1: [3, 4, 0, 0, 0, 0], 2: [5, 6, 7, 8, 9, 10]}
    theirs = samples(DocumentsAndNextToken(index))
    assert theirs == {0: [0, 1, 2, 3, 0, 0], 1: [3, 4, 5, 0, 0, 0], 2: [5, 6, 7, 8, 9, 10]}


@pytest.mark.parametrize("kind", [WholeDocuments, DocumentsAndNextToken])
def test_overflowing_samples_hold_whole_documents(make_token_file, kind):
    file = make_token_file([3, 3, 3])
    index = until_overflow(file.sizes, np.arange(3, dtype=np.int32), num_samples=4, seq_length=6, seed=3)
    dataset = whole(file, kind(index), 6)
    for i in range(4):
        text, window = dataset[i]["text"].tolist(), int(index.shuffle_idx[i])
        first, last = index.sample_idx[window, 0], index.sample_idx[window + 1, 0]
        if kind is DocumentsAndNextToken and last == len(index.doc_idx):
            continue  # nothing follows
        documents = [file[document].tolist() for document in index.doc_idx[first : last + 1]]
        expected = [token for document in documents[: last - first] for token in document]
        expected += documents[last - first][:1] if kind is DocumentsAndNextToken else []
        assert text == (expected + [0] * 7)[:7]


LAST = SampleIndex(np.array([1, 0, 1]), np.array([[0, 0], [1, 0], [2, 0], [3, 0]]), np.array([0, 2, 1]))


def test_in_gpt_neox_a_sample_after_which_nothing_follows_is_another(make_token_file):
    file = make_token_file([3, 4])
    assert whole(file, WholeDocuments(LAST), 5)[1]["text"].tolist() == [3, 4, 5, 6, 0, 0]
    wrapped = whole(file, DocumentsAndNextToken(LAST, last_left_out=True), 5)
    assert wrapped[1]["text"].tolist() == wrapped[0]["text"].tolist() == [3, 4, 5, 6, 0, 0]
    assert wrapped[2]["text"].tolist() == [0, 1, 2, 3, 0, 0]


def test_a_sample_that_would_be_itself_instead_goes_without_the_token(make_token_file):
    file = make_token_file([3, 4])
    index = SampleIndex(np.array([0, 1]), np.array([[0, 0], [1, 0], [2, 0]]), np.array([1, 0]))
    windows = DocumentsAndNextToken(index, last_left_out=True)
    assert whole(file, windows, 5)[0]["text"].tolist() == [3, 4, 5, 6, 0, 0]
