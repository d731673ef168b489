"""Pairs of a good and a bad answer."""

from __future__ import annotations

import numpy as np
import pytest

from neox_core.data.samples.document_files import DocumentFiles
from neox_core.data.samples.documents import Documents, Reading
from neox_core.data.samples.pairs import PairDataset
from neox_core.data.samples.whole_document_index import unpacked
from neox_core.data.samples.windows import WholeDocuments
from neox_core.errors import UserError


def dataset(pos, neg, seq_length=4, **options):
    sides = Documents(pos), Documents(neg)
    index = unpacked(np.arange(len(sides[0]), dtype=np.int32), num_samples=6, seed=5)
    return PairDataset(*sides, WholeDocuments(index), seq_length, **options)


@pytest.fixture
def files(make_token_file):
    pos = make_token_file([2, 3, 1], "pos")
    neg = make_token_file([4, 1, 2], "neg")
    return DocumentFiles(pos.prefix, label=pos.prefix), DocumentFiles(neg.prefix, label=neg.prefix)


def test_both_sides_are_of_the_same_documents(files):
    pairs = Documents(files[0]), Documents(files[1])
    index = unpacked(np.arange(3, dtype=np.int32), num_samples=3, seed=5)
    found = PairDataset(*pairs, WholeDocuments(index), 4)
    assert found.names == {"pos", "neg", "pos_label", "neg_label"}
    by_window = {int(index.shuffle_idx[i]): found[i] for i in range(3)}
    assert by_window[0]["pos"].tolist() == [0, 1, 0, 0, 0]
    assert by_window[0]["neg"].tolist() == [0, 1, 2, 3, 0]
    assert by_window[0]["pos_label"].tolist() == [0, 1, -100, -100, -100]
    assert by_window[1]["neg"].tolist() == [4, 0, 0, 0, 0]
    assert by_window[2]["pos"].tolist() == [5, 0, 0, 0, 0]


def test_sources_name_the_file_of_each_side(files):
    found = dataset(*files).sources(0)
    assert {side: {source.prefix for source in sources} for side, sources in found.items()} == {
        "pos": {files[0].text},
        "neg": {files[1].text},
    }


def test_documents_are_numbered_on_each_side(files):
    found = dataset(*files, reading=Reading(boundaries=True))
    assert {"pos_document", "neg_document"} <= found.names
    assert set(found[0]) == found.names


def test_sides_of_different_lengths_are_refused(make_token_file):
    pos, neg = (DocumentFiles(make_token_file(sizes, name).prefix) for sizes, name in (([1, 2], "pos"), ([1], "neg")))
    with pytest.raises(UserError, match=r"pos has 2 documents and .*neg has 1"):
        dataset(pos, neg)


def test_labels_of_one_side_are_refused(files):
    with pytest.raises(UserError, match="only one has label"):
        dataset(files[0], DocumentFiles(files[1].text))
