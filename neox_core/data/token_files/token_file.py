"""Read access to token files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files.layout import DTYPES, MMAP_HEADER, MMAP_MAGIC, VERSION, Format
from neox_core.errors import UserError

_ENTRIES_AT_ONCE = 1 << 20  # checked in pieces: an index may have hundreds of millions of entries
_FARTHEST = 1 << 62  # bytes; no file is so long, and ends of documents computed from smaller starts cannot overflow


class TokenFile:
    """Read access to the documents of a token file; nothing is copied until it is used.

    Raises `UserError` when a file is missing or damaged, or when the two do not belong together.
    """

    def __init__(self, prefix: str | Path) -> None:
        self.prefix = str(prefix)
        self.format: Format = "mmap"
        self.notices: tuple[str, ...] = ()
        index_path = Path(f"{prefix}.idx")
        index = _map_bytes(index_path)
        self.dtype, count = _read_header(index_path, index)
        starts_at = MMAP_HEADER.size + 4 * count
        documents_at = starts_at + 8 * count
        self.sizes: npt.NDArray[np.int32] = index[MMAP_HEADER.size : starts_at].view("<i4")
        """Tokens in each document, int32 [documents]."""
        self.document_index: npt.NDArray[np.int64] = index[documents_at:].view("<i8")
        """What the index stores beside the sizes; training takes every entry of `sizes` as a document and ignores it."""
        starts = index[starts_at:documents_at].view("<i8")

        tokens_path = Path(f"{prefix}.bin")
        content = _map_bytes(tokens_path)
        expected = _described_length(index_path, self.sizes, starts, self.dtype.itemsize)
        if len(content) != expected:
            raise UserError(
                f"{tokens_path}: the file has {len(content)} bytes where its index ({index_path.name}) describes {expected}: "
                "it is damaged, or the two do not belong together. Copy or make both again."
            )
        self._starts = starts
        self._tokens: npt.NDArray[Any] = content.view(self.dtype)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, i: int) -> npt.NDArray[Any]:
        return self.get(i)

    def get(self, i: int, offset: int = 0, length: int | None = None) -> npt.NDArray[Any]:
        """Tokens `offset` to `offset + length` (default: to the end) of document `i`: a read-only view, [length]."""
        start = int(self._starts[i]) // self.dtype.itemsize
        document = self._tokens[start : start + int(self.sizes[i])]
        return document[offset : None if length is None else offset + length]


def _map_bytes(path: Path) -> npt.NDArray[np.uint8]:
    try:
        if path.stat().st_size == 0:
            return np.empty(0, np.uint8)  # an empty file cannot be mapped
        # A plain array over the map: slicing the memmap class itself costs several times as much.
        return np.asarray(np.memmap(path, np.uint8, mode="r"))
    except OSError as error:
        raise UserError(
            f"{path}: this token file cannot be read ({error.strerror}). A data path is the part before `.bin` and `.idx` of two "
            "files that exist; check it, or make the files (`neox data prepare`)."
        ) from error


def _read_header(path: Path, index: npt.NDArray[np.uint8]) -> tuple[np.dtype[Any], int]:
    """Element type and number of documents, of an index that is as long as it says."""
    if len(index) < MMAP_HEADER.size:
        raise _truncated(path, len(index), MMAP_HEADER.size)
    magic, version, code, count, entries = MMAP_HEADER.unpack(index[: MMAP_HEADER.size].tobytes())
    if magic != MMAP_MAGIC:
        raise UserError(
            f"{path}: this is not the index of a memory-mapped token file: it begins with {magic!r} where "
            f"{MMAP_MAGIC!r} is expected. Make the files again in the mmap format."
        )
    if version != VERSION:
        raise UserError(
            f"{path}: format version {version} cannot be read; the only version is {VERSION}. Make the files again."
        )
    if code not in DTYPES:
        known = ", ".join(f"{known} ({dtype.name})" for known, dtype in DTYPES.items())
        raise UserError(f"{path}: element type code {code} is unknown; the codes are {known}. Make the files again.")
    expected = MMAP_HEADER.size + 12 * count + 8 * entries
    if len(index) != expected:
        raise _truncated(path, len(index), expected)
    return DTYPES[code], count


def _truncated(path: Path, length: int, expected: int) -> UserError:
    what = "truncated" if length < expected else "too long"
    return UserError(
        f"{path}: the index is {what}: {length} bytes where {expected} are expected. Copy or make the files again."
    )


def _described_length(path: Path, sizes: npt.NDArray[np.int32], starts: npt.NDArray[np.int64], itemsize: int) -> int:
    """Bytes of tokens that the index at `path` describes: where its last document ends."""
    end = 0
    for first in range(0, len(sizes), _ENTRIES_AT_ONCE):
        start = starts[first : first + _ENTRIES_AT_ONCE]
        size = sizes[first : first + _ENTRIES_AT_ONCE]
        if size.min() < 0 or start.min() < 0 or start.max() > _FARTHEST or np.any(start % itemsize):
            raise UserError(
                f"{path}: the index is damaged: a document has a negative size or an impossible start. "
                "Copy or make the files again."
            )
        end = max(end, int((start + size.astype(np.int64) * itemsize).max()))
    return end
