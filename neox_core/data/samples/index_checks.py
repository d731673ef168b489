"""Whether arrays that somebody else made, such as GPT-NeoX, index the samples that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.data.samples.index_request import IndexRequest, Pack
from neox_core.data.samples.packed_index import epochs_demanded, shuffle_dtype, tokens_of, window_starts
from neox_core.data.samples.sample_index import SampleIndex
from neox_core.data.samples.whole_document_index import sample_starts, serving_documents

Array = npt.NDArray[Any]


def belongs(index: SampleIndex, request: IndexRequest) -> bool:
    """Whether `index` may be used for `request`: it differs from what would be built in the random orders at most.

    Reads all of the arrays. The request must be one that can be built.
    """
    return _CHECKS[request.pack](index, request)


def _packed(index: SampleIndex, request: IndexRequest) -> bool:
    documents, sizes = request.documents, request.sizes
    tokens_per_epoch = tokens_of(sizes, documents)
    epochs = epochs_demanded(tokens_per_epoch, request.demand, request.seq_length)
    if not _has(index.doc_idx, np.dtype(np.int32), (epochs * len(documents),)) or not _within(
        index.doc_idx, len(sizes)
    ):
        return False
    if not (np.bincount(index.doc_idx, minlength=len(sizes))[documents] == epochs).all():
        return False
    starts = window_starts(sizes, index.doc_idx, request.seq_length, epochs * tokens_per_epoch)
    windows = len(starts) - 1
    return _equal(index.sample_idx, starts) and _shuffled(
        index.shuffle_idx, np.arange(windows, dtype=shuffle_dtype(windows))
    )


def _until_overflow(index: SampleIndex, request: IndexRequest) -> bool:
    serving = serving_documents(request.documents_read, request.usable)
    doc_idx, num_samples = index.doc_idx, request.num_samples
    if not _has(doc_idx, np.dtype(np.int64), doc_idx.shape) or not _read_in_turns(doc_idx, serving):
        return False
    starts, _ = sample_starts(request.sizes[doc_idx], request.seq_length + 1)
    sample_idx = np.zeros((len(starts) + 1, 2), np.int64)
    sample_idx[:, 0] = np.append(starts, len(doc_idx))
    return (
        len(starts) == num_samples
        and _equal(index.sample_idx, sample_idx)
        and _shuffled(index.shuffle_idx, np.arange(num_samples))
    )


def _unpacked(index: SampleIndex, request: IndexRequest) -> bool:
    built = request.build()
    return (
        _equal(index.doc_idx, built.doc_idx)
        and _equal(index.sample_idx, built.sample_idx)
        and _shuffled(index.shuffle_idx, built.shuffle_idx)
    )


def _has(array: Array, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    return array.dtype == dtype and array.shape == shape


def _within(array: Array, stop: int) -> bool:
    return not len(array) or bool(array.min() >= 0 and array.max() < stop)


def _equal(array: Array, expected: Array) -> bool:
    return _has(array, expected.dtype, expected.shape) and np.array_equal(array, expected)


def _shuffled(array: Array, expected: Array) -> bool:
    """Whether `array` has the same values as `expected`, in any order."""
    return _has(array, expected.dtype, expected.shape) and np.array_equal(np.sort(array), np.sort(expected))


def _read_in_turns(doc_idx: Array, documents: Array) -> bool:
    """Whether `doc_idx` has each of `documents` once before it has any of them again, and so on to its end."""
    if doc_idx.ndim != 1 or not len(doc_idx):
        return False
    whole = len(doc_idx) // len(documents) * len(documents)
    turns, rest = np.sort(doc_idx[:whole].reshape(-1, len(documents)), axis=1), doc_idx[whole:]
    return bool(
        (turns == np.sort(documents)).all() and np.isin(rest, documents).all() and len(np.unique(rest)) == len(rest)
    )


_CHECKS: dict[Pack, Callable[[SampleIndex, IndexRequest], bool]] = {
    "packed": _packed,
    "pack_until_overflow": _until_overflow,
    "unpacked": _unpacked,
}
