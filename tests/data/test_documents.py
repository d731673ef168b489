"""Token files that go together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neox_core.data.samples.document_files import DocumentFiles
from neox_core.data.samples.documents import Documents, Piece, Reading
from neox_core.data.samples.sample import Source
from neox_core.data.token_files import TokenFileWriter
from neox_core.errors import UserError


@pytest.fixture
def write(tmp_path):
    def write(name, documents, dtype="int32"):
        prefix = str(tmp_path / name)
        with TokenFileWriter(prefix, dtype) as writer:
            for document in documents:
                writer.add(np.array(document))
        return prefix

    return write


@pytest.fixture
def all_kinds(write):
    return DocumentFiles(
        write("text", [[1, 2, 3], [4], [5, 6]], "uint16"),
        write("label", [[-100, 2, 3], [-100], [-100, 6]]),
        write("reward", [[0.5], [-1.5, 9.0], [2.0]], "float32"),
        write("ref", [[-0.1, -0.2, -0.3], [-0.4], [-0.5, -0.6]], "float32"),
    )


def test_pieces_are_joined_and_filled_up(all_kinds):
    arrays = Documents(all_kinds).read([Piece(0, 1), Piece(1), Piece(2, 0, 1)], 6)
    assert {name: array.tolist() for name, array in arrays.items() if name != "ref"} == {
        "text": [2, 3, 4, 5, 0, 0],
        "label": [2, 3, -100, -100, -100, -100],
        "reward": [0.5, 0.5, -1.5, 2.0, 0, 0],
    }
    assert arrays["ref"] == pytest.approx([-0.2, -0.3, -0.4, -0.5, 0, 0])
    assert [str(arrays[name].dtype) for name in ("text", "label", "reward", "ref")] == [
        "int64",
        "int64",
        "float32",
        "float32",
    ]


def test_what_does_not_fit_is_cut_off(all_kinds):
    documents = Documents(all_kinds)
    pieces = [Piece(0), Piece(2)]
    assert documents.read(pieces, 4)["text"].tolist() == [1, 2, 3, 5]
    assert documents.read(pieces, 4)["reward"].tolist() == [0.5, 0.5, 0.5, 2.0]
    assert documents.numbered(pieces, 4).tolist() == [0, 0, 0, 1]
    assert list(documents.sources(pieces, 4)) == [Source(all_kinds.text, 0, 0, 3), Source(all_kinds.text, 2, 0, 1)]
    assert list(documents.sources(pieces, 3)) == [Source(all_kinds.text, 0, 0, 3)]


def test_what_fills_up_is_a_document_of_its_own(all_kinds):
    assert Documents(all_kinds).numbered([Piece(1), Piece(2, 1)], 4).tolist() == [0, 1, 2, 2]


def test_arrays_are_not_views_of_the_files(write):
    documents = Documents(DocumentFiles(write("text", [[1, 2, 3]], "int64")))
    documents.read([Piece(0)], 3)["text"][:] = 0
    assert documents.text[0].tolist() == [1, 2, 3]


def test_documents_without_anything_to_predict_are_found(write):
    files = DocumentFiles(
        write("text", [[1, 2, 3], [4, 5], [6], []]), write("label", [[-100, -100, 3], [-100, -100], [6], []])
    )
    documents = Documents(files)
    assert documents.has_labels(0, 2).tolist() == [False, False, True, False]
    assert documents.has_labels(0, 3).tolist() == [True, False, True, False]
    assert documents.has_labels(1, 3).tolist() == [True, False, False, False]
    assert Documents(DocumentFiles(files.text)).has_labels(0, 1).tolist() == [True] * 4


def test_what_fills_up_can_be_left_out_of_the_loss(write):
    documents = Documents(DocumentFiles(write("text", [[1, 2, 3], [4, 5]])))
    assert set(documents.read([Piece(0)], 5)) == {"text"} == set(documents.names())
    found = documents.read([Piece(0)], 5, Reading(labels=True))
    assert {name: array.tolist() for name, array in found.items()} == {
        "text": [1, 2, 3, 0, 0],
        "label": [1, 2, 3, -100, -100],
    }
    assert documents.names(Reading(labels=True)) == ("text", "label")


@pytest.mark.parametrize(
    ("kind", "documents", "words"),
    [
        ("label", [[1, 2, 3], [4]], "2 documents with 4 entries are no labels of .*text, which has 3 documents with 6"),
        ("label", [[1, 2], [4, 5], [5, 6]], "3 documents with 6 entries are no labels of"),
        ("ref", [[1, 2, 3], [4], [5]], "are no reference log-probabilities of"),
        ("reward", [[1], [2]], "are no rewards of .*each document must have at least one"),
        ("reward", [[1], [], [2]], "are no rewards of"),
    ],
)
def test_files_that_do_not_go_together_are_refused(write, kind, documents, words):
    text = write("text", [[1, 2, 3], [4], [5, 6]])
    with pytest.raises(UserError, match=words):
        Documents(DocumentFiles(text, **{kind: write(kind, documents)}))


@pytest.mark.parametrize("kind", ["text", "label"])
def test_a_file_of_real_numbers_has_no_token_ids(write, kind):
    files = {"text": write("text", [[1, 2]])} | {kind: write("rewards", [[0.5, 1.0]], "float32")}
    with pytest.raises(UserError, match=r"rewards has float32 numbers, .* and no token ids"):
        Documents(DocumentFiles(**files))


def bytes_read():
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))


def test_warming_up_reads_whatever_there_is(write):
    tokens, numbers = np.zeros(100_000, "i4"), np.zeros(100_000, "f4")
    documents = Documents(
        DocumentFiles(
            write("text", [tokens], "uint16"),
            write("label", [tokens], "int32"),
            write("reward", [numbers], "float32"),
            write("ref", [numbers], "float32"),
        )
    )
    before = bytes_read()
    documents.warm()
    assert 1_400_000 <= bytes_read() - before < 1_500_000
