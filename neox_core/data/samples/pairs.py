"""Pairs of a good and a bad answer: the n-th document of one file belongs to the n-th of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neox_core.data.samples.documents import PLAIN, Documents, Reading
from neox_core.data.samples.indexed import IndexedDataset
from neox_core.data.samples.sample import Sample, Source
from neox_core.data.samples.windows import Windows
from neox_core.errors import UserError

SIDES = ("pos", "neg")


class PairDataset(IndexedDataset):
    """Whole documents of two files, the same ones of both.

    Args:
        pos: the good answers.
        neg: the bad ones.
        windows: which documents make which sample.
        seq_length: tokens of a sample, without the one that is only a label.
        name: which dataset of a run it is.
        reading: what samples have beside what lies in files.

    Raises:
        UserError: there is not a bad answer for each good one, or only one side has labels or reference log-probabilities.
    """

    def __init__(
        self,
        pos: Documents,
        neg: Documents,
        windows: Windows,
        seq_length: int,
        *,
        name: str = "train",
        reading: Reading = PLAIN,
    ) -> None:
        check_pairs(pos, neg)
        super().__init__(windows, seq_length, name, reading)
        self.sides = {"pos": pos, "neg": neg}

    @property
    def names(self) -> frozenset[str]:
        """The arrays that every sample has."""
        return frozenset(_name(side, name) for side in SIDES for name in self.sides[side].names(self._reading))

    def __getitem__(self, i: int) -> Sample:
        return {
            _name(side, name): array
            for side, documents in self.sides.items()
            for name, array in self._read(documents, i).items()
        }

    def sources(self, i: int) -> Mapping[str, Sequence[Source]]:
        """Where the tokens of sample `i` come from, for each side."""
        pieces = self._windows.pieces(i)
        return {side: tuple(documents.sources(pieces, self._width)) for side, documents in self.sides.items()}


def check_pairs(pos: Documents, neg: Documents) -> None:
    """Raises UserError for files that cannot be the two sides of the same pairs."""
    if len(pos) != len(neg):
        raise UserError(
            f"{pos.files.text} has {len(pos):,} documents and {neg.files.text} has {len(neg):,}: the n-th of one belongs to the n-th "
            "of the other, so that both must have as many. Make both again from the same pairs."
        )
    if lacking := set(pos.names()) ^ set(neg.names()):
        raise UserError(
            f"Of {pos.files.text} and {neg.files.text} only one has {', '.join(sorted(lacking))}: give it for both, or for none."
        )


def _name(side: str, name: str) -> str:
    return side if name == "text" else f"{side}_{name}"
