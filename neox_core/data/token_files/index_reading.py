"""Reads the header of an index, and finds the arrays behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files.index import Index, check_length
from neox_core.data.token_files.layout import (
    CACHED_HEADER,
    CACHED_MAGIC,
    DTYPES,
    MMAP_HEADER,
    MMAP_MAGIC,
    VERSION,
)
from neox_core.errors import UserError

Bytes = npt.NDArray[np.uint8]

_SWAPPED = {6: 7, 7: 6}  # Megatron-core writes float64 and float32 as 6 and 7
_AT_ONCE = 1 << 20  # entries


def read_index(path: Path, content: Bytes, tokens_length: int) -> Index:
    """The index at `path` with this content, whose tokens have this many bytes.

    Raises:
        UserError: it is damaged, or describes other tokens.
    """
    for magic, read in _READERS.items():
        if content[: len(magic)].tobytes() == magic:
            index = read(path, content, tokens_length)
            return replace(index, notices=(*index.notices, *index.document_notices()))
    begins = content[: len(MMAP_MAGIC)].tobytes()
    if any(magic.startswith(begins) for magic in _READERS):
        check_length(path, len(content), MMAP_HEADER.size)
    raise UserError(
        f"{path}: this is not the index of a token file: it begins with {begins!r} where {MMAP_MAGIC!r} (mmap) or {CACHED_MAGIC!r} "
        "(cached) is expected. Make the files again."
    )


def _read_mmap(path: Path, content: Bytes, tokens_length: int) -> Index:
    _check_header(path, content, MMAP_HEADER.size)
    _, version, code, count, entries = MMAP_HEADER.unpack(content[: MMAP_HEADER.size].tobytes())
    dtype = _element_type(path, version, code)
    check_length(path, len(content), MMAP_HEADER.size + 12 * count + 8 * entries)
    starts_at = MMAP_HEADER.size + 4 * count
    documents_at = starts_at + 8 * count
    index = Index(
        path,
        "mmap",
        dtype,
        sizes=content[MMAP_HEADER.size : starts_at].view("<i4"),
        starts=content[starts_at:documents_at].view("<i8"),
        unit=1,
        document_index=content[documents_at:].view("<i8"),
    )
    if code in _SWAPPED and not _fills(index, tokens_length):
        other = replace(index, dtype=DTYPES[_SWAPPED[code]], notices=(_swap_notice(path, code),))
        return other if _fills(other, tokens_length) else index
    return index


def _read_cached(path: Path, content: Bytes, tokens_length: int) -> Index:
    _check_header(path, content, CACHED_HEADER.size)
    _, version, code, width, count, dimensions, entries = CACHED_HEADER.unpack(content[: CACHED_HEADER.size].tobytes())
    dtype = _element_type(path, version, code)
    notices: tuple[str, ...] = ()
    if code in _SWAPPED and width == DTYPES[_SWAPPED[code]].itemsize:
        dtype, notices = DTYPES[_SWAPPED[code]], (_swap_notice(path, code),)
    if width != dtype.itemsize:
        wrong = f"the index says {width} bytes an element, and {dtype.name} (code {code}) has {dtype.itemsize}"
        raise UserError(f"{path}: {wrong}: it is damaged. Copy or make the files again.")
    check_length(path, len(content), CACHED_HEADER.size + 8 * (2 * (count + 1) + dimensions + entries))
    words = content[CACHED_HEADER.size :].view("<i8")
    first_sizes, starts, sizes, documents = np.split(words, np.cumsum([count + 1, count + 1, dimensions]))
    index = Index(path, "cached", dtype, sizes.view("<i4")[::2], starts[:-1], dtype.itemsize, documents, notices)
    _check_flat(index, first_sizes, sizes)
    if int(starts[-1]) * width != tokens_length:
        raise index.damaged(f"it ends at element {starts[-1]} of tokens of {tokens_length} bytes")
    return index


def _fills(index: Index, tokens_length: int) -> bool:
    """Whether all sequences together are as long as the tokens."""
    return int(index.sizes.sum(dtype=np.int64)) * index.dtype.itemsize == tokens_length


def _check_flat(index: Index, first_sizes: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> None:
    """Each sequence has one size, and that fits 32 bits."""
    for first in range(0, len(first_sizes), _AT_ONCE):
        block = first_sizes[first : first + _AT_ONCE]
        if len(sizes) != len(first_sizes) - 1 or np.any(block != np.arange(first, first + len(block))):
            raise UserError(
                f"{index.path}: holds arrays of several dimensions, not sequences of tokens. Make the files again."
            )
        block = sizes[first : first + _AT_ONCE]
        if len(block) and (block.min() < 0 or block.max() > np.iinfo(np.int32).max):
            raise index.damaged(
                f"a sequence has a size from {block.min()} to {block.max()}, which is negative or beyond 32 bits"
            )


def _check_header(path: Path, content: Bytes, length: int) -> None:
    if len(content) < length:
        check_length(path, len(content), length)


def _element_type(path: Path, version: int, code: int) -> np.dtype[Any]:
    if version != VERSION:
        raise UserError(
            f"{path}: format version {version} cannot be read; the only version is {VERSION}. Make the files again."
        )
    if code not in DTYPES:
        known = ", ".join(f"{known} ({dtype.name})" for known, dtype in DTYPES.items())
        raise UserError(f"{path}: element type code {code} is unknown; the codes are {known}. Make the files again.")
    return DTYPES[code]


def _swap_notice(path: Path, code: int) -> str:
    return (
        f"{path}: element type code {code} is {DTYPES[code].name} in GPT-NeoX and {DTYPES[_SWAPPED[code]].name} in Megatron-core; "
        f"the length of the tokens shows that they are {DTYPES[_SWAPPED[code]].name}"
    )


_READERS: dict[bytes, Callable[[Path, Bytes, int], Index]] = {MMAP_MAGIC: _read_mmap, CACHED_MAGIC: _read_cached}
