"""Samples of text, cut from documents by an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neox_core.data.samples.documents import PLAIN, Documents, Reading
from neox_core.data.samples.indexed import IndexedDataset
from neox_core.data.samples.sample import Sample, Source
from neox_core.data.samples.windows import Windows


class TextDataset(IndexedDataset):
    """Pieces of documents with their labels, rewards and reference log-probabilities.

    Args:
        documents: what is read.
        windows: which pieces of it make which sample.
        seq_length: tokens of a sample, without the one that is only a label.
        name: which dataset of a run it is ("train", "valid_0", ...).
        reading: what samples have beside what lies in files.
    """

    def __init__(
        self, documents: Documents, windows: Windows, seq_length: int, *, name: str = "train", reading: Reading = PLAIN
    ) -> None:
        super().__init__(windows, seq_length, name, reading)
        self.documents = documents

    @property
    def names(self) -> frozenset[str]:
        """The arrays that every sample has."""
        return frozenset(self.documents.names(self._reading))

    def __getitem__(self, i: int) -> Sample:
        return self._read(self.documents, i)

    def sources(self, i: int) -> Mapping[str, Sequence[Source]]:
        """Where the tokens of sample `i` come from."""
        return {"text": tuple(self.documents.sources(self._windows.pieces(i), self._width))}
