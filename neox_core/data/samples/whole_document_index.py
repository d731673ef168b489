"""Samples of whole documents: as many as fit into each (`pack_until_overflow`), or one in each (`unpacked`).

The arrays are, to the bit, those that GPT-NeoX makes of the same documents: the same random numbers are drawn in the same
order. Where GPT-NeoX runs off the end of its order, another order is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from neox_core.data.samples.sample_index import SampleIndex
from neox_core.errors import UserError

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_BLOCK = 1 << 16  # documents in which samples are looked for at once


def until_overflow(
    sizes: npt.NDArray[np.int32],
    documents: npt.NDArray[np.int32],
    *,
    num_samples: int,
    seq_length: int,
    seed: int,
    usable: Flags | None = None,
) -> SampleIndex:
    """Fill each of `num_samples` samples with documents until the next would make it longer than `seq_length` + 1 tokens.

    The documents are read in a random order, and in another one when all have been read. The last sample gets one document
    only; the last row of `sample_idx` is the end of `doc_idx`, where there is no document.

    Args:
        sizes: tokens of every document of the file; for pairs, of the longer side.
        documents: the numbers of those to read.
        num_samples: how many samples to make.
        seq_length: tokens of a sample, without the one that is only a label.
        seed: of the order of the samples and the orders of the documents.
        usable: for every document of the file, whether it may serve; default: all.

    Raises:
        UserError: no document may serve.
    """
    serving_documents(documents, usable)
    random = np.random.RandomState(seed)
    shuffle_idx = np.arange(num_samples)
    random.shuffle(shuffle_idx)
    sample_idx = np.zeros((num_samples + 1, 2), np.int64)
    read = [np.empty(0, np.int64)]
    made = position = filled = 0
    blocks = _joined(_in_random_orders(documents, usable, random), min(_BLOCK, num_samples))
    while made < num_samples:
        block = next(blocks)
        starts, filled = sample_starts(sizes[block], seq_length + 1, filled)
        starts = starts[: num_samples - made]
        sample_idx[made : made + len(starts), 0] = position + starts
        made += len(starts)
        position += len(block)
        read.append(block)
    sample_idx[num_samples, 0] = sample_idx[num_samples - 1, 0] + 1 if num_samples else 0
    return SampleIndex(np.concatenate(read)[: sample_idx[num_samples, 0]], sample_idx, shuffle_idx)


def sample_starts(lengths: npt.NDArray[np.int32], limit: int, filled: int = 0) -> tuple[Integers, int]:
    """Where samples begin in a row of documents, of which each takes as many as make no more than `limit` tokens, and at least one.

    As in GPT-NeoX, a sample that has no token when a document is to be added (all it has is an empty document) is left as it is.

    Args:
        lengths: tokens of each document.
        limit: tokens of a sample.
        filled: tokens in a sample that may go on here; 0: none.

    Returns:
        The positions in `lengths`, and the tokens in the last sample at the end.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    begins = ends - lengths
    alone = np.arange(1, len(lengths) + 1)
    following = np.maximum(np.searchsorted(ends, begins + limit, side="right"), alone)
    following[lengths == 0] = alone[lengths == 0]
    jump = following.data  # which gives integers quicker than the array does
    start = int(np.searchsorted(ends, limit - filled, side="right")) if filled else 0
    starts = []
    while start < len(lengths):
        starts.append(start)
        start = jump[start]
    filled = int(ends[-1] - begins[starts[-1]]) if starts else filled + int(ends[-1])
    return np.array(starts, np.int64), filled


def unpacked(
    documents: npt.NDArray[np.int32], *, num_samples: int, seed: int, usable: Flags | None = None, repeats: bool = False
) -> SampleIndex:
    """Give each of `num_samples` samples one document, in the order of `documents`, from the first again when all have served.

    `usable` says for every document of the file whether it may serve (default: all). `repeats` brings a defect of GPT-NeoX's
    pairs back: where there are more samples than documents, samples beyond the first as many are never served, those are again.
    Raises `UserError` when no document may serve.
    """
    serving = serving_documents(documents, usable)
    random = np.random.RandomState(seed)
    shuffle_idx = np.arange(num_samples) % (len(documents) if repeats else max(num_samples, 1))
    random.shuffle(shuffle_idx)
    sample_idx = np.zeros((num_samples + 1, 2), np.int64)
    sample_idx[:, 0] = np.arange(num_samples + 1)
    return SampleIndex(np.resize(serving, num_samples + 1), sample_idx, shuffle_idx)


def serving_documents(documents: npt.NDArray[np.int32], usable: Flags | None) -> Integers:
    """Those of `documents` that are `usable`. Raises `UserError` when there are none."""
    serving = documents if usable is None else documents[usable[documents]]
    if not len(serving):
        raise UserError(
            f"None of the {len(documents)} documents of this dataset can serve as a sample: they are too long for seq_length "
            "(allow_chopped: true cuts them), or none of their tokens has a label. Check the data and label paths."
        )
    return serving.astype(np.int64)


def whole_documents(sides: Sequence[npt.NDArray[np.int32]], seq_length: int, *, inverted: bool = False) -> Flags:
    """Which documents need not be cut: those with at most `seq_length` + 1 tokens on every side, bool [documents].

    `sides` are the sizes of every document: of one file, or of both files of pairs. `inverted` brings a defect of GPT-NeoX back,
    which its `pack_until_overflow` for pairs has: only documents with *at least* so many tokens serve.
    """
    fits = np.greater_equal if inverted else np.less_equal
    whole: Flags = np.logical_and.reduce([fits(sizes, seq_length + 1) for sizes in sides])
    return whole


def _in_random_orders(
    documents: npt.NDArray[np.int32], usable: Flags | None, random: np.random.RandomState
) -> Iterator[Integers]:
    """All documents that may serve, over and over in different orders, in pieces."""
    order = documents.astype(np.int64)
    while True:
        random.shuffle(order)
        for start in range(0, len(order), _BLOCK):
            piece = order[start : start + _BLOCK].copy()
            yield piece if usable is None else piece[usable[piece]]


def _joined(pieces: Iterable[Integers], size: int) -> Iterator[Integers]:
    """The same documents in pieces of at least `size`: looking at each of many tiny ones would take long."""
    held, count = [], 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= size:
            yield np.concatenate(held)
            held, count = [], 0
