"""What a dataset gives: samples, by number, and where their tokens come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Sample = Mapping[str, npt.NDArray[Any]]
"""Arrays of `seq_length` + 1 entries, by name.

- text: token ids, int64; the inputs are all but the last, and all but the first are what is to be predicted
- label: what is to be predicted in place of the text, int64, not shifted; no loss where it is negative
- reward: of the document that each token is of, float32
- ref: log-probability of each token under a reference model, float32
- document: a number for the document of each token, int64, which rises from one to the next

Pairs of a good and a bad answer have each of them twice, as `pos_label` and `neg_label`, with `pos` and `neg` for the text.
"""

IGNORED = -100
"""The label of what is not to be predicted."""


@dataclass(frozen=True, slots=True)
class Source:
    """Tokens of a sample that are neighbours in a token file.

    Args:
        prefix: the file.
        document: its number in the file.
        offset: of the first token in the document.
        length: how many tokens.
    """

    prefix: str
    document: int
    offset: int
    length: int


class Dataset(Protocol):
    """Samples in the order in which training consumes them."""

    @property
    def names(self) -> frozenset[str]:
        """The arrays that every sample has."""

    @property
    def windows(self) -> int:
        """Samples that can be read; at least `len`, which leaves out the last where GPT-NeoX's defects are brought back."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Sample: ...

    def sources(self, i: int, /) -> Mapping[str, Sequence[Source]]:
        """Where the tokens of sample `i` come from, in order, for `text`, or for `pos` and `neg`; nothing where they are made up."""


def fitted(values: npt.NDArray[Any], width: int, fill: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The values, [any], as an array of their own, [width]: cut, or filled up at the end."""
    array = np.empty(width, dtype)
    array[: len(values)] = values[:width]
    array[len(values) :] = fill
    return array
