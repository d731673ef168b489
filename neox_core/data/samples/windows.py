"""Which pieces of documents make each sample."""

from __future__ import annotations

from neox_core.data.samples.documents import Piece
from neox_core.data.samples.sample_index import SampleIndex


class Windows:
    """Windows over documents that are laid end to end: from a row of the index to the next, whose first token is included.

    Args:
        index: which documents, in which order.
        last_left_out: whether the last sample is not counted, as in GPT-NeoX (unless there is no other).
    """

    def __init__(self, index: SampleIndex, *, last_left_out: bool = False) -> None:
        self.index = index
        self._last_left_out = last_left_out

    @property
    def windows(self) -> int:
        """Samples that can be read."""
        return len(self.index.shuffle_idx)

    def __len__(self) -> int:
        return self.windows - 1 if self._last_left_out and self.windows > 1 else self.windows

    def pieces(self, i: int) -> list[Piece]:
        """What sample `i` consists of."""
        return self._between(int(self.index.shuffle_idx[i]))

    def _between(self, window: int) -> list[Piece]:
        first, offset = self.index.sample_idx[window].tolist()
        last, end = self.index.sample_idx[window + 1].tolist()
        documents = self.index.doc_idx[first : last + 1].tolist()
        if first == last:
            return [Piece(documents[0], offset, end - offset + 1)]
        return [
            Piece(documents[0], offset),
            *(Piece(document) for document in documents[1:-1]),
            Piece(documents[-1], 0, end + 1),
        ]


class WholeDocuments(Windows):
    """One or several documents in each sample."""

    def _between(self, window: int) -> list[Piece]:
        first, last = self.index.sample_idx[window, 0], self.index.sample_idx[window + 1, 0]
        return [Piece(document) for document in self.index.doc_idx[first:last].tolist()]


class DocumentsAndNextToken(Windows):
    """The same with the first token of the document that follows, as in GPT-NeoX; where none follows, another sample."""

    def pieces(self, i: int) -> list[Piece]:
        """What sample `i` consists of."""
        window = int(self.index.shuffle_idx[i])
        other = window % len(self)
        follows = int(self.index.sample_idx[window + 1, 0]) < len(self.index.doc_idx)
        if not follows and other != i:
            return self.pieces(other)
        # A sample that is its own other ends GPT-NeoX; here it goes without the token.
        return self._between(window) if follows else WholeDocuments(self.index).pieces(i)
