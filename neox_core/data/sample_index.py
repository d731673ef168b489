"""Which tokens make which training sample: documents are shuffled, laid end to end, and cut into equal windows.

The arrays are, to the bit, those of GPT-NeoX's "packed" datasets for the same sizes, seed and counts, so a run continues on
the same batches. They are built in memory on every rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.errors import UserError


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """Three arrays that locate every sample.

    Window k starts at row k of `sample_idx` and ends with the token at row k + 1, included: windows overlap by one token,
    which is the last label of one and the first input of the next. Sample i is window `shuffle_idx[i]`.
    """

    doc_idx: npt.NDArray[np.int32]
    """Document numbers in reading order, every epoch's shuffled together, [epochs * documents]."""
    sample_idx: npt.NDArray[Any]
    """(position in `doc_idx`, offset in that document) for each window, int32 or int64 [windows + 1, 2]."""
    shuffle_idx: npt.NDArray[Any]
    """Window of each sample, uint32 or int64 [windows]."""


def build_sample_index(
    sizes: npt.NDArray[np.int32], documents: npt.NDArray[np.int32], *, num_samples: int, seq_length: int, seed: int
) -> SampleIndex:
    """Index at least `num_samples` windows of `seq_length` + 1 tokens, in as many whole epochs as that takes.

    `sizes` are the tokens of every document of the file, `documents` the numbers of those to use.
    Raises `UserError` when the documents hold no token.
    """
    tokens_per_epoch = int(sizes[documents].sum(dtype=np.int64))
    if tokens_per_epoch == 0:
        raise UserError(
            f"The {len(documents)} documents of this dataset hold no token; training needs at least one. Check the data path."
        )
    epochs = num_epochs(tokens_per_epoch, num_samples, seq_length)
    random = np.random.RandomState(seed)
    doc_idx = np.tile(documents.astype(np.int32), epochs)
    random.shuffle(doc_idx)
    sample_idx = _sample_idx(sizes[doc_idx], seq_length, epochs * tokens_per_epoch)
    shuffle_idx = _shuffle_idx(len(sample_idx) - 1, random)
    return SampleIndex(doc_idx, sample_idx, shuffle_idx)


def num_epochs(tokens_per_epoch: int, num_samples: int, seq_length: int) -> int:
    """How many times the documents must be read to give `num_samples` windows; at least once.

    The very last token is only ever a label, so n windows take n * `seq_length` + 1 tokens.
    """
    return max(1, -(-(num_samples * seq_length + 1) // tokens_per_epoch))


def _sample_idx(lengths: npt.NDArray[np.int32], seq_length: int, tokens: int) -> npt.NDArray[Any]:
    """`lengths`: tokens of each entry of `doc_idx`; `tokens`: their sum."""
    windows = (tokens - 1) // seq_length
    # GPT-NeoX decides by the real quotient; a few sizes differ from what `windows` would give.
    small = 2 * ((tokens - 1) / seq_length + 1) < np.iinfo(np.int32).max
    starts = np.arange(windows + 1, dtype=np.int64) * seq_length
    ends = np.cumsum(lengths, dtype=np.int64)
    position = np.searchsorted(ends, starts, side="right")
    position[0] = 0  # also where the first documents are empty
    sample_idx = np.empty((windows + 1, 2), np.int32 if small else np.int64)
    sample_idx[:, 0] = position
    sample_idx[:, 1] = starts - (ends - lengths)[position]
    return sample_idx


def _shuffle_idx(windows: int, random: np.random.RandomState) -> npt.NDArray[Any]:
    dtype = np.int64 if windows >= np.iinfo(np.uint32).max - 1 else np.uint32
    shuffle_idx = np.arange(windows, dtype=dtype)
    random.shuffle(shuffle_idx)
    return shuffle_idx
