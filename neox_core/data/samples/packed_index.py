"""Packed samples: documents are shuffled, laid end to end, and cut into equal windows.

The arrays are, to the bit, those of GPT-NeoX's `pack_impl: packed` for the same sizes, seed and demand, so a run goes on with
the same batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.data.samples.sample_index import Demand, Epochs, SampleIndex
from neox_core.errors import UserError

_BLOCK = (
    1 << 20
)  # documents or windows that are worked on at once: what that takes is little beside the arrays themselves


def packed(
    sizes: npt.NDArray[np.int32], documents: npt.NDArray[np.int32], *, demand: Demand, seq_length: int, seed: int
) -> SampleIndex:
    """Index windows of `seq_length` + 1 tokens: exactly as many epochs as demanded, or the fewest with so many samples.

    `sizes` are the tokens of every document of the file, `documents` the numbers of those to use; some may be empty.
    Raises `UserError` when the documents hold no token.
    """
    tokens_per_epoch = tokens_of(sizes, documents)
    epochs = epochs_demanded(tokens_per_epoch, demand, seq_length)
    random = np.random.RandomState(seed)
    doc_idx = _in_random_order(documents, epochs, random)
    sample_idx = window_starts(sizes, doc_idx, seq_length, epochs * tokens_per_epoch)
    windows = len(sample_idx) - 1
    shuffle_idx = random.permutation(windows).astype(shuffle_dtype(windows))
    return SampleIndex(doc_idx, sample_idx, shuffle_idx)


def tokens_of(sizes: npt.NDArray[np.int32], documents: npt.NDArray[np.int32]) -> int:
    """How many tokens the documents have. Raises `UserError` when they have none."""
    tokens = int(sizes.take(documents).sum(dtype=np.int64))
    if not tokens:
        raise UserError(
            f"The {len(documents)} documents of this dataset hold no token; training needs at least one. Check the data path."
        )
    return tokens


def _in_random_order(
    documents: npt.NDArray[np.int32], epochs: int, random: np.random.RandomState
) -> npt.NDArray[np.int32]:
    order = np.tile(
        documents.astype(np.int64), epochs
    )  # which is shuffled quicker than int32, by the same random numbers
    random.shuffle(order)
    return order.astype(np.int32)


def num_epochs(tokens_per_epoch: int, num_samples: int, seq_length: int) -> int:
    """How many times the documents must be read to give `num_samples` windows; at least once.

    The very last token is only ever a label, so n windows take n * `seq_length` + 1 tokens.
    """
    return max(1, -(-(num_samples * seq_length + 1) // tokens_per_epoch))


def epochs_demanded(tokens_per_epoch: int, demand: Demand, seq_length: int) -> int:
    """How many times the documents are read."""
    return demand.count if isinstance(demand, Epochs) else num_epochs(tokens_per_epoch, demand, seq_length)


def window_starts(
    sizes: npt.NDArray[np.int32], doc_idx: npt.NDArray[np.int32], seq_length: int, tokens: int
) -> npt.NDArray[Any]:
    """The `sample_idx` of documents in the order of `doc_idx`, in all `tokens`: window k starts at token k * `seq_length`."""
    windows = (tokens - 1) // seq_length
    # GPT-NeoX decides by the real quotient; a few sizes differ from what `windows` would give.
    small = 2 * ((tokens - 1) / seq_length + 1) < np.iinfo(np.int32).max
    sample_idx = np.empty((windows + 1, 2), np.int32 if small else np.int64)
    block = min(_BLOCK, max(1, len(doc_idx) * _BLOCK // (windows + 1)))
    written = begin = 0  # windows so far; where the next document begins, counted from where the next window starts
    for first in range(0, len(doc_idx), block):
        lengths = sizes.take(doc_idx[first : first + block])
        ends = np.cumsum(lengths, dtype=np.int64)
        ends += begin
        upto = (ends + (seq_length - 1)) // seq_length  # windows that start before each document's end
        rows = sample_idx[written : written + upto[-1]]
        position = np.cumsum(np.bincount(upto)[: len(rows)])  # documents that end before each window starts
        rows[:, 0] = position + first
        rows[:, 1] = np.arange(0, len(rows) * seq_length, seq_length) - (ends - lengths)[position]
        written += len(rows)
        begin = int(ends[-1]) - len(rows) * seq_length
    sample_idx[0] = 0  # also where the first documents are empty
    return sample_idx


def shuffle_dtype(windows: int) -> type[np.integer[Any]]:
    """What `shuffle_idx` is made of."""
    return np.int64 if windows >= np.iinfo(np.uint32).max - 1 else np.uint32
