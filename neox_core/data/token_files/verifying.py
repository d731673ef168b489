"""Reads token files from end to end, and says what is wrong in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files.counting import Counts, count
from neox_core.data.token_files.token_file import TokenFile, open_tokens

MASKED = -100
"""What a label file has where no loss is taken."""

TOLD = 10
"""Places that are told at most."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What reading a token file found.

    Args:
        counts: how much there is.
        empty: sequences without a token.
        masked: labels of no loss (-100).
        lowest: the lowest value beside those; None where there is no value.
        highest: the highest value.
        wrong: values that are wrong, and sequences that overlap.
        places: the first of them, as sentences.
        notices: what is unusual, and no mistake.
        sha256: digests of `bin` and `idx`, where they were asked for.
    """

    counts: Counts
    empty: int
    masked: int
    lowest: float | None
    highest: float | None
    wrong: int
    places: tuple[str, ...]
    notices: tuple[str, ...]
    sha256: dict[str, str] | None


def verify(prefix: str | Path, vocab_size: int | None = None, *, sha256: bool = False) -> Verified:
    """Read all of a token file.

    No id may be negative, but -100, nor beyond a vocabulary of `vocab_size` entries; no number may be NaN or infinite; no sequence
    may overlap another.

    Raises:
        UserError: the files are missing, or their index is damaged.
    """
    tokens = open_tokens(prefix)
    values = _Values(tokens, vocab_size)
    for piece in tokens.stream():
        values.look_at(piece)
    overlaps, notices = _layout(tokens)
    return Verified(
        count(tokens),
        empty=int(np.count_nonzero(tokens.sizes == 0)),
        masked=values.masked,
        lowest=values.lowest,
        highest=values.highest,
        wrong=values.wrong + len(overlaps),
        places=(*values.places, *overlaps[:TOLD]),
        notices=(*tokens.notices, *notices),
        sha256={kind: _digest(Path(f"{prefix}.{kind}")) for kind in ("bin", "idx")} if sha256 else None,
    )


class _Values:
    """Looks at the values of a file, piece by piece in the order of its sequences."""

    def __init__(self, tokens: TokenFile, vocab_size: int | None) -> None:
        self._tokens = tokens
        self._is_float = tokens.dtype.kind == "f"
        self._limit = np.inf if vocab_size is None or self._is_float else vocab_size
        self._seen = 0
        self.masked = self.wrong = 0
        self.lowest: float | None = None
        self.highest: float | None = None
        self.places: list[str] = []

    def look_at(self, piece: npt.NDArray[Any]) -> None:
        """The next piece, [tokens]."""
        masked = np.zeros(len(piece), np.bool_) if self._is_float else piece == MASKED
        self.masked += int(np.count_nonzero(masked))
        values = piece[np.isfinite(piece)] if self._is_float else piece[~masked]
        if len(values):
            lowest, highest = values.min().item(), values.max().item()
            self.lowest = lowest if self.lowest is None else min(self.lowest, lowest)
            self.highest = highest if self.highest is None else max(self.highest, highest)
        if len(piece):
            self._tell(piece, masked)
        self._seen += len(piece)

    def _tell(self, piece: npt.NDArray[Any], masked: npt.NDArray[np.bool_]) -> None:
        wrong = ~np.isfinite(piece) if self._is_float else ((piece < 0) | (piece >= self._limit)) & ~masked
        where = np.flatnonzero(wrong)
        self.wrong += len(where)
        for at in where[: TOLD - len(self.places)].tolist():
            sequence, offset = _place(self._tokens.sizes, self._seen + at)
            self.places.append(f"sequence {sequence}, token {offset}: {piece[at]} {self._reason(piece[at])}")

    def _reason(self, value: float) -> str:
        if self._is_float:
            return "is no finite number"
        return f"is negative, and not {MASKED}" if value < 0 else f"is beyond a vocabulary of {self._limit}"


def _place(sizes: npt.NDArray[np.int32], position: int) -> tuple[int, int]:
    """The sequence, and the offset in it, of a position in all tokens in the order of their sequences."""
    ends = np.cumsum(sizes, dtype=np.int64)
    sequence = int(np.searchsorted(ends, position, side="right"))
    return sequence, position - int(ends[sequence] - sizes[sequence])


def _layout(tokens: TokenFile) -> tuple[list[str], list[str]]:
    """Sequences that overlap, and notices about how they lie."""
    runs = [(start, end) for start, end in tokens.runs() if start < end]
    if all(end == start for (_, end), (start, _) in pairwise([(0, 0), *runs])):
        return [], []
    overlaps = [
        f"tokens {start} to {min(end, before)} of the file belong to two sequences"
        for (_, before), (start, end) in pairwise(sorted(runs))
        if start < before
    ]
    return overlaps, [f"{tokens.prefix}.idx: the sequences do not lie one after the other in {tokens.prefix}.bin"]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
