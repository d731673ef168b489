"""What the index of a token file says, of either format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files.layout import Format
from neox_core.errors import UserError

_AT_ONCE = 1 << 16  # entries, checked while they are in the cache; an index may have hundreds of millions
_FARTHEST = 1 << 59  # elements; no file is so long, and ends computed from smaller starts cannot overflow


@dataclass(frozen=True, slots=True)
class Index:
    """Where the sequences of a token file lie. The arrays are views of the file.

    Args:
        path: of the index.
        format: its format.
        dtype: element type of the tokens.
        sizes: tokens in each sequence, int32 [sequences].
        starts: where each sequence begins, int64 [sequences], in units of `unit` bytes.
        unit: 1 or the size of an element.
        document_index: at which sequence each document begins, and the number of sequences, int64, as stored.
        notices: what a user should know.
    """

    path: Path
    format: Format
    dtype: np.dtype[Any]
    sizes: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    unit: int
    document_index: npt.NDArray[np.int64]
    notices: tuple[str, ...] = ()

    def end(self) -> int:
        """Bytes of tokens that it describes: where the last sequence ends.

        Raises:
            UserError: a sequence has a negative size or an impossible start.
        """
        end = 0
        for first in range(0, len(self.sizes), _AT_ONCE):
            starts, sizes = self.starts[first : first + _AT_ONCE], self.sizes[first : first + _AT_ONCE]
            if sizes.min() < 0 or starts.min() < 0 or starts.max() > _FARTHEST or self._straddles(starts):
                last = first + len(sizes) - 1
                raise self.damaged(f"a sequence from {first} to {last} has a negative size or an impossible start")
            end = max(end, int((starts * self.unit + sizes.astype(np.int64) * self.dtype.itemsize).max()))
        return end

    def document_notices(self) -> Iterator[str]:
        """What a user should know about the document index.

        Raises:
            UserError: it is out of order or of range.
        """
        entries, sequences = self.document_index, len(self.sizes)
        for first in range(0, len(entries), _AT_ONCE):
            block = entries[first : first + _AT_ONCE + 1]  # one more: where the next begins
            if block.min() < 0 or block.max() > sequences or np.any(block[1:] < block[:-1]):
                raise self.damaged(f"the document index is out of order, or leaves the {sequences} sequences")
        if len(entries) == 0 or entries[0] != 0 or entries[-1] != sequences:
            yield (
                f"{self.path}: the document index does not cover the {sequences} sequences, as after a merge by GPT-NeoX's tool; "
                "training takes each sequence as a document and does not need it"
            )

    def _straddles(self, starts: npt.NDArray[np.int64]) -> bool:
        """Whether a sequence begins within an element."""
        return int(np.bitwise_or.reduce(starts)) * self.unit % self.dtype.itemsize != 0  # sizes are powers of two

    def damaged(self, what: str) -> UserError:
        """The error that says so."""
        return UserError(f"{self.path}: the index is damaged: {what}. Copy or make the files again.")


def check_length(path: Path, length: int, expected: int) -> None:
    """Raises `UserError` when an index has not the bytes that its header describes."""
    if length != expected:
        what = "truncated" if length < expected else "too long"
        raise UserError(
            f"{path}: the index is {what}: {length} bytes where {expected} are expected. Copy or make the files again."
        )
