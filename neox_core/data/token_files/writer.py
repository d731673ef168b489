"""Writes GPT-NeoX's memory-mapped token files, document by document; the pair of files appears whole or not at all."""

from __future__ import annotations

import os
from array import array
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files.layout import MMAP_HEADER, MMAP_MAGIC, VERSION, Format, dtype_code
from neox_core.errors import UserError
from neox_core.files import publish, temporary_name


class TokenFileWriter:
    """Context manager that writes `PREFIX.bin` and `PREFIX.idx` (the directory must exist).

    The files get their names at the end of the `with` block; when it raises, nothing is left and older files stay.
    """

    def __init__(self, prefix: str | Path, dtype: npt.DTypeLike, impl: Format = "mmap") -> None:
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self._sizes = array("i")
        self._documents = array("q", [0])
        self._tokens_path = Path(f"{prefix}.bin")
        self._index_path = Path(f"{prefix}.idx")

    def __enter__(self) -> Self:
        self._file: BinaryIO = temporary_name(self._tokens_path).open("wb")
        return self

    def add(self, *sequences: npt.ArrayLike) -> None:
        """Append one document: sequences of token ids, [tokens] each. Raises `UserError` when an id does not fit the dtype."""
        for sequence in sequences:
            tokens = np.asarray(sequence)
            if tokens.size and self.dtype.kind in "iu":
                self._check_range(int(tokens.min()), int(tokens.max()))
            self._file.write(tokens.astype(self.dtype).tobytes())
            self._sizes.append(len(tokens))
        self._documents.append(len(self._sizes))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with self._file as file:
                if kind is None:
                    _sync(file)
            if kind is None:
                self._publish()
        finally:
            temporary_name(self._tokens_path).unlink(missing_ok=True)
            temporary_name(self._index_path).unlink(missing_ok=True)

    def _check_range(self, lowest: int, highest: int) -> None:
        limits = np.iinfo(self.dtype)
        if lowest < limits.min or highest > limits.max:
            raise UserError(
                f"{self._tokens_path}: document {len(self._sizes)} has token ids from {lowest} to {highest}, but "
                f"{self.dtype.name} holds {limits.min} to {limits.max}; write the file with a wider element type."
            )

    def _publish(self) -> None:
        with temporary_name(self._index_path).open("wb") as file:
            file.write(_index_bytes(self.dtype, np.array(self._sizes, "<i4"), np.array(self._documents, "<i8")))
            _sync(file)
        # The index is what makes a pair readable: gone before the tokens change, back when they are in place.
        self._index_path.unlink(missing_ok=True)
        publish(temporary_name(self._tokens_path), self._tokens_path)
        publish(temporary_name(self._index_path), self._index_path)


def _index_bytes(dtype: np.dtype[Any], sizes: npt.NDArray[np.int32], documents: npt.NDArray[np.int64]) -> bytes:
    ends = np.cumsum(sizes, dtype="<i8")
    header = MMAP_HEADER.pack(MMAP_MAGIC, VERSION, dtype_code(dtype), len(sizes), len(documents))
    starts = (ends - sizes) * dtype.itemsize
    return header + sizes.tobytes() + starts.tobytes() + documents.tobytes()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
