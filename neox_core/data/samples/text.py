"""Samples of text, cut from documents by an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neox_core.data.samples.documents import Documents, Piece
from neox_core.data.samples.sample import Sample, Source
from neox_core.data.samples.sample_index import SampleIndex


class Windows:
    """The pieces of documents that make each sample.

    A window goes from a row of the index to the next, whose first token it includes. Where an index has whole documents, that is the
    first token of the document that follows; what does not fit is cut off by whoever reads it.

    Args:
        index: which documents, in which order.
        wraps: whether the very last window, after which there is no document, is another one, as in GPT-NeoX; else it goes without.
    """

    def __init__(self, index: SampleIndex, *, wraps: bool = False) -> None:
        self.index = index
        self._wraps = wraps

    @property
    def windows(self) -> int:
        """Samples that can be read."""
        return len(self.index.shuffle_idx)

    def __len__(self) -> int:
        return self.windows - 1 if self.windows > 1 else self.windows

    def pieces(self, i: int) -> list[Piece]:
        """What sample `i` consists of."""
        window = int(self.index.shuffle_idx[i])
        first, offset = self.index.sample_idx[window].tolist()
        last, end = self.index.sample_idx[window + 1].tolist()
        documents = self.index.doc_idx[first : last + 1].tolist()
        if last - first == len(documents):  # nothing follows
            instead = window % len(self)
            if self._wraps and instead != i:  # GPT-NeoX would look for itself without end
                return self.pieces(instead)
            return [Piece(document) for document in documents]
        if first == last:
            return [Piece(documents[0], offset, end - offset + 1)]
        return [
            Piece(documents[0], offset),
            *(Piece(document) for document in documents[1:-1]),
            Piece(documents[-1], 0, end + 1),
        ]


class TextDataset:
    """Windows of documents with their labels, rewards and reference log-probabilities.

    Args:
        documents: what is read.
        windows: which pieces of it make which sample.
        seq_length: tokens of a sample, without the one that is only a label.
        name: which dataset of a run it is ("train", "valid_0", ...).
        with_documents: whether samples say where documents begin.
    """

    def __init__(
        self,
        documents: Documents,
        windows: Windows,
        seq_length: int,
        *,
        name: str = "train",
        with_documents: bool = False,
    ) -> None:
        self.documents = documents
        self.name = name
        self.index = windows.index
        self._windows = windows
        self._width = seq_length + 1
        self._with_documents = with_documents

    @property
    def names(self) -> frozenset[str]:
        """The arrays that every sample has."""
        return frozenset((*self.documents.names, *(("document",) if self._with_documents else ())))

    @property
    def windows(self) -> int:
        """Samples that can be read."""
        return self._windows.windows

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, i: int) -> Sample:
        pieces = self._windows.pieces(i)
        arrays = self.documents.read(pieces, self._width)
        if self._with_documents:
            arrays["document"] = self.documents.numbered(pieces, self._width)
        return arrays

    def sources(self, i: int) -> Mapping[str, Sequence[Source]]:
        """Where the tokens of sample `i` come from."""
        return {"text": tuple(self.documents.sources(self._windows.pieces(i), self._width))}
