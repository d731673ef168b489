"""A file that is being copied elsewhere: held open, so that it stays readable when its name is gone."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from neox_core.errors import UserError
from neox_core.files import FileRecord

BLOCK = 1 << 20
"""Bytes that are read at once."""


class SourceFile:
    """A file of a known size and digest; a context manager. Any thread may read any part of it.

    Args:
        path: the file.
        record: what it must be.

    Raises:
        UserError: it cannot be opened, or has another size.
    """

    def __init__(self, path: Path, record: FileRecord) -> None:
        self.path, self.record = path, record
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}; restore it, or mend its permissions") from error
        size = os.fstat(self._descriptor).st_size
        if size != record.size:
            self.close()
            raise UserError(
                f"{path} is damaged: expected {record.size} bytes, found {size} bytes; restore it from a copy"
            )

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """In bytes."""
        return self.record.size

    def blocks(self, start: int, stop: int) -> Iterator[bytes]:
        """Its bytes from `start` to `stop`.

        Raises:
            UserError: the file system refuses, or the file has become shorter.
        """
        while start < stop:
            block = self.at(start, min(BLOCK, stop - start))
            start += len(block)
            yield block

    def at(self, start: int, most: int) -> bytes:
        """Some of its bytes, at least one.

        Raises:
            UserError: the file system refuses, or the file has become shorter.
        """
        try:
            block = os.pread(self._descriptor, most, start)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be read: {error.strerror}; it may have been deleted meanwhile"
            ) from error
        if not block:
            raise UserError(f"{self.path} is damaged: it has become shorter than {self.size} bytes")
        return block

    def check(self, sha256: str) -> None:
        """Raise a UserError unless this is the digest that the file must have."""
        if sha256 != self.record.sha256:
            raise UserError(f"{self.path} is damaged: its sha256 is not what was written; it is not copied")

    def digest(self) -> str:
        """Its sha256, by reading all of it."""
        digest = hashlib.sha256()
        for block in self.blocks(0, self.size):
            digest.update(block)
        return digest.hexdigest()


class Span(io.RawIOBase):
    """A part of a file as a stream of its own, for libraries that send streams; nothing of it is held in memory."""

    def __init__(self, source: SourceFile, start: int, stop: int) -> None:
        super().__init__()
        self._source, self._start, self._stop, self._place = source, start, stop, start

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Fill a buffer as far as there is something."""
        view, filled = memoryview(buffer), 0
        while filled < len(view) and self._place < self._stop:
            block = self._source.at(self._place, min(len(view) - filled, self._stop - self._place))
            view[filled : filled + len(block)] = block
            filled += len(block)
            self._place += len(block)
        return filled

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in it."""
        origin = {io.SEEK_SET: self._start, io.SEEK_CUR: self._place, io.SEEK_END: self._stop}[whence]
        self._place = min(max(origin + offset, self._start), self._stop)
        return self.tell()

    def tell(self) -> int:
        """The place in it."""
        return self._place - self._start

    def __len__(self) -> int:
        return self._stop - self._start
