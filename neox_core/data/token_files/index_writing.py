"""Writes the index of token files in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files.layout import (
    CACHED_HEADER,
    CACHED_MAGIC,
    MMAP_HEADER,
    MMAP_MAGIC,
    VERSION,
    Format,
    dtype_code,
)

Sizes = npt.NDArray[np.int32]
Ends = npt.NDArray[np.int64]

_AT_ONCE = 1 << 16  # entries


def write_index(file: BinaryIO, impl: Format, dtype: np.dtype[Any], sizes: Sizes, documents: Ends) -> None:
    """Write the index of sequences that lie one after the other.

    Args:
        file: where to.
        impl: the format.
        dtype: element type of the tokens.
        sizes: tokens in each sequence, int32 [sequences].
        documents: sequences up to the end of each document, int64 [documents].
    """
    _WRITERS[impl](file, dtype, sizes, documents)


def _write_mmap(file: BinaryIO, dtype: np.dtype[Any], sizes: Sizes, documents: Ends) -> None:
    file.write(MMAP_HEADER.pack(MMAP_MAGIC, VERSION, dtype_code(dtype), len(sizes), len(documents) + 1))
    for block in _blocks(sizes):
        file.write(block.astype("<i4").tobytes())
    for ends, block in _ends(sizes):
        file.write(((ends - block) * dtype.itemsize).tobytes())
    _write_documents(file, documents)


def _write_cached(file: BinaryIO, dtype: np.dtype[Any], sizes: Sizes, documents: Ends) -> None:
    number = len(sizes)
    code = dtype_code(dtype)
    file.write(CACHED_HEADER.pack(CACHED_MAGIC, VERSION, code, dtype.itemsize, number, number, len(documents) + 1))
    for first in range(0, number + 1, _AT_ONCE):
        file.write(np.arange(first, min(first + _AT_ONCE, number + 1), dtype="<i8").tobytes())
    file.write(_ZERO)
    for ends, _ in _ends(sizes):
        file.write(ends.tobytes())
    for block in _blocks(sizes):
        file.write(block.astype("<i8").tobytes())
    _write_documents(file, documents)


def _write_documents(file: BinaryIO, documents: Ends) -> None:
    file.write(_ZERO)
    for block in _blocks(documents):
        file.write(block.astype("<i8").tobytes())


def _ends(sizes: Sizes) -> Iterator[tuple[npt.NDArray[np.int64], Sizes]]:
    """Where sequences end, in tokens, with their sizes: int64, for tokens beyond what 32 bits count."""
    end = 0
    for block in _blocks(sizes):
        ends = end + np.cumsum(block, dtype="<i8")
        end = int(ends[-1])
        yield ends, block


def _blocks(entries: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    for first in range(0, len(entries), _AT_ONCE):
        yield entries[first : first + _AT_ONCE]


_ZERO = bytes(8)
_WRITERS: dict[Format, Callable[[BinaryIO, np.dtype[Any], Sizes, Ends], None]] = {
    "mmap": _write_mmap,
    "cached": _write_cached,
}
