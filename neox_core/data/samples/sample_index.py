"""What says which tokens make which sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """Three arrays that locate every sample; in memory, or mapped from files.

    Window k starts at row k of `sample_idx` and ends with the token at row k + 1, included. Sample i is window
    `shuffle_idx[i]`. Packed windows overlap by that one token, which is the last label of one and the first input of the next.
    """

    doc_idx: npt.NDArray[Any]
    """Numbers of documents in reading order, [documents read]; int32 when packed, else int64."""
    sample_idx: npt.NDArray[Any]
    """(position in `doc_idx`, offset in that document) for each window, int32 or int64 [windows + 1, 2]."""
    shuffle_idx: npt.NDArray[Any]
    """Window of each sample, uint32 or int64 [windows]."""


@dataclass(frozen=True, slots=True)
class Epochs:
    """A demand for all samples of so many epochs: every document is read `count` times."""

    count: int


Demand = int | Epochs
"""How much to index: at least a number of samples, or exactly a number of epochs."""
