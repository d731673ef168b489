"""The documents that a dataset reads: a token file, and what comes with it document by document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neox_core.data.samples.document_files import DocumentFiles
from neox_core.data.samples.sample import IGNORED, Source, fitted
from neox_core.data.token_files import TokenFile, open_tokens
from neox_core.errors import UserError

_AT_ONCE = 1 << 24  # bytes


class Piece(NamedTuple):
    """Neighbouring tokens of a document, from `offset` on; to its end where there is no length."""

    document: int
    offset: int = 0
    length: int | None = None


class Reading(NamedTuple):
    """What samples have beside what lies in files.

    Args:
        boundaries: the number of the document of each token.
        labels: where the files have none, the text itself as label, with no loss on what fills a sample up.
    """

    boundaries: bool = False
    labels: bool = False


PLAIN = Reading()


class Documents:
    """Token files that go together, open.

    Raises:
        UserError: one cannot be read, or they do not go together.
    """

    def __init__(self, files: DocumentFiles, impl: str = "infer") -> None:
        self.files = files
        self.text = open_tokens(files.text, impl)
        self.label = self._companion("label", files.label, impl)
        self.reward = self._companion("reward", files.reward, impl)
        self.ref = self._companion("ref", files.ref, impl)
        self._check()

    def __len__(self) -> int:
        return len(self.text)

    def names(self, reading: Reading = PLAIN) -> tuple[str, ...]:
        """Which arrays `read` gives."""
        given = {
            "label": self.label is not None or reading.labels,
            "reward": self.reward is not None,
            "ref": self.ref is not None,
            "document": reading.boundaries,
        }
        return "text", *(name for name, is_given in given.items() if is_given)

    @property
    def sizes(self) -> npt.NDArray[np.int32]:
        """Tokens of each document, [documents]."""
        return self.text.sizes

    def read(self, pieces: Sequence[Piece], width: int, reading: Reading = PLAIN) -> dict[str, npt.NDArray[Any]]:
        """The pieces one after the other, each array [width]: cut, or filled up with 0 (labels with -100)."""
        text = self._joined(self.text, pieces)
        arrays = {"text": fitted(text, width, 0, np.int64)}
        if self.label is not None:
            arrays["label"] = fitted(self._joined(self.label, pieces), width, IGNORED, np.int64)
        elif reading.labels:
            arrays["label"] = fitted(text, width, IGNORED, np.int64)
        if self.reward is not None:
            rewards = np.repeat([self.reward.get(piece.document)[0] for piece in pieces], self.lengths(pieces))
            arrays["reward"] = fitted(rewards, width, 0, np.float32)
        if self.ref is not None:
            arrays["ref"] = fitted(self._joined(self.ref, pieces), width, 0, np.float32)
        if reading.boundaries:
            arrays["document"] = self.numbered(pieces, width)
        return arrays

    def lengths(self, pieces: Sequence[Piece]) -> list[int]:
        """Tokens of each piece."""
        return [
            int(self.sizes[piece.document]) - piece.offset if piece.length is None else piece.length for piece in pieces
        ]

    def numbered(self, pieces: Sequence[Piece], width: int) -> npt.NDArray[np.int64]:
        """For each token of the pieces the number of its piece, [width]; what fills up is a piece of its own."""
        return fitted(np.repeat(np.arange(len(pieces)), self.lengths(pieces)), width, len(pieces), np.int64)

    def sources(self, pieces: Sequence[Piece], width: int) -> Iterator[Source]:
        """Where the first `width` tokens of the pieces come from."""
        for piece, length in zip(pieces, self.lengths(pieces), strict=True):
            taken = min(length, width)
            if taken > 0:
                yield Source(self.files.text, piece.document, piece.offset, taken)
            width -= taken

    def warm(self) -> None:
        """Read all tokens once, so that they are in memory where there is room."""
        buffer = bytearray(_AT_ONCE)
        for file in (self.text, self.label, self.reward, self.ref):
            if file is not None:
                with Path(f"{file.prefix}.bin").open("rb", buffering=0) as stream:
                    while stream.readinto(buffer):
                        pass

    def has_labels(self, first: int, last: int) -> npt.NDArray[np.bool_]:
        """Whether a document has a label other than -100 among its tokens `first` to `last` - 1, [documents].

        Without a file of labels all have.
        """
        if self.label is None:
            return np.ones(len(self), bool)
        read = np.minimum(self.label.sizes, last)
        found = np.zeros(len(self), bool)
        filled = np.flatnonzero(read > first)
        # Mostly what is looked for is an answer at the end, so that few documents have to be read.
        found[filled] = self.label.at(filled, read[filled] - 1) != IGNORED
        for document in filled[~found[filled]].tolist():
            found[document] = (self.label.get(document, first, last - first) != IGNORED).any()
        return found

    def _joined(self, file: TokenFile, pieces: Sequence[Piece]) -> npt.NDArray[Any]:
        parts = [file.get(*piece) for piece in pieces]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _companion(self, name: str, prefix: str | None, impl: str) -> TokenFile | None:
        return None if prefix is None else open_tokens(prefix, impl)

    def _check(self) -> None:
        """Raises UserError for files that cannot belong to each other, or have no token ids."""
        for file in (self.text, self.label):
            if file is not None and file.dtype.kind == "f":
                raise UserError(
                    f"{file.prefix} has {file.dtype.name} numbers, as files of rewards and log-probabilities do, and no token ids. "
                    "Give the file that was made of the texts."
                )
        for name, file in (("labels", self.label), ("reference log-probabilities", self.ref)):
            if file is not None and not np.array_equal(file.sizes, self.sizes):
                raise UserError(
                    f"{file.prefix}: its {_amount(file)} are no {name} of {self.text.prefix}, which has {_amount(self.text)}; "
                    "both must have the same documents, token by token. Make them again from the same texts."
                )
        if self.reward is not None and (len(self.reward) != len(self) or not np.all(self.reward.sizes > 0)):
            raise UserError(
                f"{self.reward.prefix}: its {_amount(self.reward)} are no rewards of {self.text.prefix}, which has "
                f"{_amount(self.text)}; each document must have at least one. Make them again from the same texts."
            )


def _amount(file: TokenFile) -> str:
    return f"{len(file):,} documents with {int(file.sizes.sum(dtype=np.int64)):,} entries"
